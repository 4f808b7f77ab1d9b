"""Locks as text and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from cudaforge.lockfile.changes import compare_locks, wheel_bytes
from cudaforge.lockfile.effects import KnownGpus
from cudaforge.lockfile.model import Lock
from cudaforge.report.differences import describe_days, image_json, summarise_image
from cudaforge.report.tables import paragraph, table
from cudaforge.units import bytes_text

NO_WARNINGS: Mapping[str, Sequence[str]] = MappingProxyType({})
_NAMED = 3


def describe_lock(
    path: Path,
    lock: Lock,
    previous: Lock | None,
    *,
    gpus: KnownGpus,
    warnings: Mapping[str, Sequence[str]] = NO_WARNINGS,
) -> str:
    """What is locked, one line per image, what has to be known of it, and what that changes."""
    rows = [
        (
            image.name,
            ", ".join(f"{it.name} {it.reported}" for it in image.frameworks),
            image.cuda or "none",
            image.python,
            image.base.reference,
            str(len(image.closure.wheels)),
            bytes_text(wheel_bytes(image.closure)),
        )
        for image in lock.images
    ]
    header = ("image", "frameworks", "cuda", "python", "base", "wheels", "bytes")
    dropped = [
        paragraph(f"{point.name} is dropped: {' and '.join(point.core)} cannot hold", indent="  ", first="")
        for point in lock.dropped
    ]
    parts = [table(header, rows), *(["\n".join(dropped)] if dropped else [])]
    parts += [describe_warnings(warnings)] if warnings else []
    return "\n\n".join([*parts, f"{path}: {describe_changes(lock, previous, gpus=gpus)}"])


def describe_warnings(warnings: Mapping[str, Sequence[str]]) -> str:
    """Each warning once, with the images that it is about."""
    images: dict[str, list[str]] = {}
    for name, texts in warnings.items():
        for text in texts:
            images.setdefault(text, []).append(name)
    return "\n".join(
        paragraph(f"{_some(names)}: {text}", first="  warning  ", indent=" " * 11)
        for text, names in images.items()
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def describe_changes(lock: Lock, previous: Lock | None, *, gpus: KnownGpus) -> str:
    """What the new lock changes, one line per image, after one for the day that it is as of."""
    found = compare_locks(previous, lock, gpus=gpus)
    lines = []
    if previous is not None and previous.as_of != lock.as_of:
        lines.append(describe_days(previous.as_of, lock.as_of))
    lines += [summarise_image(change, gpus=gpus) for change in found.images]
    if not lines:
        return "nothing changed"
    return "\n  ".join(["locked", *lines]) if len(lines) > 1 else f"locked {lines[0]}"


def lock_json(path: Path, lock: Lock, previous: Lock | None, *, gpus: KnownGpus) -> dict[str, object]:
    """The JSON form of `lock`."""
    return {
        "lock": str(path),
        "as_of": lock.as_of,
        "changes": [image_json(one) for one in compare_locks(previous, lock, gpus=gpus).images],
        "images": [
            {
                "name": image.name,
                "digest": image.digest,
                "base": {"reference": image.base.reference, "digest": image.base.digest},
                "closure": image.closure.file,
                "wheels": len(image.closure.wheels),
                "bytes": wheel_bytes(image.closure),
            }
            for image in lock.images
        ],
        "dropped": [{"name": point.name, "core": list(point.core)} for point in lock.dropped],
    }
