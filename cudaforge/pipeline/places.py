"""Where things lie in a directory that `vendor` fills, and how what lies there is called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cudaforge.errors import NegativeAnswer, Problem
from cudaforge.lockfile.model import LockedBase, LockedWheel, PythonArchive
from cudaforge.records import record

PROJECTS = "projects"
_HASH = "[0-9a-f]{64}"
_NAME = "[^/]+"
_BASE = f"sha256-{_HASH}"
_UV = f"{_NAME}-{_NAME}"


@record()
class Part:
    """One directory of those that a vendored directory consists of."""

    files: tuple[tuple[str, ...], ...]
    """How its files are called: for each directory on the way, and for the file, a pattern."""
    is_of_trees: bool = False
    """Whether it has directories that are there whole or not at all."""

    def has_file(self, place: Sequence[str]) -> bool:
        """Whether the name, in parts, is one of a file that `vendor` puts there."""
        return any(len(place) == len(file) and _fit(place, file) for file in self.files)

    def has_directory(self, place: Sequence[str]) -> bool:
        """The same for a directory."""
        return any(len(place) < len(file) and _fit(place, file) for file in self.files)

    def is_anything(self, place: Sequence[str]) -> bool:
        """Whether a directory there may have any name, as far as its name tells."""
        return any(len(place) < len(file) and file[len(place) - 1] == _NAME for file in self.files)


PARTS: Mapping[str, Part] = {
    "bases": Part(
        files=((_BASE, "oci-layout"), (_BASE, r"index\.json"), (_BASE, "blobs", "sha256", _HASH)),
        is_of_trees=True,
    ),
    "collected": Part(files=((rf"{_HASH}\.json",),)),
    "debs": Part(files=((rf"{_HASH}\.deb",),)),
    PROJECTS: Part(files=((rf"{_HASH}\.json",),)),
    "pythons": Part(files=((rf"{_HASH}\.tar\.gz",),)),
    "sources": Part(files=((_NAME, f"{_HASH}|commit"),)),
    "uv": Part(
        files=((_UV, "uv"), (_UV, r"lock\.pid"), (_UV, "wheels", _HASH, rf"{_NAME}\.whl")),
        is_of_trees=True,
    ),
    "wheels": Part(files=((_HASH, rf"{_NAME}\.whl"),)),
}
"""How `vendor` calls what it writes, by part: records before what they name. All else is not its own."""


def _fit(place: Sequence[str], patterns: Sequence[str]) -> bool:
    return all(re.fullmatch(pattern, word) for word, pattern in zip(place, patterns, strict=False))


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
