"""Output of a container, kept within bounds."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable

_LONGEST_LINE = 64 * 1024


class Tail:
    """The last `limit` bytes of a stream. Memory stays bounded, whatever is written."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: deque[bytes] = deque()
        self._kept = 0
        self.dropped = 0

    def add(self, chunk: bytes) -> None:
        """Append, letting go of what is oldest."""
        self._chunks.append(chunk)
        self._kept += len(chunk)
        while self._kept > self._limit:
            oldest = self._chunks.popleft()
            excess = self._kept - self._limit
            if len(oldest) > excess:
                self._chunks.appendleft(oldest[excess:])
            self.dropped += min(excess, len(oldest))
            self._kept -= min(excess, len(oldest))

    def text(self) -> str:
        """What was kept, decoded."""
        return b"".join(self._chunks).decode("utf-8", errors="replace")


class LineSplitter:
    """Hands whole lines to a callback, however the bytes arrive."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def add(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        if self._on_line is None:
            return
        *lines, self._rest = (self._rest + self._decoder.decode(chunk)).split("\n")
        for line in lines:
            self._on_line(line.rstrip("\r"))
        if len(self._rest) > _LONGEST_LINE:
            self._on_line(self._rest)
            self._rest = ""

    def finish(self) -> None:
        """The stream has ended: hand over what has no line end."""
        if self._on_line is not None and self._rest:
            self._on_line(self._rest)
            self._rest = ""
