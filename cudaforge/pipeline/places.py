"""Where things lie in a directory that `vendor` fills, besides wheels, uv and what steps give."""

from __future__ import annotations

from pathlib import Path

from cudaforge.errors import NegativeAnswer, Problem
from cudaforge.lockfile.model import LockedBase, LockedWheel, PythonArchive


def base_directory(directory: Path, base: LockedBase) -> Path:
    """Where a collected base lies, as an OCI image layout. Raises NegativeAnswer for one without digest."""
    if base.digest is None:
        raise NegativeAnswer(
            Problem(
                what=f"{base.reference} is not pinned to a digest, so that it cannot be collected",
                remedy="lock again without --allow-unpinned",
            )
        )
    return directory / "bases" / base.digest.replace(":", "-")


def source_file(directory: Path, wheel: LockedWheel) -> Path:
    """Where a collected source lies."""
    return directory / "sources" / wheel.filename / (wheel.sha256 or "commit")


def python_file(directory: Path, archive: PythonArchive) -> Path:
    """Where the archive of a standalone Python lies."""
    return directory / "pythons" / f"{archive.sha256}.tar.gz"
