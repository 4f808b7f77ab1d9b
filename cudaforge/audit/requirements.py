"""Requirement files: the requirements in them, with their lines, and the options that stand there."""

from __future__ import annotations

import re
import shlex

from packaging.requirements import InvalidRequirement, Requirement

from cudaforge.audit.state import ReadFile
from cudaforge.records import record

_OPTIONS = {
    "-i": "index",
    "--index-url": "index",
    "--pypi-url": "index",
    "--extra-index-url": "extra",
    "-f": "links",
    "--find-links": "links",
    "-r": "file",
    "--requirement": "file",
    "-c": "constraint",
    "--constraint": "constraint",
}
_DEEPEST = 10
_MOST_LINES = 20_000


@record()
class Line:
    """One requirement of a file."""

    requirement: Requirement
    text: str
    line: int
    file: str
    is_constraint: bool = False


@record()
class Requirements:
    """What a requirement file holds, files that it names included."""

    lines: tuple[Line, ...] = ()
    index: str | None = None
    extra: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    """Files that it names and that are not there, and lines that could not be read."""


def read_requirements(
    path: str, read: ReadFile, *, is_constraint: bool = False, depth: int = 0
) -> Requirements:
    """The requirements of a file of the context. Files that are not there are named in `unread`."""
    text = read(path)
    if text is None or depth > _DEEPEST:
        return Requirements(unread=(path,))
    found = _Collected(path, read, is_constraint=is_constraint, depth=depth)
    for number, line in _logical_lines(text):
        found.take(number, line)
    return found.result()


def _logical_lines(text: str) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    begun: tuple[int, str] | None = None
    for number, raw in enumerate(text.splitlines()[:_MOST_LINES], 1):
        line = re.sub(r"(^|\s)#.*$", "", raw)
        if begun is not None:
            line = begun[1] + line.strip()
        first = begun[0] if begun is not None else number
        if line.rstrip().endswith("\\"):
            begun = (first, line.rstrip()[:-1])
            continue
        begun = None
        if line.strip():
            lines.append((first, line.strip()))
    return lines


class _Collected:
    """Collects what lines say."""

    def __init__(self, path: str, read: ReadFile, *, is_constraint: bool, depth: int) -> None:
        self._path, self._read, self._depth = path, read, depth
        self._is_constraint = is_constraint
        self._lines: list[Line] = []
        self._unread: list[str] = []
        self._index: str | None = None
        self._extra: list[str] = []
        self._links: list[str] = []

    def take(self, number: int, line: str) -> None:
        """One logical line."""
        if line.startswith("-"):
            self._option(line)
            return
        text = re.split(r"\s+--(?:hash|config-settings|global-option)\b", line)[0].strip()
        requirement = parse_requirement(text)
        if requirement is None:
            self._unread.append(f"{self._path}:{number}")
            return
        self._lines.append(
            Line(
                requirement=requirement,
                text=text,
                line=number,
                file=self._path,
                is_constraint=self._is_constraint,
            )
        )

    def _option(self, line: str) -> None:
        name, _, value = re.sub(r"^(--[a-z-]+)=", r"\1 ", line).partition(" ")
        meaning, value = _OPTIONS.get(name), _plain(value)
        if meaning in ("file", "constraint"):
            directory = self._path.rpartition("/")[0]
            inner = read_requirements(
                f"{directory}/{value}" if directory else value,
                self._read,
                is_constraint=self._is_constraint or meaning == "constraint",
                depth=self._depth + 1,
            )
            self._lines += inner.lines
            self._unread += inner.unread
            self._index = inner.index or self._index
            self._extra += inner.extra
            self._links += inner.links
        elif meaning == "index":
            self._index = value
        elif meaning == "extra":
            self._extra.append(value)
        elif meaning == "links":
            self._links.append(value)

    def result(self) -> Requirements:
        """All of it."""
        return Requirements(
            lines=tuple(self._lines),
            index=self._index,
            extra=tuple(self._extra),
            links=tuple(self._links),
            unread=tuple(self._unread),
        )


def _plain(value: str) -> str:
    try:
        return (shlex.split(value) or [""])[0]
    except ValueError:
        return value.strip()


_WHEEL = re.compile(r"(?:^|.*/)([A-Za-z0-9_.]+)-([^-/]+)-[^-/]+-[^-/]+-[^-/]+\.whl(?:[#?].*)?$")


def parse_requirement(text: str) -> Requirement | None:
    """The requirement that a text stands for, a wheel by its address included; None for what names none."""
    from urllib.parse import unquote

    match = _WHEEL.match(unquote(text))
    try:
        if match is not None and " @ " not in text:
            return Requirement(f"{match[1].replace('_', '-')}==={match[2]}")
        return Requirement(text)
    except InvalidRequirement:
        return None


def wheel_url(requirement: Requirement) -> Requirement:
    """The requirement with the version of the wheel that its address names, where it has one."""
    if requirement.url is None:
        return requirement
    return parse_requirement(requirement.url) or requirement
