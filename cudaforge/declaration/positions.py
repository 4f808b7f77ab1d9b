"""Where things stand in the text of a TOML file. Used before parsing (limits) and for messages (lines)."""

from __future__ import annotations

import contextlib
import re

from cudaforge.declaration.toml import parse_toml
from cudaforge.records import record

KeyPath = tuple[str | int, ...]

MAX_DEPTH = 32
MAX_DOTS = 32
_STRUCTURE = re.compile(r"""["'#\[\]{}\n.=,]""")
_IN_MULTILINE = {'"""': re.compile(r'\\.|"""', re.DOTALL), "'''": re.compile("'''")}
_ONE_LINE = {'"': re.compile(r'"(?:[^"\\\n]|\\.)*"'), "'": re.compile(r"'[^'\n]*'")}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_BLANK_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}\n#]*")


@record()
class TooDeep:
    """A place where a file nests deeper than any declaration has reason to."""

    line: int
    what: str


def find_too_deep(text: str) -> TooDeep | None:
    """The first place where the parser would be asked for too much; None for a file it can take."""
    depth = dots = position = 0
    while (match := _STRUCTURE.search(text, position)) is not None:
        position = match.end()
        character = match[0]
        if character in "\"'":
            end = skip_string(text, match.start())
            if end is None:
                return None  # an open string: the parser says so better
            position = end
        elif character == "#":
            position = _line_end(text, position)
        elif character == ".":
            dots += 1
        elif character in "[{":
            depth += 1
            dots = 0 if character == "{" else dots
        else:
            dots = 0 if character != "]" else dots
            depth = max(0, depth - 1) if character in "]}" else depth
        if depth > MAX_DEPTH or dots > MAX_DOTS:
            what = f"nested more than {MAX_DEPTH} deep" if depth > MAX_DEPTH else "a key of too many parts"
            return TooDeep(line=text.count("\n", 0, position) + 1, what=what)
    return None


def skip_string(text: str, start: int) -> int | None:
    """Where the TOML string that opens at `start` has ended; None if it does not end."""
    opening = text[start : start + 3]
    if opening in _IN_MULTILINE:
        return _skip_multiline(text, start + 3, opening)
    match = _ONE_LINE[text[start]].match(text, start)
    return match.end() if match else None


def _skip_multiline(text: str, position: int, quotes: str) -> int | None:
    for match in _IN_MULTILINE[quotes].finditer(text, position):
        if match[0] == quotes:
            end = match.end()
            # Up to two quotes may stand right before the closing three.
            while end < len(text) and text[end] == quotes[0] and end < match.end() + 2:
                end += 1
            return end
    return None


def find_lines(text: str) -> dict[KeyPath, int]:
    """The line of every key, table header and list item of a valid TOML text, by path."""
    finder = _Finder(text)
    # Where it gets lost, messages name the nearest table that was found.
    with contextlib.suppress(_Lost):
        finder.read_document()
    return finder.lines


class _Lost(Exception):
    """The text is not what the finder understands."""


class _Finder:
    """Walks over a text once and notes the line of everything that has a path."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.lines: dict[KeyPath, int] = {(): 1}
        self._counted = 0
        self._line = 1
        self._list_lengths: dict[KeyPath, int] = {}

    def read_document(self) -> None:
        """Note everything from the start to the end of the text."""
        table: KeyPath = ()
        while self._skip_to_next():
            if self._peek() == "[":
                table = self._read_header()
            else:
                self._read_pair(table)

    def _note(self, path: KeyPath) -> None:
        self._line += self.text.count("\n", self._counted, self.position)
        self._counted = self.position
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], self._line)

    def _read_header(self) -> KeyPath:
        is_list = self.text.startswith("[[", self.position)
        self.position += 2 if is_list else 1
        start, keys = self.position, self._read_key()
        end, self.position = self.position, start
        path = self._through_lists(keys, of_list=is_list)
        self._note(path)
        self.position = end
        self._skip(_BLANK)
        self._expect("]]" if is_list else "]")
        return path

    def _through_lists(self, keys: tuple[str, ...], *, of_list: bool) -> KeyPath:
        """The path of a header: each list of tables on the way means its latest table."""
        path: KeyPath = ()
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            if of_list and number == len(keys):
                self._list_lengths[path] = self._list_lengths.get(path, 0) + 1
            if path in self._list_lengths:
                path = (*path, self._list_lengths[path] - 1)
        return path

    def _read_pair(self, table: KeyPath) -> None:
        start, keys = self.position, self._read_key()
        end, self.position = self.position, start
        path = (*table, *keys)
        self._note(path)
        self.position = end
        self._skip(_BLANK)
        self._expect("=")
        self._skip(_BLANK)
        self._read_value(path)

    def _read_key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            self._skip(_BLANK)
            parts.append(self._read_key_part())
            self._skip(_BLANK)
            if self._peek() != ".":
                return tuple(parts)
            self.position += 1

    def _read_key_part(self) -> str:
        start = self.position
        if self._peek() in ("'", '"'):
            self._skip_string()
            return _unquote(self.text[start : self.position])
        match = _BARE_KEY.match(self.text, start)
        if match is None:
            raise _Lost
        self.position = match.end()
        return match[0]

    def _read_value(self, path: KeyPath) -> None:
        match self._peek():
            case '"' | "'":
                self._skip_string()
            case "[":
                self._read_list(path)
            case "{":
                self._read_inline_table(path)
            case _:
                start = self.position
                self._skip(_SCALAR)
                if self.position == start:
                    raise _Lost

    def _read_list(self, path: KeyPath) -> None:
        self.position += 1
        index = 0
        while self._skip_to_next() and self._peek() != "]":
            self._note((*path, index))
            self._read_value((*path, index))
            index += 1
            self._skip_to_next()
            if self._peek() == ",":
                self.position += 1
        self._expect("]")

    def _read_inline_table(self, path: KeyPath) -> None:
        self.position += 1
        while self._skip_to_next() and self._peek() != "}":
            self._read_pair(path)
            self._skip_to_next()
            if self._peek() == ",":
                self.position += 1
        self._expect("}")

    def _skip_to_next(self) -> bool:
        self._skip(_BLANK_LINES)
        return self.position < len(self.text)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.position)
        self.position = match.end() if match else self.position

    def _skip_string(self) -> None:
        end = skip_string(self.text, self.position)
        if end is None:
            raise _Lost
        self.position = end

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _expect(self, token: str) -> None:
        if not self.text.startswith(token, self.position):
            raise _Lost
        self.position += len(token)


def _unquote(quoted: str) -> str:
    if quoted[0] == "'" or "\\" not in quoted:
        return quoted[1:-1]
    try:
        return str(parse_toml(f"key = {quoted}")["key"])
    except ValueError:
        raise _Lost from None


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end
