"""Reading a deflated stream at any place, without holding more than a little of it."""

from __future__ import annotations

import bisect
import zlib

from cudaforge.measurer.readable import Buffered, Malformed, Readable

_ASKED = 8 * 1024 * 1024
"""Packed bytes that are asked for at once: each question to a server costs a connection."""
_PACKED = 256 * 1024
_UNPACKED = 1024 * 1024
_MARKS = 128
_CLOSEST = 4 * 1024 * 1024


class Inflated:
    """What a raw deflate stream, the whole of `packed`, unpacks to: `size` bytes as its container declares.

    It is unpacked from the last mark before a place on. Marks are left on the first way through, some
    40 kB of memory each; their number is limited whatever the size. Raises Malformed while it is read
    where the stream is broken or holds less than was declared.
    """

    def __init__(self, packed: Readable, *, size: int) -> None:
        self._packed = Buffered(packed, piece=_ASKED)
        self._length, self._size = packed.size, size
        self._stride = max(_CLOSEST, size // _MARKS)
        self._marks = [(0, 0, zlib.decompressobj(-zlib.MAX_WBITS))]
        self._reset(0)

    @property
    def size(self) -> int:
        """How many bytes there are when unpacked."""
        return self._size

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, fewer than `length` only at the end."""
        end = min(offset + length, self._size)
        if offset >= end:
            return b""
        mark = bisect.bisect_right([place for place, _, _ in self._marks], offset) - 1
        if offset < self._start or self._marks[mark][0] > self._start + len(self._held):
            self._reset(mark)
        parts = []
        while offset < end:
            while self._start + len(self._held) <= offset:
                self._advance()
            part = self._held[offset - self._start : end - self._start]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _reset(self, mark: int) -> None:
        self._start, self._taken, state = self._marks[mark]
        self._state = state.copy()
        self._held = b""
        self._pending = b""

    def _advance(self) -> None:
        """Unpack the next piece."""
        self._start += len(self._held)
        if not self._pending and self._start - self._marks[-1][0] >= self._stride:
            self._marks.append((self._start, self._taken, self._state.copy()))
        self._held = b""
        while not self._held:
            if not self._pending and self._taken < self._length and not self._state.eof:
                wanted = min(_PACKED, self._length - self._taken)
                self._pending = self._packed.read_at(self._taken, wanted)
                self._taken += len(self._pending)
            is_last = not self._pending
            try:
                self._held = self._state.decompress(self._pending, _UNPACKED)
            except zlib.error:
                raise Malformed("its compressed content is broken") from None
            self._pending = self._state.unconsumed_tail
            if is_last and not self._held:
                raise Malformed("its compressed content ends too early")
