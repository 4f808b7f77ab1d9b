"""The dynamic loader's cache, `/etc/ld.so.cache`, for a tree that no ldconfig can run in.

Format: glibc, sysdeps/generic/dl-cache.h, `struct cache_file_new`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from cudaforge.bootstrap.tree import Entry, Kind, Tree
from cudaforge.records import record

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_LITTLE_ENDIAN = 2


@record()
class _Platform:
    directory: str
    flags: int
    """FLAG_ELF_LIBC6 with what dl-cache.h says for the architecture."""


_PLATFORMS: Mapping[str, _Platform] = {
    "amd64": _Platform(directory="x86_64-linux-gnu", flags=0x0303),
    "arm64": _Platform(directory="aarch64-linux-gnu", flags=0x0A03),
}

_ELF_64_LITTLE = b"\x7fELF\x02\x01"
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<QQ")
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_STRTAB, _DT_SONAME = 0, 5, 14


def add_loader_cache(tree: Tree, *, architecture: str) -> None:
    """Add a cache of the shared libraries in the default directories.

    For an architecture whose flags are not known there is none: the loader works without.
    """
    platform = _PLATFORMS.get(architecture)
    if platform is not None:
        libraries = dict(_find_libraries(tree, f"usr/lib/{platform.directory}"))
        tree.add_file("etc/ld.so.cache", dump_cache(libraries, flags=platform.flags))


def dump_cache(libraries: Mapping[str, str], *, flags: int) -> bytes:
    """A cache that leads from each name to its path."""
    # The loader bisects the entries, in descending order of its own comparison.
    names = sorted(libraries, key=_comparable, reverse=True)
    start = _HEADER.size + _ENTRY.size * len(names)
    strings, entries = bytearray(), bytearray()
    for name in names:
        key = start + len(strings)
        strings += name.encode() + b"\0"
        value = start + len(strings)
        strings += libraries[name].encode() + b"\0"
        entries += _ENTRY.pack(flags, key, value, 0, 0)
    header = _HEADER.pack(_MAGIC, len(names), len(strings), _LITTLE_ENDIAN, 0)
    return header + bytes(entries) + bytes(strings)


def find_soname(elf: bytes) -> str | None:
    """The name under which programs ask for this library; None for other files."""
    if not elf.startswith(_ELF_64_LITTLE):
        return None
    try:
        headers = tuple(_program_headers(elf))
        dynamic = next((header for header in headers if header[0] == _PT_DYNAMIC), None)
        if dynamic is None:
            return None
        values = dict(_dynamic_values(elf, offset=dynamic[2], size=dynamic[5]))
        if _DT_SONAME not in values:
            return None
        start = _file_offset(headers, values[_DT_STRTAB]) + values[_DT_SONAME]
        return elf[start : elf.index(b"\0", start)].decode("ascii")
    except (KeyError, ValueError, struct.error):
        return None


def _find_libraries(tree: Tree, directory: str) -> Iterator[tuple[str, str]]:
    for path in tree.below(directory):
        name = path.rpartition("/")[2]
        if path != f"{directory}/{name}" or ".so" not in name or not name.startswith(("lib", "ld-")):
            continue
        soname = _soname_of(tree, tree[path], directory)
        if soname == name:
            # As ldconfig does: the directory as it is written in the loader's configuration, without /usr.
            yield name, f"/lib/{path.removeprefix('usr/lib/')}"


def _soname_of(tree: Tree, entry: Entry, directory: str) -> str | None:
    if entry.kind is Kind.SYMLINK:
        target = f"{directory}/{entry.target}"
        return _soname_of(tree, tree[target], directory) if target in tree and target != entry.path else None
    return find_soname(entry.read()) if entry.kind is Kind.FILE else None


def _program_headers(elf: bytes) -> Iterator[tuple[int, ...]]:
    (offset,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for position in range(count):
        yield _PROGRAM_HEADER.unpack_from(elf, offset + position * size)


def _dynamic_values(elf: bytes, *, offset: int, size: int) -> Iterator[tuple[int, int]]:
    for position in range(offset, offset + size, _DYNAMIC.size):
        tag, value = _DYNAMIC.unpack_from(elf, position)
        if tag == _DT_NULL:
            return
        yield tag, value


def _file_offset(headers: tuple[tuple[int, ...], ...], address: int) -> int:
    for kind, _, offset, start, _, size, *_ in headers:
        if kind == _PT_LOAD and start <= address < start + size:
            return offset + address - start
    raise ValueError(f"no segment holds the address {address:#x}")


def _comparable(name: str) -> tuple[tuple[int, int], ...]:
    """An order equal to glibc's `_dl_cache_libcmp`: digits as numbers, and after every other character."""
    keys: list[tuple[int, int]] = []
    position = 0
    while position < len(name):
        end = position
        while end < len(name) and name[end].isdigit():
            end += 1
        if end > position:
            keys.append((2, int(name[position:end])))
            position = end
        else:
            keys.append((1, ord(name[position])))
            position += 1
    return tuple(keys)
