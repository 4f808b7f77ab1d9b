"""Files of the project that a declaration names: are they there, and inside the project?"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

from cudaforge.declaration.kinds import Mistake, attempt, bad
from cudaforge.declaration.source import read_text
from cudaforge.declaration.text import find_refused_in_source, show, show_path
from cudaforge.declaration.values import PACKAGE, read_project_path
from cudaforge.errors import InputError, Location, Problem
from cudaforge.records import record

_WILDCARDS = re.compile(r"[*?]")
_COMMENT = re.compile(r"(^|\s)#.*$")
_NESTED = re.compile(r"(?:-r|--requirement)(?:\s+|=|(?<=-r))(?P<file>\S.*)")
_MAX_NESTING = 32


def check_copy_source(root: Path, source: str) -> None:
    """Raise BadValue unless `source` is there and, all links followed, inside the project."""
    if _WILDCARDS.search(source):
        if not _matches(root, source):
            bad(f"{show(source)} matches no file of the project", "name a file or directory")
        bad(f"patterns such as {show(source)} are not supported yet", "name the directory, or each file")
    _check_inside(root, source)


def _matches(root: Path, pattern: str) -> bool:
    try:
        return any(root.glob(pattern))
    except (ValueError, NotImplementedError, OSError):  # such as "a**b", before Python 3.13
        return False


def _check_inside(root: Path, path: str) -> Path:
    try:
        real = Path(os.path.realpath(root / path))
        is_there = real.exists()
    except (OSError, ValueError):
        bad(f"{show(path)} is no path that can be read")
    if not real.is_relative_to(root):
        bad(f"{show(path)} is a link that leaves the project directory", "copy the file into the project")
    if not is_there:
        bad(f"there is no {show(path)} in {show_path(root)}", "make it, or leave the entry out")
    return real


@record()
class RequirementFiles:
    """Reads requirements.txt files of one project."""

    root: Path

    def read(self, path: str) -> tuple[str, ...]:
        """The packages of a file and of those it includes, in order.

        Raises BadValue if the file itself is not there, InputError for what is wrong inside.
        """
        problems: list[Problem] = []
        packages = self._read(path, (), problems)
        if problems:
            raise InputError(problems)
        return tuple(dict.fromkeys(packages))

    def _read(self, path: str, chain: tuple[Path, ...], problems: list[Problem]) -> list[str]:
        real = _check_inside(self.root, path)
        if real in chain:
            names = " -> ".join(show(os.path.relpath(one, self.root)) for one in (*chain, real))
            bad(f"the files include each other: {names}", "break the circle")
        if len(chain) >= _MAX_NESTING:
            bad(f"more than {_MAX_NESTING} files that include each other")
        text = read_text(real, show_path(path))
        refused = find_refused_in_source(text)
        if refused is not None:
            where = Location(file=show_path(path), line=refused[0])
            problems.append(Problem(what=refused[1], where=where, remedy="take the character out"))
            return []
        packages: list[str] = []
        for number, line in _logical_lines(text):
            mistakes: list[Mistake] = []
            read = partial(self._read_line, path=path, chain=(*chain, real), problems=problems)
            packages += attempt(read, line, at=(), mistakes=mistakes) or []
            where = Location(file=show_path(path), line=number)
            problems += (Problem(what=one.what, where=where, remedy=one.remedy) for one in mistakes)
        return packages

    def _read_line(
        self, line: object, *, path: str, chain: tuple[Path, ...], problems: list[Problem]
    ) -> list[str]:
        line = str(line)
        if "--hash" in line:
            bad("hashes in a requirements file are not supported yet", "leave them out: the lock has its own")
        nested = _NESTED.fullmatch(line)
        if nested is not None:
            below = read_project_path(os.path.join(os.path.dirname(path), nested["file"].strip()))  # noqa: PTH118,PTH120
            return self._read(below, chain, problems)
        if line.startswith("-"):
            bad(
                f"the option {show(line.split(maxsplit=1)[0])} in a requirements file is not supported yet",
                "package indexes belong in [network]; constraints are the lock's",
            )
        return [PACKAGE.read(line)]


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Numbered lines without comments; a backslash at the end joins the next line."""
    lines: list[tuple[int, str]] = []
    pending, started = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        started = started if pending else number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        whole = _COMMENT.sub("", pending + line).strip()
        pending = ""
        if whole:
            lines.append((started, whole))
    rest = _COMMENT.sub("", pending).strip()
    return [*lines, (started, rest)] if rest else lines


def overlay_digest(root: Path, path: str) -> str:
    """SHA-256 of an overlay's bytes. Raises BadValue or InputError if it cannot be read."""
    real = _check_inside(root, path)
    import hashlib  # OpenSSL loads with it

    return hashlib.sha256(read_text(real, show_path(path)).encode()).hexdigest()


def check_ca_bundle(root: Path, path: str) -> Path:
    """The CA bundle, absolute. Raises BadValue if there is no such file."""
    found = root / path
    if not found.is_file():
        bad(f"there is no file {show(path)}", "a PEM file, named absolutely or relative to the project")
    return found
