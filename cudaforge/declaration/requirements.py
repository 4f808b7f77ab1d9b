"""Packages that an image takes from files of the project: requirements.txt, a lock of uv's, PEP 751, or a
project with a pyproject.toml."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from cudaforge.declaration.exports import read_project, read_pylock, read_uv_lock
from cudaforge.declaration.inside import check_inside
from cudaforge.declaration.kinds import Mistake, attempt, bad
from cudaforge.declaration.needed import NOTHING_NEEDED, Needed, RequirementsSource
from cudaforge.declaration.source import read_text
from cudaforge.declaration.text import find_refused_in_source
from cudaforge.declaration.values import PACKAGE, read_project_path
from cudaforge.declaration.wheels import is_local, read_local_wheel
from cudaforge.display import show, show_path
from cudaforge.errors import InputError, Location, Problem
from cudaforge.records import record

_COMMENT = re.compile(r"(^|\s)#.*$")
_INCLUDE = re.compile(r"(?P<option>-r|--requirement|-c|--constraint)(?:\s+|=|(?<=-[rc]))(?P<file>\S.*)")
_HASH = re.compile(r"\s--hash(?:=|\s+)(?P<hash>\S+)")
_SHA256 = re.compile(r"sha256:(?P<digest>[0-9a-f]{64})")
_PIN = re.compile(r"\s*[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*={2,3}\s*[^\s;*,]+\s*(?:;.*)?")
_LINE_OPTION = re.compile(r"\s(?P<option>--[a-z-]+)")
_MAX_NESTING = 32

_ALWAYS = frozenset(("--prefer-binary", "--only-binary"))
"""Nothing but wheels is installed, whether a file says it or not."""
_INDEXES = "package indexes belong in [network]: index, extra_indexes, find_links"
_WHEELS_ALONE = "only wheels are installed: build one, and name its file in `packages`"
_REFUSED = {
    **dict.fromkeys(("-i", "--index-url", "--extra-index-url", "--no-index"), _INDEXES),
    **dict.fromkeys(("-f", "--find-links", "--trusted-host"), _INDEXES),
    **dict.fromkeys(("--no-binary", "--no-build-isolation"), _WHEELS_ALONE),
    **dict.fromkeys(("--config-settings", "--global-option", "--build-option"), _WHEELS_ALONE),
    **dict.fromkeys(
        ("-e", "--editable"), "build a wheel of it and name its file in `packages`, or put it in with `copy`"
    ),
    "--pre": "name the pre-release that is meant: name==1.0rc1",
}
_PROJECT = "pyproject.toml"


def read_requirements(root: Path, source: RequirementsSource) -> Needed:
    """What a file or project of the project directory asks for.

    Raises BadValue if it is not there or of no known kind, InputError for what is wrong inside.
    """
    real = check_inside(root, source.path)
    if real.is_dir():
        names = [name for name in ("uv.lock", _PROJECT) if (real / name).exists()]
        if not names:
            bad(f"{show(source.path)} has no {_PROJECT}", "a directory of a Python project, or a file")
        source = source.at(os.path.normpath(os.path.join(source.path, names[0])))  # noqa: PTH118
        real = check_inside(root, source.path)
    if real.name == _PROJECT:
        return read_project(real, source)
    if re.fullmatch(r"pylock\.([A-Za-z0-9_-]+\.)?toml", real.name):
        return read_pylock(real, source)
    if real.name == "uv.lock":
        return read_uv_lock(real, source)
    if source.extras or source.groups:
        bad(f"{show(source.path)} has no extras and no groups", "leave them out")
    if not source.path.endswith((".txt", ".in")):
        bad(
            f"{show(source.path)} is no file of packages that is known",
            "a requirements.txt, a uv.lock, a pylock.toml, or the directory of a project",
        )
    return RequirementFiles(root=root).read(source.path)


@record()
class _Line:
    """Where a line stands."""

    path: str
    chain: tuple[Path, ...]
    is_constraint: bool


@record()
class RequirementFiles:
    """Reads requirements.txt files of one project."""

    root: Path

    def read(self, path: str) -> Needed:
        """The packages of a file and of those it includes, in order, with their hashes.

        Raises BadValue if the file itself is not there, InputError for what is wrong inside.
        """
        reading = _Reading(self.root)
        reading.file(_Line(path=path, chain=(), is_constraint=False))
        if reading.needs_hashes:
            reading.problems += reading.unhashed
        if reading.problems:
            raise InputError(reading.problems)
        return reading.needed


class _Reading:
    """What was read so far, and what is wrong with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.unhashed: list[Problem] = []
        self.needs_hashes = False
        self.needed = NOTHING_NEEDED

    def file(self, at: _Line) -> None:
        """Read a file. Raises BadValue if it is not there."""
        real = check_inside(self.root, at.path)
        if real in at.chain:
            names = " -> ".join(show(os.path.relpath(one, self.root)) for one in (*at.chain, real))
            bad(f"the files include each other: {names}", "break the circle")
        if len(at.chain) >= _MAX_NESTING:
            bad(f"more than {_MAX_NESTING} files that include each other")
        text = read_text(real, show_path(at.path))
        refused = find_refused_in_source(text)
        if refused is not None:
            where = Location(file=show_path(at.path), line=refused[0])
            self.problems.append(Problem(what=refused[1], where=where, remedy="take the character out"))
            return
        inside = _Line(path=at.path, chain=(*at.chain, real), is_constraint=at.is_constraint)
        for number, line in _logical_lines(text):
            mistakes: list[Mistake] = []
            where = Location(file=show_path(at.path), line=number)
            attempt(partial(self._line, at=inside, where=where), line, at=(), mistakes=mistakes)
            self.problems += (Problem(what=one.what, where=where, remedy=one.remedy) for one in mistakes)

    def _line(self, written: object, *, at: _Line, where: Location) -> None:
        line = str(written)
        included = _INCLUDE.fullmatch(line)
        if included is not None:
            path = _beside(at.path, included["file"].strip())
            is_constraint = at.is_constraint or included["option"].lstrip("-").startswith("c")
            self.file(_Line(path=path, chain=at.chain, is_constraint=is_constraint))
        elif line.startswith("-"):
            self._option(line)
        else:
            self._package(line, at=at, where=where)

    def _option(self, line: str) -> None:
        option = re.split(r"[\s=]", line, maxsplit=1)[0]
        if option == "--require-hashes":
            self.needs_hashes = True
        elif option not in _ALWAYS:
            short = next((one for one in _REFUSED if len(one) == 2 and line.startswith(one)), option)  # noqa: PLR2004
            known = _REFUSED.get(option) or _REFUSED.get(short)
            bad(f"the option {show(option)} is not supported", known or "leave the line out")

    def _package(self, line: str, *, at: _Line, where: Location) -> None:
        hashes = [match["hash"] for match in _HASH.finditer(line)]
        text = _HASH.sub("", line).strip()
        option = _LINE_OPTION.search(text)
        if option is not None:
            bad(f"the option {show(option['option'])} is not supported", _REFUSED.get(option["option"]))
        if is_local(text):
            if at.is_constraint or hashes:
                bad(f"{show(text)}: a file takes no hash and is no constraint", "name it in a -r file")
            self.needed = self.needed.and_also(read_local_wheel(self.root, text, beside=at.path))
            return
        package = PACKAGE.read(text)
        digests = _digests(text, hashes)
        if not digests:
            what = f"{show(package)} has no hash, and --require-hashes asks for one"
            remedy = (
                "write it with its hashes: pip-compile --generate-hashes, uv pip compile --generate-hashes"
            )
            self.unhashed.append(Problem(what=what, where=where, remedy=remedy))
        if at.is_constraint and "[" in package.partition(";")[0]:
            bad(f"{show(package)}: a constraint has no extras", "ask for the extras in a -r file")
        kind = "constraints" if at.is_constraint else "packages"
        self.needed = self.needed.and_also(Needed.of(**{kind: (package,)}, hashes={package: digests}))


def _digests(package: str, hashes: Iterable[str]) -> tuple[str, ...]:
    found = []
    for one in hashes:
        match = _SHA256.fullmatch(one)
        if match is None:
            bad(f"{show(one)} is no hash that is supported", "sha256: and 64 hexadecimal digits")
        found.append(match["digest"])
    if found and _PIN.fullmatch(package) is None:
        bad(f"{show(package)} has a hash and no exact version", "pin it with ==, or leave the hash out")
    return tuple(found)


def _beside(path: str, other: str) -> str:
    """A path that stands in a file, as seen from the project."""
    return read_project_path(os.path.join(os.path.dirname(path), other))  # noqa: PTH118,PTH120


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
