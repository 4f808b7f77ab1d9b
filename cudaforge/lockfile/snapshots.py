"""The snapshot of an OS archive that an image's OS packages come from, chosen by day. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from cudaforge.declaration.model import NO_SNAPSHOT, SNAPSHOT_OF_LOCK, ImageDeclaration
from cudaforge.errors import InputError, Location, Problem
from cudaforge.lockfile.model import LockedImage, LockedSnapshot
from cudaforge.matrix.model import SnapshotService
from cudaforge.records import record
from cudaforge.resolver.model import Resolution

_MADE_HERE = (
    "{} is made from the archive of this host as it is now, and so is what comes on top; "
    "os_snapshot takes both from a snapshot"
)
_OPT_OUT = "os_snapshot = false takes what the archive has on the day of building"


@record()
class SnapshotQuestion:
    """What the choice depends on, besides the image."""

    services: tuple[SnapshotService, ...]
    as_of: str | None
    """The day of `lock --as-of`."""
    today: date
    """In UTC."""
    file: str
    """The declaration, for messages."""


@record()
class SnapshotChoice:
    """The snapshot, or why there is none where `--as-of` would have taken one."""

    snapshot: LockedSnapshot | None = None
    obstacle: str | None = None


def choose_snapshot(
    image: ImageDeclaration,
    resolution: Resolution,
    question: SnapshotQuestion,
    *,
    earlier: LockedImage | None,
) -> SnapshotChoice:
    """The snapshot of the image's OS archive at the beginning of a day (UTC), whose past never changes.

    A declared day counts up to that of `--as-of`. For the day of locking, what an `earlier` entry with the
    same base has is kept. Raises InputError where a snapshot is declared and there can be none.
    """
    wish = image.contents.os_snapshot
    if wish == NO_SNAPSHOT or (wish is None and question.as_of is None):
        return SnapshotChoice()
    day = _day(wish, resolution, question, earlier)
    service = _service(question.services, resolution)
    obstacle = _obstacle(day, resolution, service, question.today)
    if wish is None and resolution.bootstrap_packages:
        obstacle = _MADE_HERE.format(resolution.base_image)
    if obstacle is None and service is not None:
        return SnapshotChoice(snapshot=_snapshot(service, day, resolution.os_codename))
    if wish is None:
        return SnapshotChoice(obstacle=obstacle)
    raise InputError(
        Problem(
            what=f"{image.name}: there is no snapshot of its OS packages: {obstacle}",
            where=Location(file=question.file, key=f"{image.key}.os_snapshot"),
            remedy=_OPT_OUT,
        )
    )


def _day(
    wish: str | None, resolution: Resolution, question: SnapshotQuestion, earlier: LockedImage | None
) -> date:
    limit = None if question.as_of is None else date.fromisoformat(question.as_of)
    if wish is not None and wish != SNAPSHOT_OF_LOCK:
        declared = date.fromisoformat(wish)
        return declared if limit is None else min(declared, limit)
    if limit is not None:
        return limit
    if earlier is not None and earlier.snapshot is not None:
        is_same = (earlier.base.reference, earlier.os) == (resolution.base_image, resolution.os)
        stamp = earlier.snapshot.timestamp
        if is_same:
            return date(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8]))
    return question.today


def _service(services: Iterable[SnapshotService], resolution: Resolution) -> SnapshotService | None:
    return next((one for one in services if one.family == resolution.os_family), None)


def _obstacle(day: date, resolution: Resolution, service: SnapshotService | None, today: date) -> str | None:
    if service is None:
        return f"no snapshots of the archive of {resolution.os} are known"
    if day > today:
        return f"{day} is still to come"
    if day < date.fromisoformat(service.since):
        return f"the snapshots of {service.name} begin on {service.since}, after {day}"
    return None


def _snapshot(service: SnapshotService, day: date, codename: str) -> LockedSnapshot:
    timestamp = f"{day:%Y%m%d}T000000Z"
    return LockedSnapshot(
        service=service.name,
        timestamp=timestamp,
        url=service.url,
        keyring=service.keyring,
        archives=tuple(
            one.replace("TIMESTAMP", timestamp).replace("CODENAME", codename) for one in service.archives
        ),
    )
