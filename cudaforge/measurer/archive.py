"""Zip archives that are read in parts: the directory at the end first, then single members."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from types import MappingProxyType

from cudaforge.measurer.inflated import Inflated
from cudaforge.measurer.readable import Buffered, Malformed, Readable, read_exactly
from cudaforge.records import record

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_LOCAL_MAGIC = b"PK\x03\x04"
_LARGEST_DIRECTORY = 16 * 1024 * 1024
_MOST_MEMBERS = 200_000
_LARGEST_MEMBER = 16 * 1024**3
_LARGEST_TEXT = 8 * 1024 * 1024
_FREELY_UNPACKED = 64 * 1024 * 1024
_HIGHEST_RATIO = 100
"""Real libraries pack to a tenth at the best."""
_ENCRYPTED = 1
_AHEAD = 4 * 1024 * 1024


@record()
class Member:
    """One file in an archive."""

    name: str
    packed: int
    """Bytes in the archive."""
    size: int
    """Bytes when unpacked, as the archive declares."""
    method: int
    offset: int


class _Slice:
    """Part of a file, as a file."""

    def __init__(self, file: Readable, offset: int, size: int) -> None:
        self._file, self._offset, self._size = file, offset, size

    @property
    def size(self) -> int:
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        return self._file.read_at(self._offset + offset, max(0, min(length, self._size - offset)))


class Archive:
    """A zip archive. Raises Malformed where it is none, or larger than any that is known."""

    def __init__(self, file: Readable) -> None:
        self._file, self._ahead = file, Buffered(file, piece=_AHEAD)
        try:
            with zipfile.ZipFile(_Stream(file)) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, struct.error, ValueError, OverflowError, NotImplementedError) as error:
            raise Malformed(f"it is no zip archive that can be read ({error})") from None
        if len(infos) > _MOST_MEMBERS:
            raise Malformed(f"it holds more than {_MOST_MEMBERS} files")
        self.members: Mapping[str, Member] = MappingProxyType(
            {
                one.filename: Member(
                    name=one.filename,
                    packed=one.compress_size,
                    size=one.file_size,
                    method=-1 if one.flag_bits & _ENCRYPTED else one.compress_type,
                    offset=one.header_offset,
                )
                for one in infos
                if one.filename and not one.filename.endswith("/")
            }
        )

    def open(self, member: Member) -> Readable:
        """A member's content, to be read in parts. Raises Malformed where it cannot be unpacked.

        Fast where members are read in the order in which they lie there: what follows comes along.
        """
        return _opened(self._ahead, member)

    def read_text(self, name: str) -> str:
        """A small text file whole. Raises Malformed where it is not there, broken or not small."""
        member = self.members.get(name)
        if member is None:
            raise Malformed(f"it has no {name}")
        if member.size > _LARGEST_TEXT:
            raise Malformed(f"{name} is larger than {_LARGEST_TEXT // 1024**2} MiB")
        return _opened(self._file, member).read_at(0, member.size).decode("utf-8", "replace")


def _opened(file: Readable, member: Member) -> Readable:
    if member.size > _LARGEST_MEMBER:
        raise Malformed(f"{member.name} would unpack to more than {_LARGEST_MEMBER // 1024**3} GiB")
    if member.size > max(_FREELY_UNPACKED, _HIGHEST_RATIO * member.packed):
        raise Malformed(f"{member.name} would unpack to more than {_HIGHEST_RATIO} times its size")
    local = _LOCAL.unpack(read_exactly(file, member.offset, _LOCAL.size, f"the header of {member.name}"))
    start = member.offset + _LOCAL.size + local[9] + local[10]
    if local[0] != _LOCAL_MAGIC or start + member.packed > file.size:
        raise Malformed(f"the header of {member.name} is broken")
    if member.method == zipfile.ZIP_STORED:
        if member.size != member.packed:
            raise Malformed(f"the header of {member.name} is broken")
        return _Slice(file, start, member.size)
    if member.method == zipfile.ZIP_DEFLATED:
        return Inflated(_Slice(file, start, member.packed), size=member.size)
    raise Malformed(f"{member.name} is encrypted, or packed in a way that is not read here")


class _Stream(io.RawIOBase):
    """A file as zipfile wants it, for its directory alone."""

    def __init__(self, file: Readable) -> None:
        self._file, self._place = file, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._file.size}[whence]
        if start + offset < 0:
            raise ValueError("before the beginning")
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        wanted = self._file.size - self._place if size < 0 else size
        if wanted > _LARGEST_DIRECTORY:
            raise ValueError(f"its directory is larger than {_LARGEST_DIRECTORY // 1024**2} MiB")
        found = self._file.read_at(self._place, max(0, wanted))
        self._place += len(found)
        return found
