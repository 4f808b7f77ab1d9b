"""Comparing the facts with their sources: what `cudaforge data update` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cudaforge.errors import InputError, Location, Problem, SurroundingsError
from cudaforge.matrix import Matrix
from cudaforge.matrix.model import CompanionRole
from cudaforge.packages.site import Site
from cudaforge.pipeline.facts import find_matrix
from cudaforge.pipeline.host import cache_directory
from cudaforge.pipeline.outside import site_at
from cudaforge.records import record
from cudaforge.refresher import (
    Change,
    FoundRelease,
    compare_companion,
    compare_index,
    default_index,
    read_project,
)
from cudaforge.refresher.changes import pinned
from cudaforge.web import Client, Unreachable
from cudaforge.web.cache import Cache

_DEFAULT = "default"


@record()
class Refreshed:
    """What the sources said."""

    asked: tuple[str, ...]
    """The sources that answered, as `default: torch`."""
    unreachable: tuple[tuple[str, str], ...]
    """Those that did not, each with the reason."""
    changes: tuple[Change, ...]


def refresh(subjects: Sequence[str], file: Path, *, offline: bool = False) -> Refreshed:
    """Ask the package indexes that builds of these frameworks (all without any) and their companions come
    from, and compare.

    Raises InputError for a subject that is no framework of the matrix, and SurroundingsError where no
    source could be asked.
    """
    site = site_at(file, offline=offline)
    if site.offline:
        raise SurroundingsError(
            Problem(what="the sources of the facts cannot be asked offline", remedy="leave --offline out")
        )
    matrix = find_matrix(file)
    names = _framework_names(matrix, subjects)
    asker = _Asker(site, {name: row.url for name, row in matrix.indexes.items()})
    for name in names:
        builds = matrix.builds(name)
        feeds = dict.fromkeys((build.index, one[0]) for build in builds if (one := pinned(build)) is not None)
        for index, package in feeds:
            found = asker.ask(index, package)
            if found is not None:
                here = [build for build in builds if build.index == index]
                asker.changes += compare_index(name, here, package, found, index=index)
        companions = [row for row in matrix.companions(name) if row.role is CompanionRole.COMPANION]
        for package in dict.fromkeys(row.package for row in companions):
            found = asker.ask(_DEFAULT, package)
            if found is not None:
                asker.changes += compare_companion(name, companions, package, found, index=_DEFAULT)
    if not asker.asked:
        raise SurroundingsError(
            Problem(what="no source of the facts could be asked", because=tuple(asker.reasons.values()))
        )
    return Refreshed(
        asked=tuple(asker.asked), unreachable=tuple(asker.reasons.items()), changes=tuple(asker.changes)
    )


class _Asker:
    """Asks each index, unless its host has been silent before."""

    def __init__(self, site: Site, known: Mapping[str, str]) -> None:
        self._addresses = {**known, **site.named_indexes, _DEFAULT: site.index_url or default_index()}
        cache = Cache(cache_directory() / "web")
        self._client = Client(
            timeout=30, run_timeout=300, ca_bundle=site.ca_bundle, proxies=site.proxies, cache=cache
        )
        self._silent: dict[str, str] = {}
        self.asked: list[str] = []
        self.reasons: dict[str, str] = {}
        self.changes: list[Change] = []

    def ask(self, index: str, package: str) -> Mapping[str, FoundRelease] | None:
        """The releases of a package; None where the index cannot be asked."""
        name = f"{index}: {package}"
        address = self._addresses[index]
        host = urlsplit(address).netloc
        if host not in self._silent:
            try:
                found = read_project(self._client, address, package)
            except Unreachable as error:
                self._silent[host] = error.problems[0].what
            else:
                self.asked.append(name)
                return found
        self.reasons[name] = self._silent[host]
        return None


def _framework_names(matrix: Matrix, subjects: Sequence[str]) -> tuple[str, ...]:
    rows = [(word, matrix.find_framework(word)) for word in subjects]
    unknown = [word for word, row in rows if row is None]
    if unknown:
        raise InputError(
            Problem(
                what=f"{word!r} is no framework: only the facts on frameworks can be compared so far",
                where=Location(file="command line", key=word),
                remedy=f"frameworks: {', '.join(sorted(matrix.frameworks))}",
            )
            for word in unknown
        )
    return tuple(dict.fromkeys(row.name for _, row in rows if row)) or tuple(sorted(matrix.frameworks))
