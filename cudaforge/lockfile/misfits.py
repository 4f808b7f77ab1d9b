"""Where a lock's entries are plainly not what is declared: for locks that do not keep what was declared."""

from __future__ import annotations

import json
from collections.abc import Iterator

from cudaforge.declaration.model import Declaration, ImageDeclaration
from cudaforge.lockfile.compose import DEFAULT_USER, DEFAULT_WORKDIR
from cudaforge.lockfile.model import Lock, LockedCopy, LockedImage
from cudaforge.versions import VersionWish, find_version

_VERSIONS = ("cuda", "cudnn", "python", "toolkit")
_PLAIN = ("command", "entrypoint", "run", "secrets", "max_size")


def find_misfits(lock: Lock, declaration: Declaration) -> tuple[str, ...]:
    """Every key whose declared value cannot have led to what is locked, with both. A change that what is
    locked fits all the same is not seen."""
    locked = {image.name: image for image in lock.images}
    pairs = ((image, locked[image.name]) for image in declaration.images if image.name in locked)
    found = (
        f"[images.{image.image}] {key}: {_shown(was)} is locked, {_shown(now)} is declared"
        for image, entry in pairs
        for key, was, now in (*_of_wishes(image, entry), *_of_contents(image, entry))
    )
    return tuple(dict.fromkeys(found))


_Misfit = tuple[str, object, object]


def _of_wishes(image: ImageDeclaration, entry: LockedImage) -> Iterator[_Misfit]:
    wishes = image.wishes
    for key in _VERSIONS:
        wish: VersionWish | None = getattr(wishes, key)
        version = find_version(getattr(entry, key))
        if wish is not None and (version is None or not wish.allows(version)):
            yield key, getattr(entry, key), wish.text
    if wishes.is_cpu and entry.cuda is not None:
        yield "cuda", entry.cuda, "none"
    names = [one.name for one in wishes.frameworks]
    locked = {one.name: one for one in entry.frameworks}
    if set(names) != set(locked):
        yield "framework", tuple(locked), tuple(names)
    for framework in wishes.frameworks:
        found = locked.get(framework.name)
        version = find_version(found.version) if found is not None else None
        if version is not None and framework.version is not None and not framework.version.allows(version):
            yield "framework", f"{framework.name} {version}", str(framework)
    flavor = wishes.flavor.value if wishes.flavor is not None else None
    for key, was, now in (
        ("os", entry.os, wishes.os),
        ("flavor", entry.flavor, flavor),
        ("base", entry.base.reference, wishes.base),
        ("platforms", entry.platforms, wishes.platforms),
    ):
        if now and was != now:
            yield key, was, now


def _of_contents(image: ImageDeclaration, entry: LockedImage) -> Iterator[_Misfit]:
    contents = image.contents
    copies = tuple(LockedCopy(source=step.source, target=step.target) for step in contents.copy)
    for key, was, now in (
        ("workdir", entry.workdir, contents.workdir or DEFAULT_WORKDIR),
        ("user", entry.user, contents.user or DEFAULT_USER),
        ("copy", _arrows(entry.copy), _arrows(copies)),
        *((key, getattr(entry, key), getattr(contents, key)) for key in _PLAIN),
        *_of_tables(image, entry),
    ):
        if was != now:
            yield key, was, now
    missing = [name for name in contents.apt if name not in entry.os_packages]
    if missing:
        yield "apt", entry.os_packages, tuple(contents.apt)


def _of_tables(image: ImageDeclaration, entry: LockedImage) -> Iterator[_Misfit]:
    labels, env = image.contents.labels, image.contents.env
    for name in sorted(labels.keys() | entry.labels.keys()):
        yield f"labels.{name}", entry.labels.get(name), labels.get(name)
    for name in sorted(env):  # the lock has more of them: frameworks bring their own
        yield f"env.{name}", entry.env.get(name), env[name]


def _arrows(steps: tuple[LockedCopy, ...]) -> tuple[str, ...]:
    return tuple(f"{step.source} -> {step.target}" for step in steps)


def _shown(value: object) -> str:
    if value is None or value == ():
        return "nothing"
    return json.dumps(value)
