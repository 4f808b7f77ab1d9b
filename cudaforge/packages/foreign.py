"""The uv program for platforms other than this machine's: the same version, out of its wheel."""

from __future__ import annotations

import platform as host
import zipfile
from pathlib import Path

from cudaforge.errors import Problem, SurroundingsError
from cudaforge.files import held_lock, write_bytes_atomically
from cudaforge.packages.closure import resolve_closure
from cudaforge.packages.collect import WHEEL_SECONDS, collect_wheels, wheel_file
from cudaforge.packages.machines import ARCHITECTURES
from cudaforge.packages.model import ClosureRequest
from cudaforge.packages.site import Site
from cudaforge.packages.uv import NoClosure, uv_binary, uv_version

_LARGEST = 256 * 1024 * 1024
"""Bytes that the program may have: several times of what it has."""
_EXECUTABLE = 0o111
_PYTHON, _GLIBC = "3.12", "2.28"
"""Any will do: uv's wheels hold one program, linked without a C library."""


def fetch_uv(platform: str, *, site: Site, cache: Path) -> Path:
    """The uv program for images of a platform: this installation's own, or for another platform than this
    machine's the same version from the site's package index, kept in the cache.

    Raises SurroundingsError where the index does not have it, or nothing may be asked.
    """
    path = uv_file(platform, cache)
    if path is None:
        return uv_binary(platform)
    if path.is_file() and path.stat().st_mode & _EXECUTABLE:
        return path  # from where nothing can be written, too
    version = uv_version()
    with held_lock(path.with_name("lock.pid"), timeout=WHEEL_SECONDS, on_wait=_say_nothing):
        if not path.is_file():
            if site.offline:
                raise SurroundingsError(
                    Problem(
                        what=f"uv {version} for {platform} is not here, and nothing may be downloaded",
                        remedy="run once without --offline",
                    )
                )
            content = _read(_fetch_wheel(version, platform, site, path.parent), version)
            write_bytes_atomically(path, content)
        path.chmod(0o755)
    return path


def uv_file(platform: str, cache: Path) -> Path | None:
    """Where the uv program for images of another platform than this machine's is kept, if it is; None for
    this machine's own."""
    if ARCHITECTURES.get(platform) == host.machine():
        return None
    directory = uv_directory(platform, cache)
    return None if directory is None else directory / "uv"


def uv_directory(platform: str, cache: Path) -> Path | None:
    """Where machines of other platforms keep the uv program for images of this one; None for a platform that
    has none."""
    machine = ARCHITECTURES.get(platform)
    return None if machine is None else cache / "uv" / f"{uv_version()}-{machine}"


def _say_nothing(_: str) -> None:
    """Another build of this run may well be fetching it."""


def _fetch_wheel(version: str, platform: str, site: Site, directory: Path) -> Path:
    request = ClosureRequest(
        name=f"uv for {platform}",
        requirements=(f"uv=={version}",),
        constraints=(),
        packages=(),
        python=_PYTHON,
        platform=platform,
        glibc=_GLIBC,
        indexes={},
        index_of={},
    )
    try:
        (wheel,) = resolve_closure(request, site)
    except NoClosure as refusal:
        raise SurroundingsError(
            Problem(
                what=f"this site's package index does not have uv {version} for {platform}",
                because=refusal.explanation,
                remedy=f"use an index that has it, or build on a machine of {platform}",
            )
        ) from None
    collect_wheels((wheel,), directory, python=_PYTHON, indexes={}, site=site, own=directory)
    return wheel_file(directory, wheel)


def _read(wheel: Path, version: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(f"uv-{version}.data/scripts/uv") as program:
            content = program.read(_LARGEST + 1)
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise SurroundingsError(
            Problem(
                what=f"{wheel.name} has no uv program",
                because=(f"{type(error).__name__}: {error}",),
                remedy="see what the package index serves under that name",
            )
        ) from None
    if len(content) > _LARGEST:
        raise SurroundingsError(
            Problem(what=f"the uv program of {wheel.name} is larger than {_LARGEST} bytes")
        )
    return content
