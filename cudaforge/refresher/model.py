"""What sources say, how it differs from the rows, and what rows would say it."""

from __future__ import annotations

from collections.abc import Mapping

from cudaforge.matrix.sources import Strength
from cudaforge.records import record


@record()
class WheelFile:
    """One wheel for Linux on an index."""

    filename: str
    url: str
    platforms: tuple[str, ...]
    """`linux/amd64`; `any` for those without binaries."""
    pythons: tuple[str, ...]
    """Minor versions of Python 3 that it is for; empty where it fits several (abi3, py3)."""
    size: int | None
    has_metadata: bool
    """Whether its METADATA stands beside it (PEP 658)."""


@record()
class FoundWheel:
    """One wheel of a package on one index, whatever it is for."""

    filename: str
    version: str
    url: str
    is_yanked: bool


@record()
class FoundRelease:
    """One version of a package on one index, as far as its Linux wheels tell."""

    version: str
    released: str | None
    """The day of its first upload (ISO date); None where the index does not say."""
    is_yanked: bool
    """Whether all of its wheels are."""
    platforms: tuple[str, ...]
    """Empty where its wheels fit every platform."""
    pythons: Mapping[str, tuple[str, ...]]
    """Platform to minor versions of Python 3; without those whose wheels fit every Python."""
    wheels: tuple[WheelFile, ...] = ()


@record()
class Change:
    """One difference between a row and its source."""

    kind: str
    """`release` (new), `tag` (new), `gone`, `yanked`, `differs`."""
    row: str
    """The row in words: `pytorch 2.8.0 cu128 linux/amd64`."""
    field: str
    old: str | None
    new: str | None
    source: str
    """Who says so, by name, and of what: `default: torch`."""


@record()
class Proposal:
    """Rows that a source proposes, as a matrix file writes them: what they share, and one by one.

    `block` and `entries` are written values: words in one text, shapes by `like`. What could not be read is
    left out of them.
    """

    row: str
    """In words, as the change that it answers."""
    file: str
    """The matrix file that it belongs in, `frameworks/pytorch.toml`."""
    table: str
    """`releases`, `companions`, `cuda`, `cudnn`, `base_images`."""
    block: Mapping[str, object]
    entries: tuple[Mapping[str, object], ...]
    strength: Strength
    basis: str
    """The text of its source: which artefact says it."""
    missing: tuple[str, ...] = ()
    """What could not be read, each with the reason where one is known: `cudnn`."""


@record()
class Tombstone:
    """A tag of a row that is gone."""

    table: str
    """`base_images` or `framework_images`."""
    reference: str
    strength: Strength
    basis: str
