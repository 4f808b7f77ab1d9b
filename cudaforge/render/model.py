"""What rendering gives: texts, and the names of what a build has to bring along."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFile:
    """One file to write. `path` is relative to the output directory."""

    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedImage:
    """The Dockerfile of one image and the build inputs that it names."""

    name: str
    dockerfile: str
    ignore: str
    """Text of `<Dockerfile>.dockerignore`."""
    contexts: tuple[str, ...]
    """Named build contexts that it mounts or starts from, besides the project itself."""
    secrets: tuple[str, ...]
    """Ids of the BuildKit secrets that it mounts."""
