"""Locks as text and JSON."""

from __future__ import annotations

from pathlib import Path

from cudaforge.lockfile.changes import compare_locks
from cudaforge.lockfile.model import Lock, LockedImage
from cudaforge.report.tables import bytes_text, paragraph, table


def describe_lock(path: Path, lock: Lock, previous: Lock | None) -> str:
    """What is locked, one line per image, and what that changes."""
    rows = [
        (
            image.name,
            ", ".join(f"{it.name} {it.reported}" for it in image.frameworks),
            image.cuda or "none",
            image.python,
            image.base.reference,
            str(len(image.closure.wheels)),
            bytes_text(_wheel_bytes(image)),
        )
        for image in lock.images
    ]
    header = ("image", "frameworks", "cuda", "python", "base", "wheels", "bytes")
    dropped = [
        paragraph(f"{point.name} is dropped: {' and '.join(point.core)} cannot hold", indent="  ", first="")
        for point in lock.dropped
    ]
    parts = [table(header, rows), *(["\n".join(dropped)] if dropped else [])]
    return "\n\n".join([*parts, f"{path}: {describe_changes(lock, previous)}"])


def describe_changes(lock: Lock, previous: Lock | None) -> str:
    """What the new lock changes, in words."""
    changes = compare_locks(previous, lock)
    if not changes:
        return "nothing changed"
    return "\n  ".join(["locked", *changes]) if len(changes) > 1 else f"locked {changes[0]}"


def lock_json(path: Path, lock: Lock, previous: Lock | None) -> dict[str, object]:
    """The JSON form of `lock`."""
    return {
        "lock": str(path),
        "changes": list(compare_locks(previous, lock)),
        "images": [
            {
                "name": image.name,
                "digest": image.digest,
                "base": {"reference": image.base.reference, "digest": image.base.digest},
                "closure": image.closure.file,
                "wheels": len(image.closure.wheels),
                "bytes": _wheel_bytes(image),
            }
            for image in lock.images
        ],
        "dropped": [{"name": point.name, "core": list(point.core)} for point in lock.dropped],
    }


def _wheel_bytes(image: LockedImage) -> int | None:
    sizes = [wheel.size for wheel in image.closure.wheels]
    return None if None in sizes else sum(size for size in sizes if size is not None)
