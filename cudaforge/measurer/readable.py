"""Files that are read in parts, wherever they lie."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Protocol

from cudaforge.errors import InputError, Location, Problem


class Malformed(ValueError):
    """The bytes are not what they should be; the text says which and why."""


class Readable(Protocol):
    """Bytes that are read in parts: `cudaforge.web.RemoteFile` is one."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, fewer than `length` only at the end."""


class OpenFile:
    """A file that is open for reading."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = stream.seek(0, 2)

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, fewer than `length` only at the end."""
        self._stream.seek(offset)
        return self._stream.read(max(0, min(length, self._size - offset)))


class LocalFile:
    """A file of this machine. Raises InputError where it is none, or cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            if not path.is_file():
                raise self._wrong("is no file")
            self._size = path.stat().st_size
            with path.open("rb"):
                pass
        except OSError as error:
            raise self._wrong(f"cannot be read: {error.strerror}") from None

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, fewer than `length` only at the end."""
        with self._path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(max(0, min(length, self._size - offset)))

    def _wrong(self, what: str) -> InputError:
        return InputError(Problem(what=f"{self._path} {what}", where=Location(file=str(self._path))))


class Buffered:
    """Another file, for small reads that mostly go forward: it is asked for whole pieces."""

    def __init__(self, file: Readable, *, piece: int = 1024 * 1024) -> None:
        self._file = file
        self._piece = piece
        self._start, self._held = 0, b""

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self._file.size

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, fewer than `length` only at the end."""
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        if offset < self._start or end > self._start + len(self._held):
            self._start = offset
            self._held = self._file.read_at(offset, max(end - offset, self._piece))
        return self._held[offset - self._start : end - self._start]


def read_exactly(file: Readable, offset: int, length: int, what: str) -> bytes:
    """All of the bytes asked for. Raises Malformed, naming `what`, where the file is too short."""
    found = file.read_at(offset, length) if 0 <= offset <= file.size else b""
    if len(found) != length:
        raise Malformed(f"{what} lies beyond its end")
    return found
