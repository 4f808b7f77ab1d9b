"""Fetching the packages of a plan into the cache, where each lies under its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cudaforge.bootstrap import apt
from cudaforge.bootstrap.cache import hold_lock, scratch_directory
from cudaforge.bootstrap.deadline import Deadline
from cudaforge.bootstrap.host import find_sources, load_reaching_config
from cudaforge.bootstrap.model import BootstrapPackage, BootstrapPlan
from cudaforge.bootstrap.sources import Source, describe_archive, find_service, way_to_archive
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.files import hash_file

_NAMED = 3


class PackagesGone(SurroundingsError):
    """The archive answers, and has not these packages any more, or has others under their names."""


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


def fetch_missing(
    plan: BootstrapPlan, cache: Path, deadline: Deadline, *, sources: tuple[Source, ...] | None = None
) -> None:
    """Download what the cache lacks from the host's archives, or from `sources`, each file checked against
    the plan.

    Raises PackagesGone for packages that the archive no longer has, SurroundingsError for those that cannot
    be fetched.
    """
    with hold_lock(cache / "debs", deadline):
        if not find_missing(plan, cache):
            return
        (cache / "debs").mkdir(exist_ok=True)
        asked = find_sources(plan.codename) if sources is None else sources
        directory = cache / "apt" / f"{plan.codename}-{plan.architecture}-download"
        state = apt.prepare_state(
            directory, sources=asked, architecture=plan.architecture, reaching=load_reaching_config()
        )
        complaints: list[str] = []
        with scratch_directory(cache / "debs" / ".new") as arriving:
            for address in dict.fromkeys(source.address for source in asked):
                missing = find_missing(plan, cache)
                complaints += _fetch_from(address, missing, cache, arriving, state, deadline)
        _require_all(find_missing(plan, cache), complaints, asked)


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
    arriving: Path,
    state: apt.AptState,
    deadline: Deadline,
) -> tuple[str, ...]:
    if not packages:
        return ()
    root = address.rstrip("/")
    downloads = [
        (f"{root}/{package.filename}", arriving / package.sha256, package.sha256) for package in packages
    ]
    complaints = apt.fetch_files(state, downloads, deadline)
    for package in packages:
        path = arriving / package.sha256
        if path.is_file() and hash_file(path) == package.sha256:
            path.rename(_package_file(cache, package))
    return complaints


def _require_all(
    missing: Sequence[BootstrapPackage], complaints: Sequence[str], sources: Sequence[Source] = ()
) -> None:
    if not missing:
        return
    # An archive's complaints about what another archive had are of no interest.
    files = tuple(package.filename for package in missing)
    about = tuple(line for line in complaints if any(file in line for file in files))
    names = ", ".join(f"{package.name} {package.version}" for package in missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    raise _explained(f"{names}{more}", about, sources)


def _explained(names: str, complaints: Sequence[str], sources: Sequence[Source]) -> SurroundingsError:
    archive, way = describe_archive(sources), way_to_archive(sources)
    is_dated = find_service(sources) is not None
    is_gone = False
    if any(apt.is_unreachable(line) for line in complaints):
        what = f"{names} cannot be fetched: {archive} cannot be reached"
    elif any("Hash Sum mismatch" in line or "Size mismatch" in line for line in complaints):
        what, is_gone = f"{archive} has other files than the lock for {names}", True
    elif complaints and all("404" in line or "File not found" in line for line in complaints):
        what, is_gone = f"{archive} {'does not have' if is_dated else 'no longer has'} {names}", True
    else:
        what = f"{names} cannot be fetched from {archive}"
    renew = "`cudaforge lock` takes what it has now; or give apt a snapshot that still has them"
    problem = Problem(
        what=what, because=tuple(complaints[:_NAMED]), remedy=renew if is_gone and not is_dated else way
    )
    return PackagesGone(problem) if is_gone else SurroundingsError(problem)
