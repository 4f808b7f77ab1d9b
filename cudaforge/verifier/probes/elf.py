"""What a shared object tells the loader, and where its GPU code lies. Nothing of it is run.

The layout is the System V ABI's, for 64 bits and little-endian. The file is the image's: everything that is
read of it is bounded, whatever it claims.
"""

import os
import stat
import struct
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

LOAD, DYNAMIC = 1, 2
_END, _NEEDED, _STRINGS, _SONAME, _RPATH, _RUNPATH, _FLAGS_1 = 0, 1, 5, 14, 15, 29, 0x6FFFFFFB
_NO_DEFAULT = 0x800
_MOST_SEGMENTS, _MOST_SECTIONS, _MOST_ENTRIES, _MOST_NEEDED = 256, 4096, 8192, 1024
_LONGEST_NAME = 4096
_NO_BITS = 8
_SEGMENT_SIZE, _SECTION_SIZE = 56, 64


class Malformed(Exception):
    """The loader would refuse this file, or it is for another machine word; the text says why."""


class Elf(NamedTuple):
    """What one file says."""

    machine: int
    soname: Optional[str]
    needed: List[str]
    rpath: List[str]
    runpath: List[str]
    no_default: bool


class File:
    """A regular file, read in parts. Raises OSError, and Malformed for what is no regular file."""

    def __init__(self, path: str) -> None:
        # Opening a pipe would wait for its other end.
        self._number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        status = os.fstat(self._number)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise Malformed("it is no regular file")

    def read(self, offset: int, length: int) -> bytes:
        """Exactly so many bytes. Raises Malformed where the file is too short."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Malformed("it ends too early")
        found = os.pread(self._number, length, offset)
        if len(found) != length:
            raise Malformed("it ends too early")
        return found

    def close(self) -> None:
        """Let go of it."""
        os.close(self._number)

    def __enter__(self) -> "File":  # noqa: PYI034 -- Python 3.6 has no Self
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_elf(path: str) -> Elf:
    """What the file at a path says. Raises Malformed and OSError."""
    with File(path) as file:
        machine, headers, size, count = _header(file)
        if size < _SEGMENT_SIZE or count > _MOST_SEGMENTS:
            raise Malformed("its program headers are broken")
        segments = [struct.unpack("<IIQQQQ", file.read(headers + size * index, 40)) for index in range(count)]
        dynamic = [(offset, length) for kind, _, offset, _, _, length in segments if kind == DYNAMIC]
        entries = list(_entries(file, *dynamic[0])) if dynamic else []
        table = _place(segments, dict(entries).get(_STRINGS, 0))
        texts: Dict[int, List[str]] = {}
        for tag, value in entries:
            if tag in (_NEEDED, _SONAME, _RPATH, _RUNPATH):
                texts.setdefault(tag, []).append(_text(file, table + value))
        if len(texts.get(_NEEDED, ())) > _MOST_NEEDED:
            raise Malformed("it needs more libraries than any that is known")
        return Elf(
            machine=machine,
            soname=texts[_SONAME][0] if _SONAME in texts else None,
            needed=texts.get(_NEEDED, []),
            rpath=":".join(texts.get(_RPATH, [])).split(":") if _RPATH in texts else [],
            runpath=":".join(texts.get(_RUNPATH, [])).split(":") if _RUNPATH in texts else [],
            no_default=any(tag == _FLAGS_1 and value & _NO_DEFAULT for tag, value in entries),
        )


def sections(file: File, names: Tuple[str, ...]) -> List[Tuple[int, int]]:
    """Offset and size of the sections with these names; none of a file that was stripped of its table."""
    head = file.read(0, 64)
    _header(file)
    (place,) = struct.unpack_from("<Q", head, 40)
    size, count, index = struct.unpack_from("<HHH", head, 58)
    if place == 0 or size != _SECTION_SIZE or count > _MOST_SECTIONS or index >= count:
        return []
    table = [struct.unpack_from("<IIQQQQ", file.read(place + size * number, 40)) for number in range(count)]
    titles = table[index][4]
    wanted = []
    for name, kind, _, _, offset, length in table:
        if kind == _NO_BITS or offset + length > file.size:
            continue
        text = file.read(titles + name, min(32, file.size - titles - name)).partition(b"\0")[0]
        if text.decode("ascii", "replace") in names:
            wanted.append((offset, length))
    return wanted


def _header(file: File) -> Tuple[int, int, int, int]:
    """Machine, and place, size and number of the program headers."""
    head = file.read(0, 64)
    if head[:4] != b"\x7fELF":
        raise Malformed("it is no ELF file")
    if head[4:6] != b"\x02\x01":
        raise Malformed("it is not for 64 bits, little-endian")
    (machine,) = struct.unpack_from("<H", head, 18)
    (place,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    return machine, place, size, count


def _entries(file: File, offset: int, length: int) -> Iterator[Tuple[int, int]]:
    content = file.read(offset, min(length, 16 * _MOST_ENTRIES))
    for tag, value in struct.iter_unpack("<QQ", content[: len(content) // 16 * 16]):
        if tag == _END:
            return
        yield tag, value


def _place(segments: "List[Tuple[int, ...]]", address: int) -> int:
    """Where in the file a place in memory comes from."""
    for kind, _, offset, start, _, length in segments:
        if kind == LOAD and start <= address < start + length:
            return offset + address - start
    return 0


def _text(file: File, place: int) -> str:
    found = file.read(place, max(0, min(_LONGEST_NAME, file.size - place)))
    return found.partition(b"\0")[0].decode("utf-8", "replace")
