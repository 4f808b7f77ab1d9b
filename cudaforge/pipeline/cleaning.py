"""Taking away what cudaforge made: images, containers, build cache, files. Never what others made."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.builder.bases import is_own_base
from cudaforge.builder.record import load_record
from cudaforge.builder.scratch import discard, find_abandoned
from cudaforge.declaration.model import Declaration
from cudaforge.doctor.leftovers import Cleaned, Kind, Leftover
from cudaforge.engine.model import RUN_LABEL
from cudaforge.errors import NegativeAnswer, SurroundingsError
from cudaforge.files import held_lock
from cudaforge.lockfile.store import read_lock
from cudaforge.pipeline.decide import Note
from cudaforge.pipeline.host import cache_directory, lock_path, state_directory
from cudaforge.pipeline.leftovers import dead_runs
from cudaforge.records import replace
from cudaforge.renderer.model import ENTRY_LABEL

if TYPE_CHECKING:
    from cudaforge.engine import Engine, ImageFacts

_WAIT_SECONDS = 5.0
_STATE = ("logs", "bake", "builds", "outcomes", "verdicts", "runs", "tmp", "results.json")
"""What a project's state directory has of ours, but for the files that runs hold each other off with."""
_CACHE_MOUNT = re.compile(r'with id "/?(?P<id>cudaforge-[^"]*)"')
_NAME_LENGTH = 70
_BASE_NAME = "cudaforge"
_OWN_STEP = "/run/cudaforge/"
_OWN_SOURCE = "local source for cudaforge-"
"""Begins the records of the contexts that builds are given: wheels and the installer."""
"""Where every step of ours that installs something has its mounts."""


def find(declaration: Declaration | None, engine: Engine) -> tuple[Leftover, ...]:
    """What cudaforge made: for one project, or for all where there is no declaration.

    What projects share, bases, build cache and the files that are kept between runs, counts for all alone.
    """
    own = None if declaration is None else _own_images(declaration)
    items = [*_containers(engine, declaration), *_images(engine, own)]
    if declaration is None:
        items += [*_bases(engine), *_cache(engine)]
    files = _shared_files() if declaration is None else _project_files(declaration)
    return (*items, *(_file(path) for path in (*files, *_abandoned(engine))))


def clean(
    items: Sequence[Leftover], declaration: Declaration | None, engine: Engine, *, on_note: Note
) -> Cleaned:
    """Take away what `find` found. What is used by now stays.

    Raises SurroundingsError while another run works on the project.
    """
    if declaration is None:
        return _remove_all(items, engine)
    lock = state_directory(declaration) / "build.pid"
    with held_lock(lock, timeout=_WAIT_SECONDS, on_wait=on_note):
        return _remove_all(items, engine)


def _remove_all(items: Sequence[Leftover], engine: Engine) -> Cleaned:
    done = []
    freed = 0
    for kind in Kind:
        chosen = [one for one in items if one.kind is kind and not one.is_kept]
        # Layers of an image may be held by others, or by the build cache: only the engine knows.
        before = engine.stored_bytes() if kind is Kind.IMAGE and chosen else 0
        for item in chosen:
            gone, count = _remove(item, engine)
            freed += count
            done.append(item if gone else replace(item, is_kept=True))
        freed += max(0, before - engine.stored_bytes()) if before else 0
    kept = [one for one in items if one.is_kept]
    return Cleaned(items=(*done, *kept), freed=freed)


def _remove(item: Leftover, engine: Engine) -> tuple[bool, int]:
    """Whether it is gone, and the bytes of it; none of images and of containers, which share them."""
    match item.kind:
        case Kind.CONTAINER:
            engine.remove_container(item.id)
            return True, 0
        case Kind.IMAGE | Kind.BASE:
            return engine.remove_unused_image(item.id), 0
        case Kind.CACHE:
            count = engine.remove_cache(item.id)
            return count > 0 or item.bytes == 0, count
        case Kind.FILE:
            path = Path(item.id)
            if path.is_dir() and not path.is_symlink():
                discard(path)
            else:
                path.unlink(missing_ok=True)
            return not path.exists(), item.bytes if not path.exists() else 0


