"""Which wheels install a build: the exact pins of its requirements."""

from __future__ import annotations

import re

from cudaforge.matrix.model import FrameworkBuild

_PINNED = re.compile(r"(?P<package>[A-Za-z0-9._-]+)(?:\[[^]]*\])?={2,3}(?P<version>[^\s;,]+)")


def pins_of(build: FrameworkBuild) -> tuple[tuple[str, str], ...]:
    """Package (normalised) and version of each wheel that a build is installed by."""
    return tuple(pin for one in build.requires if (pin := pin_of(one)) is not None)


def pin_of(requirement: str) -> tuple[str, str] | None:
    """Package (normalised) and version of an exact requirement; None for others."""
    match = _PINNED.fullmatch(requirement)
    return None if match is None else (re.sub(r"[-_.]+", "-", match["package"]).lower(), match["version"])
