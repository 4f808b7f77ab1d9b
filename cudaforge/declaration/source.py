"""Reading one file of a declaration: limits first, then text, then TOML. Lines only for messages."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from cudaforge.declaration.kinds import Mistake
from cudaforge.declaration.positions import KeyPath, find_lines, find_too_deep
from cudaforge.declaration.text import find_refused_in_source
from cudaforge.declaration.toml import parse_toml
from cudaforge.display import show, show_path
from cudaforge.errors import InputError, Location, Problem
from cudaforge.records import record

MAX_BYTES = 1024 * 1024
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_TOML_PLACE = re.compile(r" ?\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_TWICE = ("Cannot overwrite a value", "Cannot declare ")
PIPE = "a pipe"
_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")


@record()
class SourceFile:
    """One file of a declaration: its name for messages, its text, and the values in it."""

    name: str
    text: str
    tree: Mapping[str, object]

    def problems(self, mistakes: tuple[Mistake, ...]) -> list[Problem]:
        """The mistakes with their places, in the order of the file."""
        if not mistakes:
            return []
        lines = find_lines(self.text)
        problems = [
            Problem(what=mistake.what, where=place(self.name, lines, mistake.path), remedy=mistake.remedy)
            for mistake in mistakes
        ]
        return sorted(problems, key=_line_of)


def place(name: str, lines: Mapping[KeyPath, int], path: KeyPath) -> Location:
    """The location of a path, or of the nearest thing around it that is in the file."""
    known = next((path[:length] for length in range(len(path), -1, -1) if path[:length] in lines), ())
    return Location(file=name, line=lines.get(known), key=dump_key(path) or None)


def _line_of(problem: Problem) -> int:
    return (problem.where.line or 0) if problem.where else 0


def dump_key(path: KeyPath) -> str:
    """A path as a dotted key: `images.train.gpus[2]`, `labels."a b"`."""
    parts: list[str] = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
            continue
        text = part if _BARE_KEY.fullmatch(part) else f'"{show(part)[1:-1]}"'
        parts.append(f".{text}" if parts else text)
    return "".join(parts)


def read_source(path: Path, *, name: str | None = None, limit: int = MAX_BYTES) -> SourceFile:
    """Read and parse one TOML file. Raises InputError with a message that says what to mend."""
    shown = name if name is not None else show_path(path)
    text = read_text(path, shown, limit=limit)
    refused = find_refused_in_source(text)
    if refused is not None:
        line, what = refused
        raise InputError(
            Problem(what=what, where=Location(file=shown, line=line), remedy="take the character out")
        )
    deep = find_too_deep(text)
    if deep is not None:
        raise InputError(Problem(what=deep.what, where=Location(file=shown, line=deep.line)))
    try:
        tree = parse_toml(text)
    except RecursionError:
        raise InputError(Problem(what="nested too deep", where=Location(file=shown))) from None
    except ValueError as error:
        raise InputError(_syntax_problem(shown, text, str(error))) from None
    return SourceFile(name=shown, text=text, tree=tree)


def _syntax_problem(name: str, text: str, message: str) -> Problem:
    match = _TOML_PLACE.search(message)
    line: int | None = None
    if match is not None:
        line = int(match["line"]) if match["line"] else text.count("\n") + 1
    reason = _TOML_PLACE.sub("", message)
    if "limit" in reason and "digits" in reason:  # of Python, not of TOML; says no line
        return Problem(what="a number has too many digits", where=Location(file=name))
    where = Location(file=name, line=line)
    if reason.startswith(_TWICE):
        return Problem(what="this key or table is written twice", where=where, remedy="keep one of them")
    return Problem(
        what=f"not valid TOML: {show(reason)[1:-1]}",
        where=where,
        remedy="strings stand in double quotes; see https://toml.io",
    )


def read_text(path: Path, shown: str, *, limit: int = MAX_BYTES) -> str:
    """The text of a small regular UTF-8 file, without its BOM and with plain line ends.

    Raises InputError for anything else, without reading from it: no device, pipe or directory.
    """
    data = read_bytes(path, shown, limit=limit)
    where = Location(file=shown)
    if data.startswith(_WIDE_BOMS):
        raise InputError(
            Problem(what="the file is UTF-16, not UTF-8", where=where, remedy="save it as UTF-8")
        )
    try:
        text = data.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        what = "the file is not UTF-8 text: wrong byte"
        offset = error.start + (len(_BOM) if data.startswith(_BOM) else 0)
        problem = Problem(what=f"{what} at offset {offset}", where=where, remedy="save it as UTF-8")
        raise InputError(problem) from None
    if "\0" in text:
        offset = data.index(b"\0")
        raise InputError(Problem(what=f"the file is binary: a NUL byte at offset {offset}", where=where))
    return text.replace("\r\n", "\n")


def read_bytes(path: Path, shown: str, *, limit: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file of at most `limit`, a whole number of MiB.

    Raises InputError for anything else, without reading from it.
    """
    try:
        # O_NONBLOCK: opening a pipe without a writer would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise InputError(_open_problem(shown, error)) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = file_type(status.st_mode)
            remedy = "write it into a file, and name that" if kind == PIPE else "name a file"
            raise InputError(Problem(what=f"{shown} is {kind}, not a file", remedy=remedy))
        data = bytearray()
        while len(data) <= limit and (chunk := os.read(descriptor, limit + 1 - len(data))):
            data += chunk
    except OSError as error:
        raise InputError(Problem(what=f"cannot read {shown}: {error.strerror}")) from None
    finally:
        os.close(descriptor)
    if len(data) > limit:
        what = f"{shown} is larger than {limit // MAX_BYTES} MiB"
        raise InputError(
            Problem(what=what, remedy="a declaration is a few lines" if limit == MAX_BYTES else None)
        )
    return bytes(data)


def _open_problem(shown: str, error: OSError | ValueError) -> Problem:
    if isinstance(error, FileNotFoundError):
        return Problem(what=f"there is no {shown}")
    reason = error.strerror if isinstance(error, OSError) else "no valid path"
    return Problem(what=f"cannot read {shown}: {reason}")


def file_type(mode: int) -> str:
    """What something that is no regular file is, in words."""
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISFIFO(mode):
        return PIPE
    return "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "a special file"
