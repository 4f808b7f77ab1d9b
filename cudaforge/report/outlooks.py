"""What could move, and what was moved, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cudaforge.display import visible
from cudaforge.errors import Problem
from cudaforge.lockfile.changes import compare_locks
from cudaforge.lockfile.effects import KnownGpus
from cudaforge.lockfile.model import Lock
from cudaforge.lockfile.outlook import ImageOutlook, Outlook
from cudaforge.report.changes import describe_unreachable
from cudaforge.report.differences import describe_image, field_name, image_json, labelled
from cudaforge.report.tables import paragraph
from cudaforge.resolver import HeldBack


def describe_outlook(outlook: Outlook) -> str:
    """A block for each image: what an upgrade loses, gains and moves, and what its wishes hold back; then
    what could not be asked, and the day that holds the lock."""
    parts = [_describe(image, outlook) for image in outlook.images]
    unasked = describe_unreachable(outlook.unasked).splitlines()
    parts += ["\n".join(map(visible, unasked))] if unasked else []
    parts += [visible(_day(outlook.as_of, outlook.later))] if outlook.as_of is not None else []
    return "\n\n".join(parts)


def outlook_json(outlook: Outlook) -> dict[str, object]:
    """The JSON form of `outdated`."""
    return {
        "lock": str(outlook.path),
        "up_to_date": outlook.is_current,
        "as_of": outlook.as_of,
        "later": list(outlook.later),
        "images": [_image_json(image) for image in outlook.images],
        "not_asked": [{"source": source, "because": reason} for source, reason in outlook.unasked],
    }


def describe_upgrade(path: Path, lock: Lock, previous: Lock | None, *, dry_run: bool, gpus: KnownGpus) -> str:
    """What an upgrade gained and lost, image by image; a dry run says that nothing is written."""
    changes = compare_locks(previous, lock, gpus=gpus).images
    parts = [describe_image(change, gpus=gpus) for change in changes]
    count = f"{len(changes)} of {len(lock.images)} images"
    moved = f"{path}: {count} moved" if changes else f"{path}: nothing moved"
    end = f"dry run: {path} stays as it is; {count} would move" if dry_run else moved
    return "\n\n".join([*parts, end])


def upgrade_json(
    path: Path, lock: Lock, previous: Lock | None, *, dry_run: bool, gpus: KnownGpus
) -> dict[str, object]:
    """The JSON form of `upgrade`."""
    return {
        "lock": str(path),
        "dry_run": dry_run,
        "images": [image_json(change) for change in compare_locks(previous, lock, gpus=gpus).images],
        "dropped": [{"name": point.name, "core": list(point.core)} for point in lock.dropped],
    }


def _day(day: str, later: Sequence[str]) -> str:
    """That the lock is held to its day, what that keeps away, and what moves the day."""
    held = f"the lock is as of {day}, and an upgrade stays on that day"
    mend = "cudaforge lock --as-of DAY moves it, and none for DAY leaves it"
    return "\n".join(
        [paragraph(f"{held}: {mend}"), *(paragraph(text, first="  ", indent="    ") for text in later)]
    )


def _describe(image: ImageOutlook, outlook: Outlook) -> str:
    if image.change is None:
        lines = [f"{image.name}: cannot be upgraded"]
        lines += [labelled(label, text) for problem in image.blocked for label, text in _told(problem)]
    elif image.is_current:
        lines = [f"{image.name}: {'nothing to move that is known' if outlook.unasked else 'up to date'}"]
    else:
        lines = [describe_image(image.change, gpus=outlook.gpus, heading="could move")]
    return "\n".join([*lines, *(labelled("held", _held(one)) for one in image.held_back)])


def _held(held: HeldBack) -> str:
    return f"{field_name(held.field)} {held.value} is held back by {' and '.join(held.by)}"


def _told(problem: Problem) -> Iterator[tuple[str, str]]:
    for text in (problem.what, *problem.because):
        yield "because", text
    if problem.remedy:
        yield from (("try", text) for text in problem.remedy.splitlines())


def _image_json(image: ImageOutlook) -> dict[str, object]:
    held = [{"field": one.field, "value": one.value, "by": list(one.by)} for one in image.held_back]
    blocked = [{"what": one.what, "because": list(one.because), "try": one.remedy} for one in image.blocked]
    if image.change is None:
        return {"name": image.name, "status": "blocked", "blocked": blocked, "held_back": held}
    return {**image_json(image.change), "held_back": held}
