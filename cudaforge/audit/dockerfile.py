"""Reading Dockerfiles: instructions with their flags, heredocs and lines.

It reads as BuildKit's parser does (moby/buildkit, frontend/dockerfile/parser), which `tests/unit/audit` holds
it against. That parser itself is packaged for Python on amd64 alone, and forgets on which line of an
instruction a word stands, which is what a finding has to say.
"""

from __future__ import annotations

import json
import re

from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem
from cudaforge.records import record

MAXIMUM_BYTES = 1024 * 1024
_KEYWORDS = frozenset(
    [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ]
)
_TAKES_HEREDOCS = frozenset(("RUN", "COPY", "ADD"))
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_HEREDOC = re.compile(
    r"(?:^|(?<=[\s;|&0-9]))<<(-?)(?:'([^'\s<]+)'|\"([^\"\s<]+)\"|([A-Za-z_][A-Za-z0-9_.]*))"
)
_FLAG = re.compile(r"--[A-Za-z0-9][A-Za-z0-9-]*(?:=(?:\"[^\"]*\"|'[^']*'|[^\s\"'])*)?(?:\s+|$)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@record()
class Piece:
    """Text of one physical line of an instruction."""

    line: int
    text: str


@record()
class Heredoc:
    """The body of a here-document."""

    name: str
    is_expanded: bool
    """Whether variables in it are replaced: its word is not quoted."""
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The body."""
        return "".join(piece.text + "\n" for piece in self.pieces)


@record()
class Instruction:
    """One instruction. `pieces` is what stands behind its keyword and flags, line by line."""

    keyword: str
    line: int
    end: int
    flags: tuple[str, ...]
    pieces: tuple[Piece, ...]
    heredocs: tuple[Heredoc, ...] = ()
    on_build: bool = False
    escape: str = "\\"

    @property
    def text(self) -> str:
        """All of it in one line."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def exec_form(self) -> tuple[str, ...] | None:
        """The words of the JSON form; None where it is not in that form."""
        text = self.text.strip()
        if not text.startswith("["):
            return None
        try:
            words = json.loads(text)
        except (ValueError, RecursionError):
            return None
        is_form = isinstance(words, list) and all(isinstance(word, str) for word in words)
        return tuple(words) if is_form else None

    def flag(self, name: str) -> str | None:
        """The value of `--name=value`."""
        return next(
            (one.partition("=")[2] for one in self.flags if one.partition("=")[0] == f"--{name}"), None
        )


@record()
class Dockerfile:
    """What was read: the instructions, and the comments by line."""

    instructions: tuple[Instruction, ...]
    lines: tuple[str, ...]
    comments: tuple[Piece, ...]


# What BuildKit looks for variables in; the shell does so in RUN, CMD and ENTRYPOINT.
_SUBSTITUTED = frozenset(
    ("ADD", "ARG", "COPY", "ENV", "EXPOSE", "FROM", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")
)
_LITERAL = re.compile(r"\\.|`\$|'[^']*'")
_OPEN = re.compile(r"\$\{[^}]*$")


def _is_open(text: str) -> bool:
    """Whether a `${` is never closed; an apostrophe in double quotes must not make it look so."""
    return all(_OPEN.search(one) for one in (text, _LITERAL.sub("", text)))


def read_dockerfile(content: bytes, file: str) -> Dockerfile:
    """The instructions of a Dockerfile. Raises InputError for what is none."""
    return _Reader(_decoded(content, file), file).read()


def _decoded(content: bytes, file: str) -> str:
    if len(content) > MAXIMUM_BYTES:
        raise _wrong(file, None, f"{file} is larger than 1 MiB: no Dockerfile")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong(file, None, f"{file} is not UTF-8 text (byte {error.start})") from None
    found = _CONTROL.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise _wrong(file, line, f"{file} holds a control character (0x{ord(found[0]):02x}): no Dockerfile")
    return text


class _Reader:
    """Goes through the lines once."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._lines = [line.removesuffix("\r") for line in text.split("\n")]
        if self._lines and not self._lines[-1]:
            self._lines.pop()
        self._escape = "\\"
        self._at = 0
        self._comments: list[Piece] = []

    def read(self) -> Dockerfile:
        """Every instruction."""
        self._read_directives()
        found = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                self._note_comment(self._at, stripped)
                self._at += 1
                continue
            found.append(self._instruction())
        if not any(one.keyword == "FROM" for one in found):
            raise _wrong(self._file, 1, "no FROM instruction: this is no Dockerfile", "audit a Dockerfile")
        return Dockerfile(instructions=tuple(found), lines=tuple(self._lines), comments=tuple(self._comments))

    def _note_comment(self, at: int, stripped: str) -> None:
        if stripped.startswith("#"):
            self._comments.append(Piece(line=at + 1, text=stripped))

    def _read_directives(self) -> None:
        while self._at < len(self._lines):
            match = _DIRECTIVE.fullmatch(self._lines[self._at].strip())
            if match is None or match[1].lower() not in ("escape", "syntax", "check"):
                return
            if match[1].lower() == "escape":
                if match[2] not in ("\\", "`"):
                    raise _wrong(self._file, self._at + 1, "the escape directive takes \\ or `")
                self._escape = match[2]
            self._at += 1

    def _instruction(self) -> Instruction:
        start = self._at
        pieces = self._logical_line()
        head = pieces[0].text.lstrip()
        word = re.match(r"\S*", head)
        keyword = word[0].upper() if word else ""
        if keyword not in _KEYWORDS:
            raise _wrong(
                self._file,
                start + 1,
                f"unknown instruction {show(keyword)}",
                "a broken continuation? every line of an instruction but its last ends with a backslash",
            )
        rest = head[len(keyword) :]
        on_build = keyword == "ONBUILD"
        if on_build:
            inner = re.match(r"\s*(\S+)", rest)
            keyword = inner[1].upper() if inner else keyword
            rest = rest[inner.end() :] if inner else rest
        body = _without_flags([Piece(line=pieces[0].line, text=rest), *pieces[1:]])
        heredocs = self._heredocs(keyword, body[1])
        if keyword not in ("CMD", "ENTRYPOINT") and not "".join(piece.text for piece in body[1]).strip():
            raise _wrong(self._file, start + 1, f"{keyword} stands without anything behind it")
        if keyword in _SUBSTITUTED and _is_open("".join(piece.text for piece in body[1])):
            raise _wrong(self._file, start + 1, f"an unterminated ${{ in {keyword}", "close it with }")
        return Instruction(
            keyword=keyword,
            line=start + 1,
            end=self._at,
            flags=body[0],
            pieces=body[1],
            heredocs=heredocs,
            on_build=on_build,
            escape=self._escape,
        )

    def _logical_line(self) -> list[Piece]:
        """The lines that continuations make one of, comments and empty lines in between left out."""
        ending = re.compile(rf"([^{re.escape(self._escape)}]|^){re.escape(self._escape)}[ \t]*$")
        pieces: list[Piece] = []
        while self._at < len(self._lines):
            line, number = self._lines[self._at], self._at + 1
            stripped = line.strip()
            if pieces and (not stripped or stripped.startswith("#")):
                self._note_comment(self._at, stripped)
                self._at += 1
                continue
            self._at += 1
            match = ending.search(line)
            if match is None:
                pieces.append(Piece(line=number, text=line))
                break
            pieces.append(Piece(line=number, text=line[: match.start() + len(match[1])]))
        return pieces

    def _heredocs(self, keyword: str, pieces: tuple[Piece, ...]) -> tuple[Heredoc, ...]:
        if keyword not in _TAKES_HEREDOCS:
            return ()
        text = "".join(piece.text for piece in pieces)
        if text.strip().startswith("["):
            return ()
        return tuple(self._body(match) for match in _HEREDOC.finditer(text) if not _is_quoted(text, match))

    def _body(self, match: re.Match[str]) -> Heredoc:
        name = match[2] or match[3] or match[4]
        body: list[Piece] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            bare = line.lstrip("\t") if match[1] else line
            self._at += 1
            if bare == name:
                return Heredoc(name=name, is_expanded=match[4] is not None, pieces=tuple(body))
            body.append(Piece(line=self._at, text=bare))
        raise _wrong(self._file, self._at, f"unterminated heredoc: no line {show(name)} ends it")


def _is_quoted(text: str, match: re.Match[str]) -> bool:
    before = text[: match.start()]
    return before.count('"') % 2 == 1 or before.count("'") % 2 == 1 or "((" in before[-3:]


def _without_flags(pieces: list[Piece]) -> tuple[tuple[str, ...], tuple[Piece, ...]]:
    flags: list[str] = []
    left = list(pieces)
    while left:
        text = left[0].text.lstrip()
        if not text and len(left) > 1:
            left.pop(0)
            continue
        match = _FLAG.match(text)
        if match is None:
            left[0] = Piece(line=left[0].line, text=text)
            break
        flags.append(match[0].strip())
        left[0] = Piece(line=left[0].line, text=text[match.end() :])
        if match.end() == len(text) and len(left) == 1:
            break
    return tuple(flags), tuple(left)


def _wrong(file: str, line: int | None, what: str, remedy: str | None = None) -> InputError:
    return InputError(Problem(what=what, where=Location(file=file, line=line), remedy=remedy))
