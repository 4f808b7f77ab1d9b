"""Locking a declaration: deciding, given this site's package indexes, registries and OS archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cudaforge import __version__
from cudaforge.declaration.model import Declaration, ImageDeclaration
from cudaforge.errors import NegativeAnswer
from cudaforge.files import held_lock
from cudaforge.lockfile.compose import NewEntry, lock_image
from cudaforge.lockfile.model import DroppedPoint, Lock, LockedImage
from cudaforge.lockfile.store import find_staleness, read_lock, write_lock
from cudaforge.packages.closure import resolve_closure
from cudaforge.packages.model import ClosureRequest, LockedWheel
from cudaforge.packages.site import Site
from cudaforge.packages.uv import uv_version
from cudaforge.pipeline.bases import BasePins
from cudaforge.pipeline.decide import Note, matrix_of, require_answers, resolve
from cudaforge.pipeline.host import ignore, lock_path, state_directory
from cudaforge.pipeline.outside import DigestSource, find_site
from cudaforge.records import record
from cudaforge.resolver import ImageAnswer, Resolution
from cudaforge.resolver.model import Conflict

_WORKERS = 4
_WAIT_SECONDS = 3600.0


@record()
class LockOutcome:
    """A lock that was made, and the one that it replaces."""

    path: Path
    lock: Lock
    previous: Lock | None


def lock(
    declaration: Declaration,
    *,
    allow_unpinned: bool = False,
    offline: bool = False,
    upgrade: bool = False,
    on_note: Note = ignore,
) -> LockOutcome:
    """Pin every image of the declaration and write the lock beside it.

    What an earlier lock pins is kept where it still fits, unless `upgrade`. Raises NegativeAnswer
    where wishes collide, SurroundingsError where an index, a registry or the OS archive does not answer;
    the old lock is then as it was.
    """
    path = lock_path(declaration)
    with held_lock(state_directory(declaration) / "lock.pid", timeout=_WAIT_SECONDS, on_wait=on_note):
        previous = _read_previous(path, on_note)
        if previous is not None and not upgrade and _is_current(previous, declaration, allow_unpinned):
            return LockOutcome(path=path, lock=previous, previous=previous)
        answers = resolve(declaration)
        require_answers(declaration, answers)
        site = find_site(declaration, offline=offline)
        source = DigestSource(site=site, allow_unpinned=allow_unpinned, on_note=on_note)
        kept = {} if previous is None or upgrade else {image.name: image for image in previous.images}
        pins = BasePins(
            previous=[image.base for image in kept.values()], offline=offline, find_digest=source.find
        )
        entries = _lock_images(declaration, answers, kept=kept, pins=pins, site=site)
        made = Lock(
            project=declaration.project,
            declaration=declaration.digest,
            matrix=matrix_of(declaration).revision,
            tools={"cudaforge": __version__, "uv": uv_version()},
            images=tuple(entry.image for entry in entries),
            dropped=_dropped(answers),
        )
        write_lock(made, {entry.image.closure.file: entry.closure_text for entry in entries}, path)
    return LockOutcome(path=path, lock=made, previous=previous)


def _read_previous(path: Path, on_note: Note) -> Lock | None:
    if not path.exists():
        return None
    try:
        return read_lock(path)
    except NegativeAnswer as error:
        on_note(f"{error.problems[0].what}: it is made anew")
        return None


def _is_current(lock: Lock, declaration: Declaration, allow_unpinned: bool) -> bool:  # noqa: FBT001
    is_pinned = allow_unpinned or all(image.base.digest for image in lock.images)
    same_facts = lock.matrix == matrix_of(declaration).revision
    return is_pinned and same_facts and not find_staleness(lock, declaration)


def _lock_images(
    declaration: Declaration,
    answers: Sequence[ImageAnswer],
    *,
    kept: Mapping[str, LockedImage],
    pins: BasePins,
    site: Site,
) -> list[NewEntry]:
    images = {image.name: image for image in declaration.images}

    def find_wheels(request: ClosureRequest) -> tuple[LockedWheel, ...]:
        return resolve_closure(request, site)

    def lock_one(answer: tuple[ImageDeclaration, Resolution]) -> NewEntry:
        image, resolution = answer
        return lock_image(
            image,
            resolution,
            project=declaration.project,
            registry=declaration.registry,
            resolve_packages=find_wheels,
            pin_base=pins.pin,
            preferred=kept[image.name].closure.wheels if image.name in kept else (),
        )

    resolved = [
        (images[answer.name], answer.answer) for answer in answers if isinstance(answer.answer, Resolution)
    ]
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        return list(pool.map(lock_one, resolved))


def _dropped(answers: Sequence[ImageAnswer]) -> tuple[DroppedPoint, ...]:
    return tuple(
        DroppedPoint(name=answer.name, core=answer.answer.core)
        for answer in answers
        if isinstance(answer.answer, Conflict)
    )
