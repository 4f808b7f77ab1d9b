"""Fetching the packages of a plan into the cache, where each lies under its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cudaforge.bootstrap import apt
from cudaforge.bootstrap.cache import hold_lock
from cudaforge.bootstrap.deadline import Deadline
from cudaforge.bootstrap.host import find_sources, load_reaching_config
from cudaforge.bootstrap.model import BootstrapPackage, BootstrapPlan
from cudaforge.errors import Problem, SurroundingsError

_CHUNK = 1 << 20


def load_package(cache: Path, package: BootstrapPackage) -> bytes:
    """A fetched package. Raises SurroundingsError, and removes the file, where it was damaged."""
    path = _package_file(cache, package)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != package.sha256:
        path.unlink(missing_ok=True)
        raise SurroundingsError(
            Problem(what=f"{path} was damaged and has been removed", remedy="run again to fetch it anew")
        )
    return content


def fetch_missing(plan: BootstrapPlan, cache: Path, deadline: Deadline) -> None:
    """Download what the cache lacks from the host's archives, each file checked against the plan.

    Raises SurroundingsError for a package that the archive no longer has, or that cannot be fetched.
    """
    with hold_lock(cache / "debs", deadline):
        if not find_missing(plan, cache):
            return
        (cache / "debs").mkdir(exist_ok=True)
        sources = find_sources(plan.codename)
        directory = cache / "apt" / f"{plan.codename}-{plan.architecture}-download"
        state = apt.prepare_state(
            directory, sources=sources, architecture=plan.architecture, reaching=load_reaching_config()
        )
        complaints = ""
        for address in dict.fromkeys(source.address for source in sources):
            complaints += _fetch_from(address, find_missing(plan, cache), cache, state, deadline)
        _require_all(find_missing(plan, cache), complaints)


def refuse_missing(plan: BootstrapPlan, cache: Path, _deadline: Deadline) -> None:
    """Raise SurroundingsError where the cache lacks a package: `fetch_missing` for `--offline`."""
    missing = find_missing(plan, cache)
    if missing:
        raise SurroundingsError(
            Problem(
                what=f"{len(missing)} OS packages are not in the cache, and nothing may be downloaded",
                because=tuple(f"{package.name} {package.version}" for package in missing[:5]),
                remedy="run once without --offline",
            )
        )


def find_missing(plan: BootstrapPlan, cache: Path) -> tuple[BootstrapPackage, ...]:
    """The packages that are not in the cache yet, or not with the size they should have."""
    return tuple(package for package in plan.packages if not _is_fetched(package, cache))


def _package_file(cache: Path, package: BootstrapPackage) -> Path:
    return cache / "debs" / f"{package.sha256}.deb"


def _is_fetched(package: BootstrapPackage, cache: Path) -> bool:
    try:
        return _package_file(cache, package).stat().st_size == package.size
    except OSError:
        return False


def _fetch_from(
    address: str,
    packages: Sequence[BootstrapPackage],
    cache: Path,
    state: apt.AptState,
    deadline: Deadline,
) -> str:
    if not packages:
        return ""
    arriving = {package: cache / "debs" / f".{package.sha256}.new" for package in packages}
    try:
        root = address.rstrip("/")
        downloads = [
            (f"{root}/{package.filename}", path, package.sha256) for package, path in arriving.items()
        ]
        complaints = apt.fetch_files(state, downloads, deadline)
        for package, path in arriving.items():
            if path.is_file() and _hash(path) == package.sha256:
                path.rename(_package_file(cache, package))
        return complaints
    finally:
        for path in arriving.values():
            path.unlink(missing_ok=True)


def _require_all(missing: Sequence[BootstrapPackage], complaints: str) -> None:
    if not missing:
        return
    names = ", ".join(f"{package.name} {package.version}" for package in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""  # noqa: PLR2004
    because = tuple(dict.fromkeys(complaints.splitlines()))[:5]
    if all("404" in line or "File not found" in line for line in complaints.splitlines() if "fetch" in line):
        raise SurroundingsError(
            Problem(
                what=f"the OS archive no longer has {names}{more}",
                because=because,
                remedy="lock again with `cudaforge lock`, or give apt a snapshot that still has them",
            )
        )
    raise SurroundingsError(
        Problem(
            what=f"{names}{more} cannot be fetched from the OS archive",
            because=because,
            remedy="see that `apt-get update` works on this host",
        )
    )


def _hash(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            hashed.update(piece)
    return hashed.hexdigest()
