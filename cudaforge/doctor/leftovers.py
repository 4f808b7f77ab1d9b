"""What cudaforge made on a host and has left there."""

from __future__ import annotations

from enum import Enum

from cudaforge.records import record


class Kind(str, Enum):
    """What can be left, in the order in which it is taken away."""

    CONTAINER = "container"
    IMAGE = "image"
    BASE = "base-image"
    """What images are built from, where an engine has to have it under a name."""
    CACHE = "build-cache"
    FILE = "file"


@record()
class Leftover:
    """One thing that cudaforge made."""

    kind: Kind
    name: str
    id: str
    bytes: int
    """What it takes; of an image all its layers, which it may share with others."""
    is_kept: bool = False
    """Whether it stays, since something uses it."""


@record()
class Cleaned:
    """What is there, or was; and how many bytes its end gave back."""

    items: tuple[Leftover, ...]
    freed: int