def _containers(engine: Engine, declaration: Declaration | None) -> Iterator[Leftover]:
    """Containers of runs that ended; of all projects, those that run may be another run's."""
    dead = frozenset() if declaration is None else dead_runs(state_directory(declaration) / "runs")
    for one in engine.list_containers(RUN_LABEL):
        if declaration is not None and one.label not in dead:
            continue
        is_kept = one.is_running and one.label not in dead
        yield Leftover(kind=Kind.CONTAINER, name=one.name, id=one.id, bytes=0, is_kept=is_kept)


def _own_images(declaration: Declaration) -> tuple[frozenset[str], frozenset[str]]:
    """Tags and ids of what was built for a project."""
    try:
        tags = {tag for image in read_lock(lock_path(declaration)).images for tag in image.tags}
    except NegativeAnswer:
        tags = set()
    builds = state_directory(declaration) / "builds"
    records = [load_record(path) for path in sorted(builds.glob("*.json"))]
    return frozenset(tags), frozenset(one.image_id for one in records if one is not None)


def _images(engine: Engine, own: tuple[frozenset[str], frozenset[str]] | None) -> Iterator[Leftover]:
    for image in engine.list_images_by_label(ENTRY_LABEL):
        # Images that others made from one of ours have its labels, too, and a last step of their own.
        if ENTRY_LABEL not in engine.last_step(image.id):
            continue
        if own is None:
            names: Iterable[str] = image.tags or (image.id,)
        else:
            tags, ids = own
            names = _names_of(image, tags, is_own=image.id in ids)
        for name in names:
            yield Leftover(kind=Kind.IMAGE, name=name, id=name, bytes=image.size)


def _names_of(image: ImageFacts, tags: frozenset[str], *, is_own: bool) -> tuple[str, ...]:
    """The names under which the project has the image: those that it gave, not those that others added."""
    given = tuple(tag for tag in image.tags if tag in tags)
    return given or ((image.id,) if is_own and not image.tags else ())


def _bases(engine: Engine) -> Iterator[Leftover]:
    """Only our names of them: who has given one another name keeps the image."""
    for image in engine.list_images_by_name(lambda tag: _BASE_NAME in tag):
        for tag in image.tags:
            if is_own_base(tag, image.digests):
                yield Leftover(kind=Kind.BASE, name=tag, id=tag, bytes=image.size)


def _abandoned(engine: Engine) -> Sequence[Path]:
    """What killed runs left where temporary files are: ours, and those of Podman's builds."""
    places: list[Path | None] = [None]
    if engine.is_podman:
        with suppress(SurroundingsError):
            places.append(engine.require_podman().temporary)
    return tuple(dict.fromkeys(path for place in places for path in find_abandoned(place)))


def _cache(engine: Engine) -> Iterator[Leftover]:
    for one in engine.list_cache():
        if (
            _CACHE_MOUNT.search(one.description)
            or _OWN_STEP in one.description
            or one.description.startswith(_OWN_SOURCE)
        ):
            yield Leftover(kind=Kind.CACHE, name=_cache_name(one.description), id=one.id, bytes=one.size)


def _cache_name(description: str) -> str:
    """The id of a cache mount; of a step its first words."""
    mount = _CACHE_MOUNT.search(description)
    return mount["id"] if mount else " ".join(description.split())[:_NAME_LENGTH]


def _project_files(declaration: Declaration) -> tuple[Path, ...]:
    state = state_directory(declaration)
    if state.is_symlink():
        return ()
    return tuple(state / name for name in _STATE if os.path.lexists(state / name))


def _shared_files() -> tuple[Path, ...]:
    place = cache_directory()
    return tuple(sorted(place.iterdir())) if place.is_dir() and not place.is_symlink() else ()


def _file(path: Path) -> Leftover:
    return Leftover(kind=Kind.FILE, name=str(path), id=str(path), bytes=_size(path))


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a directory; links are not followed."""
    if not path.is_dir() or path.is_symlink():
        return _bytes(path)
    return sum(_bytes(Path(directory) / name) for directory, _, files in os.walk(path) for name in files)


def _bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
