"""Reading what `docker buildx build --progress=rawjson` writes to its stderr.

buildx up to 0.13 indents its documents over many lines, later ones write one a line; when a build
fails, plain text follows. All of it is taken line by line.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping

from cudaforge.records import record

_LONGEST_DOCUMENT = 16 * 1024 * 1024


@record()
class Vertex:
    """One step of a build, as it is now."""

    digest: str
    name: str
    is_started: bool
    is_completed: bool
    is_cached: bool
    error: str


@record()
class Transfer:
    """A part of a step that moves bytes. `total` is None while nobody knows it."""

    vertex: str
    item: str
    current: int
    total: int | None


@record()
class Output:
    """What a step printed; not cut at line ends."""

    vertex: str
    stream: int
    data: bytes


@record()
class Message:
    """One document of the stream."""

    vertexes: tuple[Vertex, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    outputs: tuple[Output, ...] = ()
    warnings: tuple[str, ...] = ()


class RawJsonReader:
    """Puts the stream's lines together again. One reader per build."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._length = 0

    def feed(self, line: str) -> Message | str | None:
        """What this line completes: a message, a line of plain text, or nothing yet."""
        if self._waiting:
            return self._continue(line)
        if line.rstrip() == "{":
            self._waiting, self._length = [line], len(line)
            return None
        if line.startswith("{"):
            message = parse_rawjson(line)
            return line if message is None else message
        return line if line.strip() else None

    def _continue(self, line: str) -> Message | str | None:
        self._waiting.append(line)
        self._length += len(line)
        if line.rstrip() != "}" and self._length < _LONGEST_DOCUMENT:
            return None
        text, self._waiting = "\n".join(self._waiting), []
        message = parse_rawjson(text)
        return text if message is None else message


def parse_rawjson(text: str) -> Message | None:
    """One document of the stream, or None for text that is none. What it does not know, it skips."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    return Message(
        vertexes=tuple(_vertex(entry) for entry in _entries(document, "vertexes")),
        transfers=tuple(_transfer(entry) for entry in _entries(document, "statuses")),
        outputs=tuple(_output(entry) for entry in _entries(document, "logs")),
        warnings=tuple(
            _decode(entry.get("short")).decode("utf-8", "replace") for entry in _entries(document, "warnings")
        ),
    )


def _entries(document: Mapping[str, object], key: str) -> Iterator[Mapping[str, object]]:
    listed = document.get(key)
    if isinstance(listed, list):
        yield from (entry for entry in listed if isinstance(entry, dict))


def _vertex(entry: Mapping[str, object]) -> Vertex:
    return Vertex(
        digest=_text(entry, "digest"),
        name=_text(entry, "name"),
        is_started=bool(entry.get("started")),
        is_completed=bool(entry.get("completed")),
        is_cached=entry.get("cached") is True,
        error=_text(entry, "error"),
    )


def _transfer(entry: Mapping[str, object]) -> Transfer:
    total = _number(entry, "total")
    return Transfer(
        vertex=_text(entry, "vertex"),
        item=_text(entry, "id"),
        current=_number(entry, "current"),
        total=total if total > 0 else None,
    )


def _output(entry: Mapping[str, object]) -> Output:
    return Output(
        vertex=_text(entry, "vertex"), stream=_number(entry, "stream"), data=_decode(entry.get("data"))
    )


def _decode(value: object) -> bytes:
    try:
        return base64.b64decode(value) if isinstance(value, str) else b""
    except (ValueError, binascii.Error):
        return b""


def _text(entry: Mapping[str, object], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _number(entry: Mapping[str, object], key: str) -> int:
    value = entry.get(key)
    return value if isinstance(value, int) else 0
