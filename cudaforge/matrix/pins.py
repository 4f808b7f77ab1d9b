"""Which wheels install a build: the exact pins of its requirements."""

from __future__ import annotations

import re

from cudaforge.matrix.model import FrameworkBuild

_PINNED = re.compile(r"(?P<package>[A-Za-z0-9._-]+)(?:\[[^]]*\])?={2,3}(?P<version>[^\s;,]+)")


def pins_of(build: FrameworkBuild) -> tuple[tuple[str, str], ...]:
    """Package (normalised) and version of each wheel that a build is installed by."""
    matches = [_PINNED.fullmatch(one) for one in build.requires]
    return tuple(
        (re.sub(r"[-_.]+", "-", match["package"]).lower(), match["version"]) for match in matches if match
    )
