"""What uv.lock, poetry.lock, pdm.lock, Pipfile.lock, pylock.toml and pyproject.toml bring into an image.

They are read for packages with the index of each, which is what an audit judges by. What cannot be read is
said, and never an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement

from cudaforge.audit.names import normal
from cudaforge.declaration.positions import find_too_deep
from cudaforge.declaration.toml import parse_toml
from cudaforge.records import made, record

Table = Mapping[str, object]
_MOST = 20_000
_DEV = ("dev", "test", "tests", "lint", "docs")


@record()
class Wanted:
    """What of a project is installed, and for which machine."""

    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    """Groups beyond those that are installed by default."""
    without: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    """Where it is not empty, these groups alone; `main` is what the project itself needs."""
    all_extras: bool = False
    no_dev: bool = False
    environment: Mapping[str, str] = made(default_factory=dict)
    """For markers: `python_version`, `platform_machine`."""

    def applies(self, marker: object) -> bool:
        """Whether a marker holds for the machine; what cannot be read does."""
        if not isinstance(marker, str) or not marker.strip():
            return True
        try:
            return bool(Marker(marker).evaluate({**self.environment, "extra": ""}))
        except (InvalidMarker, ValueError, KeyError):
            return True


@record()
class Locked:
    """One package that is installed."""

    requirement: Requirement
    line: int
    index: str | None = None
    """The address of its index, where the file says one."""


def read_toml(text: str) -> Table | None:
    """A TOML document; None for what is none."""
    try:
        return None if find_too_deep(text) else parse_toml(text)
    except (RecursionError, ValueError):
        return None


def _tables(table: object, key: str) -> list[Table]:
    found = table.get(key) if isinstance(table, Mapping) else None
    return [one for one in found if isinstance(one, Mapping)][:_MOST] if isinstance(found, list) else []


def _table(table: object, *keys: str) -> Table:
    for key in keys:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table if isinstance(table, Mapping) else {}


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _name(text: object) -> str:
    return normal(text) if isinstance(text, str) else ""


def _lines(text: str) -> Mapping[tuple[str, str], int]:
    """Name and version of the packages of a lock to the lines that they stand on."""
    found: dict[tuple[str, str], int] = {}
    name, at = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'(name|version) = "([^"]*)"', line)
        if line.startswith("[["):
            name = ""
        elif match is not None and match[1] == "name":
            name, at = _name(match[2]), number
        elif match is not None and name:
            found.setdefault((name, match[2]), at)
    return found


def _pin(name: object, version: object) -> Requirement | None:
    if not isinstance(name, str) or not isinstance(version, str):
        return None
    try:
        return Requirement(f"{name}=={version}")
    except InvalidRequirement:
        return None


def read_uv_lock(text: str, wanted: Wanted) -> tuple[Locked, ...] | None:
    """The packages of a uv.lock that are installed; None for what is none."""
    document = read_toml(text)
    packages = _tables(document, "package")
    root = next(
        (one for one in packages if {"editable", "virtual", "directory"} & set(_table(one, "source"))), None
    )
    if root is None:
        return None
    return tuple(_UvLock(text, packages, wanted).reached(root))


class _UvLock:
    """Follows dependencies from the project on."""

    def __init__(self, text: str, packages: Sequence[Table], wanted: Wanted) -> None:
        self._lines, self._wanted = _lines(text), wanted
        self._packages: dict[str, list[Table]] = {}
        for package in packages:
            self._packages.setdefault(_name(package.get("name")), []).append(package)

    def reached(self, root: Table) -> Iterator[Locked]:
        """Every package that the project brings."""
        pending = [one for one in self._first(root) if self._wanted.applies(one.get("marker"))]
        seen: set[tuple[int, str]] = set()
        given: set[int] = set()
        while pending:
            edge = pending.pop()
            package = self._target(edge)
            if package is None:
                continue
            for extra in ("", *_texts(edge.get("extra"))):
                if (id(package), extra) in seen:
                    continue
                seen.add((id(package), extra))
                edges = _tables(_table(package, "optional-dependencies"), extra) if extra else []
                edges += _tables(package, "dependencies") if not extra else []
                pending += [one for one in edges if self._wanted.applies(one.get("marker"))]
            if id(package) not in given:
                given.add(id(package))
                yield from self._locked(package)

    def _first(self, root: Table) -> list[Table]:
        wanted = self._wanted
        edges = [] if wanted.only and "main" not in wanted.only else _tables(root, "dependencies")
        optional = _table(root, "optional-dependencies")
        for extra in optional if wanted.all_extras else wanted.extras:
            edges += _tables(optional, extra)
        groups = set(wanted.groups) | set(wanted.only)
        if not wanted.no_dev and not wanted.only:
            groups.add("dev")
        for group in groups - wanted.without:
            edges += _tables(_table(root, "dev-dependencies"), group)
        return edges

    def _target(self, edge: Table) -> Table | None:
        found = self._packages.get(_name(edge.get("name")), [])
        version = edge.get("version")
        source = edge.get("source")
        fitting = [
            one
            for one in found
            if version in (None, one.get("version")) and source in (None, one.get("source"))
        ]
        return fitting[0] if fitting else None

    def _locked(self, package: Table) -> Iterator[Locked]:
        requirement = _pin(package.get("name"), package.get("version"))
        source = _table(package, "source")
        if requirement is None or not (set(source) & {"registry", "url"}):
            return
        index = source.get("registry")
        line = self._lines.get((_name(package.get("name")), str(package.get("version"))), 1)
        yield Locked(requirement=requirement, line=line, index=index if isinstance(index, str) else None)


def read_poetry_lock(text: str, wanted: Wanted) -> tuple[Locked, ...] | None:
    """The packages of a poetry.lock, or of a pdm.lock, that are installed; None for what is none."""
    document = read_toml(text)
    if document is None or "package" not in document:
        return None
    lines = _lines(text)
    extras = {_name(key): value for key, value in _table(document, "extras").items()}
    chosen = extras if wanted.all_extras else [one for one in extras if one in wanted.extras]
    optional = {_name(one.partition(" ")[0]) for extra in chosen for one in _texts(extras[extra])}
    found = []
    for package in _tables(document, "package"):
        name = _name(package.get("name"))
        requirement = _pin(package.get("name"), package.get("version"))
        if requirement is None or not _is_chosen(package, wanted, is_named=name in optional):
            continue
        url = _table(package, "source").get("url")
        line = lines.get((name, str(package.get("version"))), 1)
        found.append(Locked(requirement=requirement, line=line, index=url if isinstance(url, str) else None))
    return tuple(found)


def _is_chosen(package: Table, wanted: Wanted, *, is_named: bool) -> bool:
    if package.get("optional") is True and not is_named and not package.get("groups"):
        return False
    groups = {"main" if one == "default" else one for one in _texts(package.get("groups"))}
    if isinstance(package.get("category"), str):
        groups = {str(package["category"])}
    if groups and not groups & _groups(wanted, groups):
        return False
    markers = package.get("markers", package.get("marker"))
    if isinstance(markers, Mapping):
        markers = markers.get("main")
    return is_named or wanted.applies(markers)


def _groups(wanted: Wanted, known: set[str]) -> set[str]:
    if wanted.only:
        return set(wanted.only)
    default = {"main", *wanted.groups, *wanted.extras}
    if not wanted.no_dev:
        default |= known & set(_DEV)
    return default - wanted.without


def read_pipfile_lock(text: str, wanted: Wanted) -> tuple[Locked, ...] | None:
    """The packages of a Pipfile.lock that are installed; None for what is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or "_meta" not in document:
        return None
    indexes = {one.get("name"): one.get("url") for one in _tables(document["_meta"], "sources")}
    numbers = {
        _name(match[1]): number
        for number, line in enumerate(text.splitlines(), 1)
        if (match := re.match(r'\s*"([^"]+)": \{', line))
    }
    found: list[Locked] = []
    for section in ("default", *(() if wanted.no_dev else ("develop",))):
        for name, package in _table(document, section).items():
            version = package.get("version") if isinstance(package, Mapping) else None
            requirement = _pin(name, version.lstrip("=") if isinstance(version, str) else None)
            if requirement is None or not wanted.applies(package.get("markers")):  # type: ignore[attr-defined]
                continue
            index = indexes.get(_table(document, section, name).get("index"))
            url = index if isinstance(index, str) and "$" not in index else None
            found.append(Locked(requirement=requirement, line=numbers.get(_name(name), 1), index=url))
    return tuple(found)


