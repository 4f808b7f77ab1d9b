"""Which GPUs a library has code for: the headers of the fat binaries in it, and the flags that it names.

The layout of fat binaries is explained in `cudaforge/measurer/fatbins.py`, which reads the same out of
wheels. This one reads on the spot: a framework's largest library has more than a gigabyte, of which the
headers are little.
"""

import mmap
import re
import struct
from collections import Counter
from typing import Dict, Iterator, Tuple

from cudaforge.verifier.probes.elf import File, Malformed, sections

_SECTIONS = (".nv_fatbin", "__nv_relfatbin", ".nv_relfatbin")
_TEXTS = (".rodata", ".data.rel.ro")
_CONTAINER, _ENTRY, _LONGEST_ENTRY = 16, 32, 4096
"""Lengths of headers."""
_MAGIC = b"\x50\xed\x55\xba"
_PTX, _CUBINS = 1, (2, 16)
_MOST_ENTRIES = 500000
_FLAG = rb"(?:sm|compute)_\d{2,3}[a-z]?"
_FLAGS = re.compile(rb"(" + _FLAG + rb"(?: " + _FLAG + rb"){1,63})\0")


def read_window(path: str) -> Dict[str, object]:
    """How many of a library's fat binaries have code for which capability. Raises Malformed, OSError."""
    found = Counter()  # type: Counter[Tuple[str, int]]
    containers = 0
    with File(path) as file:
        places = sections(file, _SECTIONS)
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for offset, length in places:
            for codes in _containers(data, offset, offset + length):
                containers += bool(codes)
                found.update(codes)
                if containers > _MOST_ENTRIES:
                    raise Malformed("it has more fat binaries than any library that is known")
    return {
        "path": path,
        "containers": containers,
        "cubins": {str(number): count for (kind, number), count in sorted(found.items()) if kind == "cubin"},
        "ptx": {str(number): count for (kind, number), count in sorted(found.items()) if kind == "ptx"},
    }


def read_flags(path: str) -> "list[str]":
    """The lists of architectures that a library names as texts. Raises Malformed, OSError."""
    with File(path) as file:
        places = sections(file, _TEXTS)
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = {
            match.group(1).decode("ascii")
            for offset, length in places
            for match in _FLAGS.finditer(data, offset, offset + length)
        }
    return sorted(found)[:8]


def _containers(data: mmap.mmap, place: int, end: int) -> "Iterator[frozenset[Tuple[str, int]]]":
    while True:
        start = data.find(_MAGIC, place, end)
        if start < 0 or start + _CONTAINER > end:
            return
        version, header, length = struct.unpack_from("<HHQ", data, start + 4)
        place = start + header + length
        if version != 1 or header < _CONTAINER or place > end:
            raise Malformed("one of its fat binaries is broken")
        yield frozenset(_entries(data, start + header, place))


def _entries(data: mmap.mmap, place: int, end: int) -> Iterator[Tuple[str, int]]:
    while place + _ENTRY <= end:
        kind, _, header, length = struct.unpack_from("<HHIQ", data, place)
        (number,) = struct.unpack_from("<I", data, place + 28)
        if not _ENTRY <= header <= _LONGEST_ENTRY or place + header + length > end:
            raise Malformed("an entry of one of its fat binaries is broken")
        if kind == _PTX:
            yield "ptx", number
        elif kind in _CUBINS:
            yield "cubin", number
        place += header + length
