"""Packages that an image is to have, as far as their releases go with some releases of a framework alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from cudaforge.matrix.companion import Companion, CompanionRole
from cudaforge.matrix.pins import pins_of
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record
from cudaforge.resolver.candidates import is_confirmed, local_version
from cudaforge.versions import InvalidVersion, Version, VersionWish

_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?P<extras>\[[^\]]*\])?(?P<versions>[^;@\[\]]+)"
)
_BARE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^\]]*\])?")
_LOCAL = re.compile(r"\+[A-Za-z0-9.]+")
_CEILINGS = ("==", "<", "~=")
_BINDING = frozenset((CompanionRole.COMPANION, CompanionRole.EXTENSION))


@record(kw_only=False, eq=False)
class PackageWish:
    """One package, asked for in some versions, next to one framework."""

    text: str
    """As it was written: `vllm==0.10.0`."""
    position: int
    """The framework that it goes with."""
    rows: tuple[Companion, ...]
    """The known releases that the wish allows, oldest first."""
    is_binding: bool
    """Whether these are all that it allows, so that no other release of the framework goes with it."""
    is_framework: bool = False
    """Whether it is the framework itself, asked for among the packages."""
    build: VersionWish | None = None
    """The build of the framework that it names: `==2.7.1+cu118`."""

    @property
    def package(self) -> str:
        """Its normalised name."""
        return normal(named(self.text))

    @property
    def suffix(self) -> str:
        """The build that it names as releases are written with it, `+cu118`; empty where it names none."""
        return "" if self.build is None else f"+{self.build.text.rpartition('+')[2]}"

    @property
    def limits(self) -> tuple[tuple[VersionWish, Version | None], ...]:
        """With which framework releases its own go: those that it needs, up to one."""
        return tuple(dict.fromkeys((row.needs, row.until) for row in self.rows))

    def allows(self, version: Version, label: Version) -> bool:
        """Whether it goes with that release of the framework, and with the build of it that the label has."""
        return any(row.goes_with(version) for row in self.rows) and (
            self.build is None or self.build.allows(label)
        )


def package_wishes(texts: Iterable[str], companions: Sequence[Sequence[Companion]]) -> Iterator[PackageWish]:
    """The packages of which releases are tied to a framework. `companions` are those of each framework.

    A version that no row names, and a range that is open towards newer ones, bind nothing: what is not
    known is not incompatible. Neither do requirements with a marker, which may not hold.
    """
    known = [_by_package(rows) for rows in companions]
    for text in dict.fromkeys(texts):
        match = _REQUIREMENT.fullmatch(text)
        wish = _versions(match["versions"]) if match is not None else None
        if match is None or wish is None:
            continue
        for position, by_package in enumerate(known):
            rows = by_package.get(normal(match["name"]), ())
            if rows:
                allowed = tuple(row for row in rows if wish.allows(row.version))
                is_binding = _is_bounded(wish, rows[-1].version) and all(
                    is_confirmed(row.source) and not row.is_unknown for row in allowed
                )
                yield PackageWish(text, position, allowed, bool(allowed) and is_binding)


def framework_wishes(
    texts: Iterable[str], releases: Sequence[Sequence[Companion]], labels: Sequence[Collection[Version]]
) -> Iterator[PackageWish]:
    """The packages that are the frameworks themselves (`torch==2.7.1`). `releases` are those of each, by the
    packages that install them, every one as going with itself; `labels` their builds: `2.7.1+cu118`.

    What allows none of them binds nothing: it is not known.
    """
    for text in dict.fromkeys(texts):
        match = _REQUIREMENT.fullmatch(text)
        wish = _versions(match["versions"]) if match is not None else None
        if match is None or wish is None:
            continue
        for position, rows in enumerate(releases):
            if all(row.package != normal(match["name"]) for row in rows):
                continue
            # Builds of a release may be installed by packages of other names.
            allowed = tuple(row for row in rows if wish.allows(row.version))
            build = _build(match["versions"], labels[position])
            if len(allowed) < len(rows):
                yield PackageWish(text, position, allowed, bool(allowed), is_framework=True, build=build)


@lru_cache(maxsize=64)
def releases_of(matrix: Matrix, framework: str) -> tuple[Companion, ...]:
    """The releases of a framework by the packages that they are installed by, each as going with itself, the
    oldest first."""
    found = {
        (package, build.version): build.source
        for build in matrix.builds(framework)
        if is_confirmed(build.source)
        for package, _ in pins_of(build)[:1]
    }
    return tuple(
        Companion(
            framework=framework,
            package=package,
            version=version,
            needs=VersionWish(f"=={version}"),
            role=CompanionRole.EXTENSION,
            source=source,
        )
        for (package, version), source in found.items()
    )


@lru_cache(maxsize=64)
def labels_of(matrix: Matrix, framework: str) -> frozenset[Version]:
    """The builds of a framework as people write them: `2.8.0+cu128`."""
    return frozenset(local_version(row) for row in matrix.builds(framework) if is_confirmed(row.source))


def newest_asked(text: str, known: Iterable[Companion]) -> Companion | None:
    """The newest of the known releases, oldest first, that a requirement allows."""
    match = _REQUIREMENT.fullmatch(f"{text}>=0" if _NAME.fullmatch(text) else text)
    wish = _versions(match["versions"]) if match is not None else None
    if match is None or wish is None:
        return None
    name = normal(match["name"])
    return next(
        (row for row in reversed(tuple(known)) if row.package == name and wish.allows(row.version)), None
    )


def pinned(text: str, version: Version) -> str:
    """The requirement with exactly that version."""
    match = _NAME.match(text)
    return f"{text if match is None else match[0]}=={version}"


def named(text: str) -> str:
    """The name in a requirement."""
    match = _BARE.match(text)
    return text if match is None else match[0].rstrip("-._")


def normal(name: str) -> str:
    """A package's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _by_package(rows: Iterable[Companion]) -> Mapping[str, tuple[Companion, ...]]:
    found: dict[str, tuple[Companion, ...]] = {}
    for row in rows:
        if row.role in _BINDING:
            found[row.package] = (*found.get(row.package, ()), row)
    return found


def _versions(text: str) -> VersionWish | None:
    """The wish on the version; a build's local label (`==0.23.0+cu128`) says nothing of the release."""
    try:
        return VersionWish(_LOCAL.sub("", text.strip().strip("()")))
    except InvalidVersion:
        return None


def _build(text: str, labels: Collection[Version]) -> VersionWish | None:
    """The wish with the local label of a build that is known."""
    if "+" not in text:
        return None
    wish = VersionWish(text.strip().strip("()"))
    return wish if any(map(wish.allows, labels)) else None


def _is_bounded(wish: VersionWish, newest: Version) -> bool:
    """Whether the wish allows nothing newer than what is known."""
    parts = [VersionWish(part) for part in wish.text.split(",")]
    ceilings = [part for part in parts if part.text.startswith(_CEILINGS)]
    exact = [part for part in ceilings if part.text.startswith("==") and not part.text.endswith(".*")]
    return bool(exact) or any(not part.allows(newest) for part in ceilings)
