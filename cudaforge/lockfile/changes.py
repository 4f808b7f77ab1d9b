"""What a new lock changes, in words."""

from __future__ import annotations

from cudaforge.lockfile.model import Lock, LockedImage


def compare_locks(old: Lock | None, new: Lock) -> tuple[str, ...]:
    """One line per image that is new, gone or different; empty when the locks agree."""
    before = {image.name: image for image in old.images} if old else {}
    after = {image.name: image for image in new.images}
    lines = [f"{name}: new" for name in after if name not in before]
    lines += [f"{name}: gone" for name in before if name not in after]
    for name, image in after.items():
        if name in before and before[name].digest != image.digest:
            lines.append(f"{name}: " + ", ".join(_compare_images(before[name], image)))
    return tuple(lines)


def _compare_images(old: LockedImage, new: LockedImage) -> list[str]:
    changes = []
    for label, was, now in _versions(old, new):
        if was != now:
            changes.append(f"{label} {was or 'none'} -> {now or 'none'}")
    if old.base.reference == new.base.reference and old.base.digest != new.base.digest:
        changes.append(f"base digest {_short(old.base.digest)} -> {_short(new.base.digest)}")
    packages = _count_changed_packages(old, new)
    if packages:
        changes.append(f"{packages} package{'s' if packages > 1 else ''} changed")
    return changes or ["settings changed"]


def _versions(old: LockedImage, new: LockedImage) -> list[tuple[str, str | None, str | None]]:
    rows: list[tuple[str, str | None, str | None]] = [
        ("base", old.base.reference, new.base.reference),
        ("CUDA", old.cuda, new.cuda),
        ("cuDNN", old.cudnn, new.cudnn),
        ("NCCL", old.nccl, new.nccl),
        ("Python", old.python, new.python),
        ("OS", old.os, new.os),
        ("driver floor", old.driver_floor, new.driver_floor),
    ]
    was = {framework.name: framework.reported for framework in old.frameworks}
    now = {framework.name: framework.reported for framework in new.frameworks}
    return [(name, was.get(name), now.get(name)) for name in {**was, **now}] + rows


def _count_changed_packages(old: LockedImage, new: LockedImage) -> int:
    was = {(wheel.package, wheel.version) for wheel in old.closure.wheels}
    now = {(wheel.package, wheel.version) for wheel in new.closure.wheels}
    return len({package for package, _ in was ^ now})


def _short(digest: str | None) -> str:
    return digest[:19] if digest else "none"
