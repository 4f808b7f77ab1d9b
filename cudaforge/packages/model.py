"""Wheels and Pythons, as values: the types that locking and building share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cudaforge.records import made, record


@record()
class GitCommit:
    """One commit of a repository."""

    url: str
    """`https://host/path`, without user and password."""
    commit: str
    """All 40 digits."""
    subdirectory: str = ""


@record()
class LockedWheel:
    """One wheel of a closure, or the source that it is built from."""

    package: str
    """Normalized name (PEP 503)."""
    version: str
    filename: str
    index: str
    """Name of the index that serves it: `default`, one that the matrix names, or `project` for a file that
    lies beside the lock."""
    sha256: str
    """Empty for a commit, which is a hash itself."""
    size: int | None
    git: GitCommit | None = None
    """The commit that the wheel is built from; `filename` is then the archive that is made of it."""
    platforms: tuple[str, ...] = ()
    """Those of the image's platforms that take this file; empty for all of them."""

    @property
    def is_built(self) -> bool:
        """Whether the file is a source, from which the wheel is built."""
        return not self.filename.endswith(".whl")


@record()
class PythonArchive:
    """The archive of a standalone Python for one platform."""

    platform: str
    path: str
    """Below the address of its feed; no site is in it."""
    sha256: str


@record()
class LockedPython:
    """A Python that comes as an archive of its own."""

    version: str
    """`3.11.17`."""
    feed: str
    """What the matrix calls the place that publishes it."""
    archives: tuple[PythonArchive, ...]

    def find_archive(self, platform: str) -> PythonArchive | None:
        """The archive for a platform."""
        return next((one for one in self.archives if one.platform == platform), None)


@record()
class ClosureRequest:
    """What a closure has to contain, and where it has to run."""

    name: str
    """The image's name, for messages."""
    requirements: tuple[str, ...]
    """The frameworks, exactly pinned (PEP 508)."""
    constraints: tuple[str, ...]
    """Pins that nothing in the closure may move."""
    packages: tuple[str, ...]
    """What the user asks for besides (PEP 508)."""
    python: str
    platform: str
    others: tuple[str, ...] = ()
    """Further platforms of the image, which get the same versions."""
    glibc: str
    """The base's glibc: which wheels load."""
    indexes: Mapping[str, str]
    """Name to public address of the indexes that the matrix names for these frameworks."""
    index_of: Mapping[str, str]
    """Requirement (as in `requirements` or `constraints`) to the name of the index that serves it;
    those that are not here come from the site's own."""
    limits: tuple[str, ...] = ()
    """What the user says of packages that others bring (PEP 508)."""
    unfit: tuple[str, ...] = ()
    """What the facts say of them: releases (PEP 508) that were compiled for other releases of a framework."""
    hashes: Mapping[str, tuple[str, ...]] = made(default_factory=dict)
    """Package to the SHA-256 of the files that may stand for it; those without an entry are free."""
    files: Mapping[str, Path] = made(default_factory=dict)
    """Package to the one wheel that stands for it, a file of the project."""
    from_source: tuple[str, ...] = ()
    """Packages that are built from their source."""
    preferred: tuple[LockedWheel, ...] = ()
    """An earlier closure, whose versions are kept where they still fit."""
    as_of: str | None = None
    """The day, as YYYY-MM-DD, after which nothing counts that an index was given. What is pinned by
    `requirements` and `constraints` is dated by the facts."""
