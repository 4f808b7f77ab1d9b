"""What locked images are expected to weigh, and whether that fits on the disk of their engine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.declaration.model import Declaration
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.lockfile.model import LockedImage
from cudaforge.pipeline.decide import Note, resolve
from cudaforge.pipeline.entries import earlier_of_each
from cudaforge.records import record
from cudaforge.renderer.model import ENTRY_LABEL
from cudaforge.resolver import Resolution
from cudaforge.resolver.model import Size, SizePart
from cudaforge.units import bytes_text

if TYPE_CHECKING:
    from cudaforge.engine import Engine

_SHOWN = 3
_SHARED = ("wheels",)
"""Parts that count once, as large as the largest: frameworks side by side share what they depend on."""


def expected_answers(declaration: Declaration, locked: Mapping[str, LockedImage]) -> Mapping[str, Resolution]:
    """What the resolver thinks of the declared images, with what is locked kept, where there is an answer."""
    answers = resolve(declaration, earlier=earlier_of_each(locked))
    return {one.name: one.answer for one in answers if isinstance(one.answer, Resolution)}


@record()
class Need:
    """The least that images take on a disk while they are built."""

    bytes: int
    by_image: Mapping[str, int]
    """What each takes by itself; images that share a base or a closure share its bytes."""
    unknown: tuple[str, ...]
    """Images of which a part has no known size: they take more."""


def least_need(images: Sequence[LockedImage], sizes: Mapping[str, Size]) -> Need:
    """The sum of what is known: what is downloaded and what is unpacked are there together.

    A base and a closure that several images have are there once. What nobody knows is not counted.
    """
    bases: dict[str, int] = {}
    rest: dict[tuple[str, str], int] = {}
    by_image, unknown = {}, []
    for image in images:
        size = sizes.get(image.name)
        parts = size.parts if size is not None else ()
        base = sum(_bytes(one) for one in parts if one.kind == "base")
        other = sum(_others(parts))
        bases[image.base.reference] = max(base, bases.get(image.base.reference, 0))
        key = (image.base.reference, image.closure.sha256)
        rest[key] = max(other, rest.get(key, 0))
        by_image[image.name] = base + other
        if size is None or not size.known:
            unknown.append(image.name)
    return Need(bytes=sum(bases.values()) + sum(rest.values()), by_image=by_image, unknown=tuple(unknown))


def _others(parts: Sequence[SizePart]) -> Iterator[int]:
    yield from (_bytes(one) for one in parts if one.kind not in (*_SHARED, "base"))
    yield max((_bytes(one) for one in parts if one.kind in _SHARED), default=0)


def _bytes(part: SizePart) -> int:
    return (part.bytes.compressed or 0) + (part.bytes.installed or 0)


def check_disk(
    images: Sequence[LockedImage], engines: Sequence[Engine], *, declaration: Declaration, on_note: Note
) -> None:
    """Raise SurroundingsError where what is to be built is known not to fit on the disks of the engines.

    Looked at are engines whose data lies on this host; with several, what they have free together. Nothing is
    said where one of them is elsewhere or does not answer, or where every image is there already.
    """
    from cudaforge.engine import EngineError

    try:
        waiting = [image for image in images if not any(_has(engine, image) for engine in engines)]
        places = [_data_of(engine) for engine in engines]
    except EngineError:  # building tells it, and goes on without
        return
    known = [place for place in places if place is not None]
    if not waiting or not known or len(known) < len(places):
        return
    locked = {image.name: image for image in images}
    sizes = {name: one.size for name, one in expected_answers(declaration, locked).items()}
    need = least_need(waiting, sizes)
    disks = {place.stat().st_dev: shutil.disk_usage(place).free for place in known}
    text = _describe(need, sum(disks.values()), known, count=len(waiting))
    if need.bytes > sum(disks.values()):
        raise SurroundingsError(_too_small(need, sum(disks.values()), text, usage=engines[0].words.usage))
    if need.bytes:
        on_note(text)


def _describe(need: Need, free: int, places: Sequence[Path], *, count: int) -> str:
    least = "at least" if need.unknown else "about"
    where = " and ".join(dict.fromkeys(map(str, places)))
    images = f"{count} images" if count > 1 else "1 image"
    return f"{images} to build: {least} {bytes_text(need.bytes)}, of {bytes_text(free)} free at {where}"


def _too_small(need: Need, free: int, text: str, *, usage: str) -> Problem:
    largest = sorted(need.by_image, key=lambda name: -need.by_image[name])[:_SHOWN]
    because = [f"{bytes_text(need.bytes - free)} are missing"]
    because += [f"{name} takes {bytes_text(need.by_image[name])} by itself" for name in largest]
    if need.unknown:
        because.append(f"not counted is what nobody has weighed of {_names(need.unknown)}")
    return Problem(
        what=f"the disk is too small: {text}",
        because=tuple(because),
        remedy=f"free some: cudaforge clean, {usage}; or build fewer: cudaforge build IMAGE; or "
        "begin all the same: --no-disk-check",
    )


def _names(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _has(engine: Engine, image: LockedImage) -> bool:
    found = engine.find_image(image.tags[0])
    return found is not None and found.labels.get(ENTRY_LABEL) == image.digest


def _data_of(engine: Engine) -> Path | None:
    """Where an engine has its images; None where that is not on this host."""
    root = engine.info().get("DockerRootDir") if engine.address.is_local else None
    # Of an engine in a virtual machine, as Docker Desktop is, the directory is not here.
    return Path(root) if isinstance(root, str) and Path(root).is_dir() else None
