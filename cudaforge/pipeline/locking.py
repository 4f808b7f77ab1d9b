"""Locking a declaration: deciding, given this site's package indexes, registries and OS archive."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cudaforge import __version__
from cudaforge.declaration.model import Declaration
from cudaforge.declaration.written import written_values
from cudaforge.display import visible
from cudaforge.errors import InputError, Location, NegativeAnswer, Problem
from cudaforge.files import held_lock
from cudaforge.lockfile.declared import pack
from cudaforge.lockfile.model import DroppedPoint, Lock, LockedImage
from cudaforge.lockfile.salvage import Remains
from cudaforge.lockfile.store import (
    drop_unnamed,
    find_staleness,
    has_own_wheels,
    read_lock,
    read_remains,
    settle_closures,
    write_lock,
    write_wheels,
)
from cudaforge.packages.uv import uv_version
from cudaforge.pipeline.bases import BasePins, bootstrapped_base, find_gone
from cudaforge.pipeline.days import check_day
from cudaforge.pipeline.decide import Note, load_current_lock, matrix_of, require_answers, resolve
from cudaforge.pipeline.entries import earlier_of_each, lock_images, moves_of
from cudaforge.pipeline.fitting import Fitted
from cudaforge.pipeline.host import ignore, lock_path, open_state
from cudaforge.pipeline.outside import DigestSource, find_site
from cudaforge.records import made as made_by
from cudaforge.records import record, replace
from cudaforge.report.tables import names_text
from cudaforge.resolver import Resolution
from cudaforge.resolver.model import Conflict

NO_DAY = "none"
_WAIT_SECONDS = 3600.0


@record()
class LockOutcome:
    """A lock that was made, and the one that it replaces."""

    path: Path
    lock: Lock
    previous: Lock | None
    moves: Mapping[str, str] = made_by(default_factory=dict)
    """By image, what its packages moved away from the best answer, and why, in words."""
    warnings: Mapping[str, tuple[str, ...]] = made_by(default_factory=dict)
    """By image, what has to be known of what was chosen in this run; nothing for what is kept as it is."""


def lock(
    declaration: Declaration,
    *,
    as_of: str | None = None,
    allow_unpinned: bool = False,
    offline: bool = False,
    on_note: Note = ignore,
) -> LockOutcome:
    """Pin every image of the declaration and write the lock beside it.

    `as_of` is the day that facts and packages are taken from: None for that of the earlier lock, if it has
    one, and `NO_DAY` for none. What an earlier lock of the same day chose and pinned is kept where it still
    fits: `upgrade` is what moves it. Of a damaged one is kept what is whole, and notes say what is lost.
    Raises NegativeAnswer where wishes collide, InputError for what is no day and for the lock of another
    declaration, SurroundingsError where an index, a registry or the OS archive does not answer; the old lock
    is then as it was.
    """
    path = lock_path(declaration)
    with hold_lock(declaration, on_note):
        before = _read_before(path, as_of, on_note)
        previous = before.lock
        _refuse_other(previous if before.is_whole else None, declaration)
        declaration = _dated(declaration, as_of, previous, on_note)
        is_whole = before.is_whole and previous is not None and has_own_wheels(previous, path)
        site = find_site(declaration, offline=offline)
        gone = {} if offline else find_gone(before.images.values(), site=site)
        for note in _gone_notes(gone, before.images.values()):
            on_note(note)
        is_usable = is_whole and not gone
        if previous is not None and is_usable and _is_current(previous, declaration, allow_unpinned):
            drop_unnamed(previous, path)
            return LockOutcome(path=path, lock=previous, previous=previous)
        is_same_day = previous is not None and previous.as_of == declaration.as_of
        kept = before.images if is_same_day else {}
        answers = resolve(declaration, earlier=earlier_of_each(kept))
        require_answers(declaration, answers)
        source = DigestSource(site=site, allow_unpinned=allow_unpinned, on_note=on_note)
        pins = BasePins(
            previous=[image.base for image in before.images.values()],
            gone=gone,
            find_base=source.find,
            make_base=partial(bootstrapped_base, site=site, offline=offline),
        )
        fitted = lock_images(
            declaration,
            answers,
            kept=kept,
            pins=pins,
            site=site,
            on_note=on_note,
        )
        entries = [one.entry for one in fitted.values() if one.entry is not None]
        made = Lock(
            project=declaration.project,
            file=_file_name(declaration),
            declaration=declaration.digest,
            matrix=matrix_of(declaration).revision,
            tools=tools(),
            as_of=declaration.as_of,
            images=tuple(entry.image for entry in entries),
            dropped=dropped_points(fitted),
            declared=pack(written_values(declaration)),
        )
        write_wheels(made, own_wheels(declaration), path)
        write_lock(made, {entry.image.closure.file: entry.closure_text for entry in entries}, path)
    return LockOutcome(
        path=path,
        lock=made,
        previous=previous,
        moves=moves_of(fitted),
        warnings=warnings_of(declaration, fitted),
    )


def warnings_of(declaration: Declaration, fitted: Mapping[str, Fitted]) -> Mapping[str, tuple[str, ...]]:
    """What has to be known of the answers and of their packages, by image."""
    releases = matrix_of(declaration).cudnn_releases
    names = {package for release in releases for package in release.packages.values()}
    told = {
        name: (*one.answer.warnings, *_unused_cuda(one, names))
        for name, one in fitted.items()
        if isinstance(one.answer, Resolution)
    }
    return {name: warnings for name, warnings in told.items() if warnings}


def _unused_cuda(fitted: Fitted, names: Collection[str]) -> Iterator[str]:
    """That the packages of a CPU twin bring CUDA, gigabytes that nobody asked for."""
    if fitted.entry is None or not isinstance(fitted.answer, Resolution) or fitted.answer.cuda is not None:
        return
    brought = [wheel.package for wheel in fitted.entry.image.closure.wheels if wheel.package in names]
    if brought:
        yield f"a CPU twin is asked for, and its packages bring CUDA: {', '.join(brought)}"


def own_wheels(declaration: Declaration) -> Mapping[str, Path]:
    """The wheels of the project, by their SHA-256."""
    wheels = [wheel for image in declaration.images for wheel in image.contents.wheels]
    return {wheel.sha256: declaration.root / wheel.path for wheel in wheels}


@contextmanager
def hold_lock(declaration: Declaration, on_note: Note) -> Iterator[None]:
    """One process at a time locks a project. What an earlier one left that was killed is settled first."""
    state = open_state(declaration)
    with held_lock(state / "lock.pid", timeout=_WAIT_SECONDS, on_wait=on_note):
        settle_closures(lock_path(declaration))
        yield


def dropped_points(fitted: Mapping[str, Fitted]) -> tuple[DroppedPoint, ...]:
    """The images without an answer, as a lock remembers them."""
    return tuple(
        DroppedPoint(name=name, core=one.answer.core)
        for name, one in fitted.items()
        if isinstance(one.answer, Conflict)
    )


def tools() -> Mapping[str, str]:
    """The versions of what makes a lock."""
    return {"cudaforge": __version__, "uv": uv_version()}


@record()
class _Before:
    """The lock that is there already."""

    lock: Lock | None
    """None for none; of a damaged one with the entries that can be read."""
    images: Mapping[str, LockedImage]
    """What of it may be kept, by image name."""
    is_whole: bool = True


def _read_before(path: Path, as_of: str | None, on_note: Note) -> _Before:
    """The earlier lock; of a damaged one what is whole, with a note of what is lost."""
    if not os.path.lexists(path):  # a link to nothing is told by reading it
        return _Before(lock=None, images={})
    try:
        found = read_lock(path)
    except NegativeAnswer as error:
        remains = read_remains(path)
        on_note(f"{error.problems[0].what}: it is made anew, and what is whole of it is kept")
        for note in _lost(remains):
            on_note(visible(note))
        if remains.lost_day is not None and as_of is None:
            on_note(remains.lost_day)
        return _Before(lock=remains.lock, images=remains.kept, is_whole=False)
    return _Before(lock=found, images={image.name: image for image in found.images})


def _file_name(declaration: Declaration) -> str:
    """The name of its file as a lock can write it: a byte that is no UTF-8 is a replacement character."""
    return os.fsencode(declaration.path.name).decode("utf-8", "replace")


def _refuse_other(previous: Lock | None, declaration: Declaration) -> None:
    """A directory has one lock: that of another declaration is not ours to replace, unless it was renamed."""
    name = _file_name(declaration)
    if previous is None or previous.file == name or not os.path.lexists(declaration.root / previous.file):
        return
    raise InputError(
        Problem(
            what=f"the lock beside {name} is that of {previous.file}",
            where=Location(file=str(lock_path(declaration))),
            remedy=f"give {name} a directory of its own (`extends` takes what both share), or declare its "
            f"images in {previous.file}",
        )
    )


def _lost(remains: Remains) -> Iterator[str]:
    """What is lost of the images, once for all that have lost the same."""
    if not remains.lock.images:
        yield "no image can be read in it: all are chosen anew"
        return
    together: dict[str, list[str]] = {}
    for name, trouble in remains.lost.items():
        together.setdefault(trouble, []).append(name)
    for trouble, names in together.items():
        yield f"{names_text(names)}: {trouble}"


def _gone_notes(gone: Mapping[str, str], images: Collection[LockedImage]) -> Iterator[str]:
    for digest, what in gone.items():
        names = [image.name for image in images if image.base.digest == digest]
        yield f"{what}: the base of {names_text(names)} is made of what it has now"


def _is_current(lock: Lock, declaration: Declaration, allow_unpinned: bool) -> bool:  # noqa: FBT001
    is_pinned = allow_unpinned or all(image.base.digest for image in lock.images)
    same_facts = lock.matrix == matrix_of(declaration).revision
    same_day = lock.as_of == declaration.as_of
    return is_pinned and same_facts and same_day and not find_staleness(lock, declaration)


def current_lock(declaration: Declaration, *, as_of: str | None = None) -> Lock:
    """The lock as it is. Raises NegativeAnswer where it is missing, damaged, stale or of another day than
    was asked for."""
    found = load_current_lock(of_day(declaration, as_of))
    if as_of == NO_DAY and found.as_of is not None:
        path = lock_path(declaration)
        raise NegativeAnswer(
            Problem(
                what=f"the lock is stale: it was made as of {found.as_of}",
                where=Location(file=str(path)),
                remedy=f"cudaforge lock --as-of {NO_DAY}",
            )
        )
    return found


def of_day(declaration: Declaration, as_of: str | None) -> Declaration:
    """The declaration of the day that was asked for. Raises InputError for what is no day."""
    if as_of is None or as_of == NO_DAY:
        return declaration
    return replace(declaration, as_of=check_day(as_of))


def _dated(declaration: Declaration, as_of: str | None, previous: Lock | None, on_note: Note) -> Declaration:
    if as_of is None and previous is not None and previous.as_of is not None:
        on_note(f"as of {previous.as_of}, as the lock was made; --as-of {NO_DAY} leaves that day")
        return replace(declaration, as_of=previous.as_of)
    return of_day(declaration, as_of)
