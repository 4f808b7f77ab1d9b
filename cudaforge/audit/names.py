"""By which names frameworks and what goes with them are installed, and where indexes have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from packaging.requirements import Requirement

from cudaforge.audit.state import Install, Origin
from cudaforge.matrix.companion import CompanionRole
from cudaforge.matrix.model import FrameworkBuild
from cudaforge.matrix.model_audit import Distribution
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record

_STABLE = re.compile(r"(?P<root>https?://.+?/whl)(?:/(?P<label>[a-z0-9]+))?/torch_stable\.html")
_LABEL = re.compile(r"cu(?P<major>\d{1,2})(?P<minor>\d)")


def normal(name: str) -> str:
    """A package name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[str, frozenset[str], int]:
    requirement = Requirement(text)
    return normal(requirement.name), frozenset(map(normal, requirement.extras)), 0


def main_name(build: FrameworkBuild) -> tuple[str, frozenset[str]]:
    """The package, with its extras, that a build is installed by."""
    name, extras, _ = _parsed(build.requires[0])
    return name, extras


def other_names(build: FrameworkBuild) -> frozenset[str]:
    """What else has to be installed for it."""
    return frozenset(_parsed(text)[0] for text in build.requires[1:])


@lru_cache(maxsize=4)
def frameworks_by_name(matrix: Matrix) -> Mapping[str, str]:
    """Package name to the framework that it installs."""
    found: dict[str, str] = {}
    for framework in matrix.frameworks:
        for build in matrix.builds(framework):
            found[main_name(build)[0]] = framework
    return found


@lru_cache(maxsize=4)
def companions_by_name(matrix: Matrix) -> Mapping[str, str]:
    """Package name to the framework that it is made for; what a framework itself requires is left out."""
    return {
        row.package: framework
        for framework in matrix.frameworks
        for row in matrix.companions(framework)
        if row.role is not CompanionRole.DEPENDENCY
    }


def find_distribution(matrix: Matrix, name: str, extra: str | None = None) -> Distribution | None:
    """What the facts say of a name, or of an extra of it."""
    wanted = f"{name}[{extra}]" if extra else name
    return next((row for row in matrix.distributions if row.name == wanted), None)


@record()
class Channels:
    """Which indexes an installer looks at, as far as the facts know them."""

    default: bool
    """Whether the site's own index is among them."""
    named: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Addresses of indexes that do not exist."""
    unknown: tuple[str, ...] = ()
    is_open: bool = False
    """Whether a page that lists the builds of all channels is among them."""


def channels(matrix: Matrix, install: Install) -> Channels:
    """The indexes that an installation looks at."""
    backend = install.origin.backend
    framework = frameworks_by_name(matrix).get(normal(install.requirement.name))
    if backend is not None and framework is not None:
        family = [row.name for row in matrix.indexes.values() if row.name.startswith(f"{framework}-")]
        if f"{framework}-{backend}" in family:
            return Channels(default=False, named=(f"{framework}-{backend}",))
        if family:
            return Channels(default=False, unknown=(backend,))
    return _channels(matrix, install.origin)


@lru_cache(maxsize=1024)
def _channels(matrix: Matrix, origin: Origin) -> Channels:
    default = origin.index is None and not origin.no_index
    named: list[str] = []
    missing: list[str] = []
    unknown: list[str] = []
    is_open = False
    for url in (*([origin.index] if origin.index else []), *origin.extra, *origin.links):
        match = _STABLE.fullmatch(url)
        if match is not None:
            is_open = is_open or match["label"] is None
            url = f"{match['root']}/{match['label']}" if match["label"] else ""  # noqa: PLW2901
            if not url:
                continue
        name = find_index(matrix, url)
        if name is not None:
            named.append(name)
        elif is_missing(matrix, url):
            missing.append(url)
        elif is_default_mirror(url):
            default = True
        elif not url.startswith(("https://pypi.nvidia.com", "https://pypi.ngc.nvidia.com")):
            unknown.append(url)
    return Channels(
        default=default,
        named=tuple(named),
        missing=tuple(missing),
        unknown=tuple(unknown),
        is_open=is_open,
    )


def is_shown(matrix: Matrix, index: str, package: str) -> bool:
    """Whether a named index may have a package; what is not known of its family counts as shown."""
    family = index.partition("-")[0]
    shown = {
        one for row in matrix.indexes.values() if row.name.startswith(f"{family}-") for one in row.others
    }
    if not shown or package in shown or package.startswith("nvidia-"):
        return True
    return frameworks_by_name(matrix).get(package) == family


def find_index(matrix: Matrix, url: str) -> str | None:
    """The name that the facts have for an address."""
    plain = _plain(url)
    return next((row.name for row in matrix.indexes.values() if _plain(row.url) == plain), None)


def _plain(url: str) -> str:
    return re.sub(r"^https?://(?:[^/@]*@)?", "", url.strip()).rstrip("/").lower()


def is_missing(matrix: Matrix, url: str) -> bool:
    """Whether the address is that of a channel that would have a name in the facts if there were one: between
    the oldest and the newest that they know of its family."""
    root, _, label = _plain(url).rpartition("/")
    match = _LABEL.fullmatch(label)
    if match is None:
        return False
    known = [
        (int(one["major"]), int(one["minor"]))
        for row in matrix.indexes.values()
        if _plain(row.url).rpartition("/")[0] == root
        and (one := _LABEL.fullmatch(_plain(row.url).rpartition("/")[2]))
    ]
    asked = int(match["major"]), int(match["minor"])
    return bool(known) and min(known) <= asked <= max(known) and asked not in known


def nearest_index(matrix: Matrix, url: str) -> str | None:
    """The address of the newest channel of the same CUDA major that is not newer than the one asked for."""
    root, _, label = _plain(url).rpartition("/")
    match = _LABEL.fullmatch(label)
    if match is None:
        return None
    found: list[tuple[int, str]] = []
    for row in matrix.indexes.values():
        parent, _, own = _plain(row.url).rpartition("/")
        one = _LABEL.fullmatch(own)
        if (
            parent == root
            and one
            and one["major"] == match["major"]
            and int(one["minor"]) <= int(match["minor"])
        ):
            found.append((int(one["minor"]), row.url))
    return max(found)[1] if found else None


_FEEDS = ("visualstudio.com", "dev.azure.com", "amazonaws.com", "pkg.dev", "gitlab.com")
"""Hosts of feeds that their owners fill: `pypi` in their addresses names the protocol."""


def is_default_mirror(url: str) -> bool:
    """Whether it is the common index, or a mirror of it by its name."""
    host = _plain(url).partition("/")[0]
    if host.endswith(_FEEDS):
        return False
    return bool(re.search(r"(^|[./-])pypi([./-]|$)", _plain(url))) and "nvidia" not in host


def serves(index: str, build: FrameworkBuild) -> bool:
    """Whether a named index has the build: a channel is named after its framework and build."""
    return index in (build.index, f"{build.framework}-{build.build}")
