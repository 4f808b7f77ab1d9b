"""Parts of a large file on a server, without the rest of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cudaforge.errors import Problem
from cudaforge.web.client import OK, Client, Unreachable, shown

_BLOCK = 128 * 1024
_MOST_BLOCKS = 512
_PARTIAL = 206
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


class RemoteFile:
    """A file that is read in parts, by HTTP range or, for a `file:` address, from this machine's disk.

    Neighbouring parts come with one request, and are kept. Raises Unreachable when made for a server
    that does not answer, or does not serve ranges.
    """

    def __init__(self, client: Client, url: str, *, headers: Mapping[str, str] | None = None) -> None:
        self._client = client
        self._url = url
        self._headers = dict(headers or {})
        self._blocks: dict[int, bytes] = {}
        self._path = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None
        if self._path is not None:
            try:
                self.size = self._path.stat().st_size
            except OSError as error:
                raise self._unreachable(f"cannot be read: {error.strerror}") from None
        else:
            self.size = self._ask(0, _BLOCK, size=None)

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, fewer than `length` only at the end of the file."""
        if offset < 0 or length < 0:
            raise ValueError("offset and length are not negative")
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        if self._path is not None:
            with self._path.open("rb") as file:
                file.seek(offset)
                return file.read(end - offset)
        first, last = offset // _BLOCK, (end - 1) // _BLOCK
        missing = [number for number in range(first, last + 1) if number not in self._blocks]
        if missing:
            known = {
                number: self._blocks[number] for number in range(first, last + 1) if number in self._blocks
            }
            if len(self._blocks) + len(missing) > _MOST_BLOCKS:
                self._blocks = known
            self._ask(missing[0] * _BLOCK, (missing[-1] + 1) * _BLOCK, size=self.size)
        content = b"".join(self._blocks[number] for number in range(first, last + 1))
        return content[offset - first * _BLOCK : end - first * _BLOCK]

    def _ask(self, start: int, end: int, *, size: int | None) -> int:
        """Fetch whole blocks; the size of the file."""
        wanted = min(end, size) if size is not None else end
        headers = {**self._headers, "Range": f"bytes={start}-{wanted - 1}"}
        answer = self._client.get(self._url, headers=headers, max_body=wanted - start)
        if answer.status != _PARTIAL:
            if answer.status == OK:
                remedy = "download it first, and name the file"
                raise self._unreachable("does not serve parts of files", remedy)
            raise self._unreachable(f"answered with status {answer.status}")
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        total = int(match[3]) if match else -1
        expected = min(wanted, total) - start
        if match is None or int(match[1]) != start or len(answer.body) != expected:
            raise self._unreachable("answered with another part than was asked for")
        if size is not None and total != size:
            raise self._unreachable("changed while it was read")
        for place in range(0, len(answer.body), _BLOCK):
            self._blocks[(start + place) // _BLOCK] = answer.body[place : place + _BLOCK]
        return total

    def _unreachable(self, what: str, remedy: str | None = None) -> Unreachable:
        return Unreachable(Problem(what=f"{shown(self._url)} {what}", remedy=remedy))
