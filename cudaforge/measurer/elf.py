"""What a shared object says of itself: the libraries and symbol versions that it needs, its sections.

The layout is that of the System V ABI and of the Linux Standard Base (symbol versions). All that is
read from the file is bounded, whatever the file claims.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from cudaforge.measurer.readable import Buffered, Malformed, Readable, read_exactly
from cudaforge.records import record

_MAGIC = b"\x7fELF"
_CLASS_64, _LITTLE_ENDIAN = 2, 1
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_DYNAMIC_ENTRY = struct.Struct("<qQ")
_NEED = struct.Struct("<HHIII")
_NEED_ENTRY = struct.Struct("<IHHII")
_TYPE_DYNAMIC, _TYPE_NOBITS, _TYPE_VERSION_NEEDS = 6, 8, 0x6FFFFFFE
_TAG_END, _TAG_NEEDED = 0, 1
_WEAK = 2
"""A version that the loader does without."""
_LONGEST_TABLE = 4 * 1024 * 1024
_LONGEST_NAME = 4096
_LONGEST_SECTION_NAME = 64
_MOST_NAMES = 10_000
_MACHINES = {62: "x86_64", 183: "aarch64"}


@record()
class Section:
    """One section of the file."""

    name: str
    offset: int
    size: int


@record()
class ElfFile:
    """What one file says."""

    machine: str
    """`x86_64`, `aarch64`, or the number that stands for another one."""
    sections: tuple[Section, ...]
    """Those that have bytes in the file."""
    needed: tuple[str, ...]
    """The libraries that it loads by name, `libcudart.so.12`."""
    versions: tuple[str, ...]
    """The symbol versions that it cannot do without, `GLIBC_2.17`."""


@record(kw_only=False)
class _Header:
    name: int
    kind: int
    offset: int
    size: int
    link: int


def read_elf(file: Readable) -> ElfFile:
    """What a 64-bit little-endian file says. Raises Malformed for all else."""
    buffered = Buffered(file, piece=64 * 1024)
    ident, _, machine, _, _, _, place, _, _, _, _, entry_size, count, names = _HEADER.unpack(
        read_exactly(buffered, 0, _HEADER.size, "its header")
    )
    if ident[:4] != _MAGIC or ident[4] != _CLASS_64 or ident[5] != _LITTLE_ENDIAN:
        raise Malformed("it is no 64-bit little-endian ELF file")
    if place == 0 or entry_size != _SECTION.size:
        raise Malformed("it has no section headers")
    headers = _read_headers(buffered, place, count)
    if names >= len(headers):
        raise Malformed("its section names are missing")
    return ElfFile(
        machine=_MACHINES.get(machine, str(machine)),
        sections=tuple(_sections(buffered, headers, headers[names])),
        needed=_few(_needed(buffered, headers)),
        versions=_few(_versions(buffered, headers)),
    )


def _few(names: Iterator[str]) -> tuple[str, ...]:
    """Each once. Raises Malformed where there are more than any file has."""
    found: dict[str, None] = {}
    for number, name in enumerate(names):
        if number == _MOST_NAMES:
            raise Malformed(f"it names more than {_MOST_NAMES} libraries or versions")
        found[name] = None
    return tuple(found)


def _read_headers(file: Readable, place: int, count: int) -> list[_Header]:
    table = read_exactly(file, place, count * _SECTION.size, "its table of sections")
    headers = []
    for name, kind, _, _, offset, size, link, _, _, _ in _SECTION.iter_unpack(table):
        if kind != _TYPE_NOBITS and size and offset + size > file.size:
            raise Malformed("one of its sections lies beyond its end")
        headers.append(_Header(name, kind, offset, size, link))
    return headers


def _sections(file: Readable, headers: Sequence[_Header], names: _Header) -> Iterator[Section]:
    table = _content(file, names, "its section names")
    for header in headers:
        if header.kind != _TYPE_NOBITS and header.size:
            name = table[header.name : header.name + _LONGEST_SECTION_NAME].split(b"\0", 1)[0]
            yield Section(name=name.decode("utf-8", "replace"), offset=header.offset, size=header.size)


def _needed(file: Readable, headers: Sequence[_Header]) -> Iterator[str]:
    for header in headers:
        if header.kind == _TYPE_DYNAMIC:
            strings = _linked(headers, header)
            content = _content(file, header, "its dynamic section")
            for tag, value in _DYNAMIC_ENTRY.iter_unpack(content[: len(content) // 16 * 16]):
                if tag == _TAG_END:
                    break
                if tag == _TAG_NEEDED:
                    yield _string(file, strings, value)


def _versions(file: Readable, headers: Sequence[_Header]) -> Iterator[str]:
    for header in headers:
        if header.kind == _TYPE_VERSION_NEEDS:
            strings = _linked(headers, header)
            content = _content(file, header, "its table of needed versions")
            for place in _chain(content, 0, _NEED, 4):
                first = place + _NEED.unpack_from(content, place)[3]
                for entry in _chain(content, first, _NEED_ENTRY, 4):
                    _, flags, _, name, _ = _NEED_ENTRY.unpack_from(content, entry)
                    if not flags & _WEAK:
                        yield _string(file, strings, name)


def _chain(content: bytes, place: int, shape: struct.Struct, following: int) -> Iterator[int]:
    """The places of entries that each say how far it is to the next; they only go forward."""
    while True:
        if place + shape.size > len(content):
            raise Malformed("its table of needed versions is broken")
        yield place
        step = shape.unpack_from(content, place)[following]
        if step == 0:
            return
        place += step


def _linked(headers: Sequence[_Header], header: _Header) -> _Header:
    if header.link >= len(headers):
        raise Malformed("its strings are missing")
    return headers[header.link]


def _content(file: Readable, header: _Header, what: str) -> bytes:
    if header.size > _LONGEST_TABLE:
        raise Malformed(f"{what} is larger than any that is known")
    return read_exactly(file, header.offset, header.size, what)


def _string(file: Readable, table: _Header, place: int) -> str:
    if place >= table.size:
        raise Malformed("one of its names lies beyond its strings")
    length = min(_LONGEST_NAME, table.size - place)
    return file.read_at(table.offset + place, length).split(b"\0", 1)[0].decode("utf-8", "replace")
