"""Which GPUs a library has code for: the fat binaries that NVIDIA's compiler puts into it.

A section holds one container after another: a header of 16 bytes (magic, version, its own length, the
length of what follows), then entries. Each entry has a header of its own (kind, version, its length, the
length of the payload, and the compute capability at byte 28), so that payloads, compressed or not, are
never looked at. The layout is not published: it is the one that ZLUDA (`zluda_common`), Cricket
(`cuda-fatbin-decompression`) and others found, and it has been the same from CUDA 9 to 13.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator

from cudaforge.measurer.elf import ElfFile
from cudaforge.measurer.readable import Buffered, Malformed, Readable
from cudaforge.records import record

SECTIONS = (".nv_fatbin", "__nv_relfatbin", ".nv_relfatbin")
_MAGIC = b"\x50\xed\x55\xba"
_CONTAINER = struct.Struct("<4sHHQ")
_ENTRY = struct.Struct("<HHIQ12sI")
_SHORTEST_ENTRY, _LONGEST_ENTRY = 32, 4096
_KIND_PTX, _KINDS_CUBIN = 1, (2, 16)
_SEARCHED = 1024 * 1024
_MOST_ENTRIES = 5_000_000
"""PyTorch has some 3,000 in its largest library, cuBLAS twice that."""


@record()
class Window:
    """How many of a library's containers have code for which compute capability, by its number (`90`)."""

    containers: int
    cubins: tuple[tuple[int, int], ...]
    ptx: tuple[tuple[int, int], ...]


def read_window(file: Readable, elf: ElfFile) -> Window | None:
    """The code in a library, None where it has none. Raises Malformed for broken containers."""
    found = Counter[tuple[str, int]]()
    containers = 0
    buffered = _Counted(Buffered(file))
    for section in elf.sections:
        if section.name in SECTIONS:
            for codes in _containers(buffered, section.offset, section.offset + section.size):
                containers += bool(codes)
                found.update(codes)
    if not containers:
        return None
    return Window(containers=containers, cubins=_counts(found, "cubin"), ptx=_counts(found, "ptx"))


class _Counted:
    """A file that is asked so often at most: each header costs one question."""

    def __init__(self, file: Readable) -> None:
        self._file, self._asked = file, 0

    @property
    def size(self) -> int:
        return self._file.size

    def read_at(self, offset: int, length: int) -> bytes:
        self._asked += 1
        if self._asked > _MOST_ENTRIES:
            raise Malformed("it has more fat binaries than any library that is known")
        return self._file.read_at(offset, length)


def _counts(found: Counter[tuple[str, int]], kind: str) -> tuple[tuple[int, int], ...]:
    return tuple(sorted((number, count) for (what, number), count in found.items() if what == kind))


def _containers(file: Readable, place: int, end: int) -> Iterator[frozenset[tuple[str, int]]]:
    """What each container of a section holds: kind and compute capability."""
    while (start := _next(file, place, end)) is not None:
        _, version, header, length = _CONTAINER.unpack(file.read_at(start, _CONTAINER.size))
        place = start + header + length
        if version != 1 or header < _CONTAINER.size or place > end:
            raise Malformed("one of its fat binaries is broken")
        yield frozenset(_entries(file, start + header, place))


def _next(file: Readable, place: int, end: int) -> int | None:
    """Where the next container begins: they are aligned, with zeros between them."""
    while place + _CONTAINER.size <= end:
        chunk = file.read_at(place, min(_SEARCHED, end - place))
        found = chunk.find(_MAGIC)
        if found >= 0:
            return place + found if place + found + _CONTAINER.size <= end else None
        place += max(1, len(chunk) - len(_MAGIC) + 1)
    return None


def _entries(file: Readable, place: int, end: int) -> Iterator[tuple[str, int]]:
    while place + _ENTRY.size <= end:
        kind, _, header, length, _, number = _ENTRY.unpack(file.read_at(place, _ENTRY.size))
        if not _SHORTEST_ENTRY <= header <= _LONGEST_ENTRY or place + header + length > end:
            raise Malformed("an entry of one of its fat binaries is broken")
        if kind == _KIND_PTX:
            yield "ptx", number
        elif kind in _KINDS_CUBIN:
            yield "cubin", number
        place += header + length


def merge(windows: Iterable[Window]) -> Window | None:
    """Several libraries as one."""
    known = list(windows)
    if not known:
        return None
    cubins, ptx = Counter[int](), Counter[int]()
    for window in known:
        cubins.update(dict(window.cubins))
        ptx.update(dict(window.ptx))
    return Window(
        containers=sum(window.containers for window in known),
        cubins=tuple(sorted(cubins.items())),
        ptx=tuple(sorted(ptx.items())),
    )