def read_pylock(text: str, wanted: Wanted) -> tuple[Locked, ...] | None:
    """The packages of a pylock.toml (PEP 751) that are installed; None for what is none."""
    document = read_toml(text)
    if document is None or "lock-version" not in document:
        return None
    lines = _lines(text)
    found: list[Locked] = []
    for package in _tables(document, "packages"):
        requirement = _pin(package.get("name"), package.get("version"))
        if requirement is not None and wanted.applies(package.get("marker")):
            index = package.get("index")
            line = lines.get((_name(package.get("name")), str(package.get("version"))), 1)
            found.append(
                Locked(requirement=requirement, line=line, index=index if isinstance(index, str) else None)
            )
    return tuple(found)


def read_project(text: str, wanted: Wanted) -> tuple[tuple[Locked, ...], str | None]:
    """What a pyproject.toml asks for, and why that is not all, where it is not."""
    document = read_toml(text)
    if document is None:
        return (), "it cannot be read"
    project = _table(document, "project")
    asked = _texts(project.get("dependencies"))
    optional = {_name(key): value for key, value in _table(project, "optional-dependencies").items()}
    for extra in optional if wanted.all_extras else wanted.extras:
        asked += _texts(optional.get(_name(extra)))
    asked += _of_poetry(_table(document, "tool", "poetry", "dependencies"))
    lines = text.splitlines()
    found: list[Locked] = []
    for one in asked[:_MOST]:
        try:
            requirement = Requirement(one)
        except InvalidRequirement:
            return tuple(found), f"{one[:60]} in it cannot be read"
        pattern = re.compile(rf"(?:^\s*|[\"']){re.escape(requirement.name)}(?![\w.-])")
        at = next((number for number, line in enumerate(lines, 1) if pattern.search(line)), 1)
        found.append(Locked(requirement=requirement, line=at))
    dynamic = {"dependencies", "optional-dependencies"} & set(_texts(project.get("dynamic")))
    if dynamic:
        return tuple(found), f"its {sorted(dynamic)[0]} are made when it is built"
    if not project and not _table(document, "tool", "poetry"):
        return tuple(found), "it names no dependencies: setup.py or setup.cfg may"
    return tuple(found), None


def _of_poetry(table: Table) -> Iterator[str]:
    """Poetry's own form of dependencies, as PEP 508 writes them."""
    for name, value in table.items():
        version = value.get("version") if isinstance(value, Mapping) else value
        if isinstance(value, Mapping) and (value.get("optional") is True or not version):
            continue
        if name != "python" and isinstance(version, str):
            yield f"{name}{_poetry_version(version.strip())}"


def _poetry_version(text: str) -> str:
    match = re.fullmatch(r"([\^~]?)\s*(\d+(?:\.\d+)*)", text)
    if match is None:
        return "" if text == "*" else text
    numbers = [int(one) for one in match[2].split(".")]
    if not match[1]:
        return f"=={match[2]}"
    at = 1 if match[1] == "~" and len(numbers) > 1 else 0
    if match[1] == "^":
        at = next((place for place, number in enumerate(numbers) if number), len(numbers) - 1)
    upper = [*numbers[:at], numbers[at] + 1]
    return f">={match[2]},<{'.'.join(map(str, upper))}"
