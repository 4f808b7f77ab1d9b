"""Packages from the files of other tools: uv.lock, pylock.toml (PEP 751), pyproject.toml (PEP 621, 735)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from cudaforge.declaration.git import git_requirement, read_uv_git
from cudaforge.declaration.kinds import BadValue, bad
from cudaforge.declaration.needed import Needed, RequirementsSource, normal_name
from cudaforge.declaration.source import read_source
from cudaforge.declaration.values import PACKAGE
from cudaforge.declaration.wheels import is_local
from cudaforge.display import show, show_path
from cudaforge.errors import InputError, Location, Problem
from cudaforge.versions import InvalidVersion, VersionWish

T = TypeVar("T")
Table = Mapping[str, object]

_LARGEST = 16 * 1024 * 1024
_HASH = re.compile(r"(?:sha256:)?(?P<digest>[0-9a-f]{64})")
_SELECTS = re.compile(r"\b(extras|dependency_groups)\b")
_PATCHES = (
    (re.compile(r"(?:>=|>)(\d+\.\d+)\.\d[^,]*"), r">=\1"),
    (re.compile(r"(?:===?|~=)(\d+\.\d+)\.\d[^,]*"), r"==\1.*"),
    (re.compile(r"(?:<=|<)(\d+\.\d+)\.[1-9][^,]*"), r"<=\1"),
)
_ELSEWHERE = ("directory", "archive")
_FROM_SOURCE = "build a wheel of it and name its file in `packages`"


def read_pylock(path: Path, source: RequirementsSource) -> Needed:
    """The packages of a PEP 751 file, each in its version and with the hashes of its wheels.

    Raises InputError for what is wrong inside.
    """
    if source.extras or source.groups:
        bad("a pylock.toml has been made for its extras and groups", "leave them out")
    return _in_file(source.path, lambda: _pylock(_document(path, source.path)))


def read_uv_lock(path: Path, source: RequirementsSource) -> Needed:
    """What the project of a uv.lock depends on, pinned to what it locks, with the hashes of the wheels.

    Raises InputError for what is wrong inside.
    """
    return _in_file(source.path, lambda: _UvLock(_document(path, source.path)).needed(source))


def read_project(path: Path, source: RequirementsSource) -> Needed:
    """What a pyproject.toml depends on. Raises InputError for what is wrong inside."""
    return _in_file(source.path, lambda: _project(_document(path, source.path), source))


def _in_file(path: str, read: Callable[[], T]) -> T:
    """What `read` gives; its mistakes told as those of the file."""
    try:
        return read()
    except BadValue as error:
        where = Location(file=show_path(path))
        raise InputError(
            Problem(what=one.what, where=where, remedy=one.remedy) for one in error.mistakes
        ) from None


def _document(path: Path, shown: str) -> Table:
    return read_source(path, name=show_path(shown), limit=_LARGEST).tree


def _pylock(document: Table) -> Needed:
    version = document.get("lock-version")
    if not isinstance(version, str) or not version.startswith("1."):
        bad("this is no pylock.toml of version 1", "PEP 751; for example: uv export --format pylock.toml")
    needed = Needed(python=_pythons(document))
    for package in _tables(document, "packages"):
        name = _name(package)
        if _is_the_project(package):
            continue
        elsewhere = next((one for one in _ELSEWHERE if one in package), None)
        if elsewhere is not None:
            bad(f"{name} does not come from a package index ({elsewhere})", _FROM_SOURCE)
        marker = _text(package, "marker")
        if _SELECTS.search(marker):
            bad(f"{name} depends on extras or groups that are chosen later", "export it for those you want")
        if "vcs" in package:
            needed = needed.and_also(Needed(packages=(_repository(name, package, marker),)))
            continue
        pin = _pin(name, package, marker=marker)
        needed = needed.and_also(Needed.of(packages=(pin,), hashes={pin: tuple(_digests(package))}))
    return needed


def _repository(name: str, package: Table, marker: str) -> str:
    """The commit of a repository that a package of a PEP 751 file is."""
    vcs = _table(package, "vcs")
    if vcs.get("type") != "git" or "url" not in vcs:
        bad(f"{name} does not come from a git repository that has an address", _FROM_SOURCE)
    reference = git_requirement(
        name,
        url=_text(vcs, "url"),
        commit=_text(vcs, "commit-id"),
        subdirectory=_text(vcs, "subdirectory"),
    )
    return PACKAGE.read(f"{reference}{f' ; {marker}' if marker else ''}")


def _is_the_project(package: Table) -> bool:
    directory = package.get("directory")
    return isinstance(directory, Mapping) and directory.get("path") in (".", "./")


class _UvLock:
    """A uv.lock, read: its packages by name."""

    def __init__(self, document: Table) -> None:
        if document.get("version") != 1:
            bad("this is no uv.lock of version 1", "uv lock, with the uv that cudaforge is tested with")
        self._pythons = _pythons(document)
        self._packages: dict[str, list[Table]] = {}
        for package in _tables(document, "package"):
            self._packages.setdefault(normal_name(_name(package)), []).append(package)

    def needed(self, source: RequirementsSource) -> Needed:
        """What the project asks for, and what it locks of all that this brings."""
        root = self._root()
        wanted = [*_tables(root, "dependencies"), *self._chosen(root, source)]
        needed = Needed(packages=tuple(self._asked(one) for one in wanted), python=self._pythons)
        seen: set[int] = set()
        pending = [(package, extras) for one in wanted for package, extras in self._targets(one)]
        done: set[tuple[int, str]] = set()
        while pending:
            package, extras = pending.pop()
            if id(package) not in seen:
                seen.add(id(package))
                needed = needed.and_also(self._locked(package))
                pending += self._behind(_tables(package, "dependencies"))
            optional = _table(package, "optional-dependencies")
            for extra in extras:
                if (id(package), extra) not in done:
                    done.add((id(package), extra))
                    pending += self._behind(_tables(optional, extra))
        return needed

    def _root(self) -> Table:
        for package in (one for group in self._packages.values() for one in group):
            source = _table(package, "source")
            if "." in (source.get("virtual"), source.get("editable"), source.get("directory")):
                return package
        return bad(
            "the lock has no project of this directory", "a workspace's members have no lock of their own"
        )

    def _chosen(self, root: Table, source: RequirementsSource) -> Iterator[Table]:
        for key, kind, names in (
            ("optional-dependencies", "extra", source.extras),
            ("dev-dependencies", "dependency group", source.groups),
        ):
            known = _table(root, key)
            for name in names:
                if name not in known:
                    bad(f"the project has no {kind} {show(name)}", f"known: {', '.join(known) or 'none'}")
                yield from _tables(known, name)

    def _asked(self, dependency: Table) -> str:
        (package, *others) = [package for package, _ in self._targets(dependency)]
        extras = f"[{','.join(_extras(dependency))}]" if _extras(dependency) else ""
        marker = _text(dependency, "marker")
        if others:
            return PACKAGE.read(f"{_name(dependency)}{extras}{f' ; {marker}' if marker else ''}")
        source = _table(package, "source")
        if "git" in source:
            reference = read_uv_git(f"{_name(dependency)}{extras}", _text(source, "git"))
            return PACKAGE.read(f"{reference}{f' ; {marker}' if marker else ''}")
        return _pin(f"{_name(dependency)}{extras}", package, marker=marker)

    def _targets(self, dependency: Table) -> list[tuple[Table, tuple[str, ...]]]:
        name, version = _name(dependency), dependency.get("version")
        found = [
            package
            for package in self._packages.get(normal_name(name), ())
            if version in (None, package.get("version"))
        ]
        if not found:
            bad(f"the lock names {name} and does not have it", "uv lock")
        return [(package, _extras(dependency)) for package in found]

    def _behind(self, dependencies: Iterable[Table]) -> list[tuple[Table, tuple[str, ...]]]:
        return [target for one in dependencies for target in self._targets(one)]

    def _locked(self, package: Table) -> Needed:
        name = _name(package)
        if "git" in _table(package, "source"):
            reference = read_uv_git(name, _text(_table(package, "source"), "git"))
            return Needed(packages=(PACKAGE.read(reference),))
        if "registry" not in _table(package, "source"):
            kind = next(iter(_table(package, "source")), "no source")
            bad(f"{name} does not come from a package index ({kind})", _FROM_SOURCE)
        markers = _strings(package, "resolution-markers")
        marker = " or ".join(f"({one})" for one in markers)
        pin = _pin(name, package, marker=marker)
        return Needed.of(constraints=(pin,), hashes={pin: tuple(_digests(package))})


def _project(document: Table, source: RequirementsSource) -> Needed:
    project = _table(document, "project")
    if "dependencies" in _strings(project, "dynamic"):
        bad("its dependencies are dynamic, known only to its build", "write them into [project], or lock it")
    texts = list(_strings(project, "dependencies"))
    optional, groups = _table(project, "optional-dependencies"), _table(document, "dependency-groups")
    for name in source.extras:
        if name not in optional:
            bad(f"the project has no extra {show(name)}", f"known: {', '.join(optional) or 'none'}")
        texts += _strings(optional, name)
    for name in source.groups:
        texts += _group(groups, name, ())
    local = next(filter(is_local, texts), None)
    if local is not None:
        bad(f"{show(local)} names a file", "name it in `packages`")
    packages = tuple(PACKAGE.read(text) for text in texts)
    tied = {normal_name(one) for one in _table(_table(_table(document, "tool"), "uv"), "sources")}
    for package in packages:
        if normal_name(package) in tied:
            bad(
                f"{show(package)} has a place of its own in [tool.uv.sources]",
                "indexes belong in [network]; of a directory or repository build a wheel",
            )
    return Needed(packages=packages, python=_pythons(project))


def _pythons(table: Table) -> str | None:
    """The minor versions of Python that something is for: images are told apart by them alone."""
    text = _text(table, "requires-python").replace(" ", "")
    for pattern, minor in _PATCHES:
        text = pattern.sub(minor, text)
    if not text:
        return None
    try:
        return str(VersionWish(text))
    except InvalidVersion:
        return bad(f"requires-python is {show(text)}", 'clauses such as ">=3.10,<3.13"')


def _group(groups: Table, name: str, chain: tuple[str, ...]) -> Iterator[str]:
    """The requirements of a dependency group and of those that it includes (PEP 735)."""
    if name in chain:
        bad(f"the groups include each other: {' -> '.join((*chain, name))}", "break the circle")
    if name not in groups:
        bad(f"the project has no dependency group {show(name)}", f"known: {', '.join(groups) or 'none'}")
    entries = groups[name]
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping):
            yield from _group(groups, str(entry.get("include-group")), (*chain, name))
        else:
            yield _string(entry, name)


def _pin(name: str, package: Table, *, marker: str) -> str:
    version = package.get("version")
    if not isinstance(version, str):
        bad(f"{name} has no version", _FROM_SOURCE)
    return PACKAGE.read(f"{name}=={version}{f' ; {marker}' if marker else ''}")


def _digests(package: Table) -> Iterator[str]:
    """The SHA-256 of every wheel of a package, and of its source."""
    sdist = _table(package, "sdist")
    for wheel in (*_tables(package, "wheels"), *((sdist,) if sdist else ())):
        text = _text(wheel, "hash") or _text(_table(wheel, "hashes"), "sha256")
        match = _HASH.fullmatch(text)
        if match is None:
            bad(f"a file of {_name(package)} has no SHA-256", "lock it from an index that gives them")
        yield match["digest"]


def _name(package: Table) -> str:
    return _string(package.get("name"), "name")


def _extras(dependency: Table) -> tuple[str, ...]:
    return _strings(dependency, "extra")


def _tables(table: Table, key: str) -> Sequence[Table]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        bad(f"{show(key)} is no list of tables", "make the file again")
    return found


def _table(table: Table, key: str) -> Table:
    found = table.get(key, {})
    if not isinstance(found, Mapping):
        bad(f"{show(key)} is no table", "make the file again")
    return found


def _strings(table: Table, key: str) -> tuple[str, ...]:
    found = table.get(key, [])
    if not isinstance(found, list):
        bad(f"{show(key)} is no list", "make the file again")
    return tuple(_string(one, key) for one in found)


def _text(table: Table, key: str) -> str:
    return _string(table.get(key, ""), key)


def _string(value: object, key: str) -> str:
    if not isinstance(value, str):
        bad(f"{show(key)} is no text", "make the file again")
    return value
