"""Where facts come from, how they are known, and who says otherwise."""

from __future__ import annotations

from enum import Enum

from cudaforge.records import record


class Strength(str, Enum):
    """How a fact is known, strongest first."""

    MEASURED = "measured"
    """Read out of the artefact itself."""
    INDEX = "index"
    """The metadata of the package index, or of a public registry."""
    VENDOR = "vendor"
    """A vendor's document."""
    INFERRED = "inferred"
    """Derived or recalled; used to warn, never to say yes."""


@record()
class Source:
    """Where a fact comes from. `checked` is an ISO date."""

    id: str
    text: str
    checked: str
    strength: Strength
    file: str
    """The matrix file, relative to `matrices/`, or the overlay."""
    overlay: bool = False
    """Whether the file is an overlay of the user's."""
    parts: tuple[Part, ...] = ()
    """Where the settings of a row come from that several files speak of; empty for all others."""
    disputes: tuple[Dispute, ...] = ()
    """What other sources say otherwise of the row that names this one."""

    def citation(self) -> str:
        """The source as messages name it: `[frameworks/pytorch.toml: wheel-2.6, checked 2026-11-22]`."""
        return f"[{self.place()}: {self.id}, checked {self.checked}]"

    def place(self) -> str:
        """The file as messages name it: an overlay may be called like a file of the matrix."""
        return f"overlay {self.file}" if self.overlay else self.file


@record()
class Part:
    """Settings of one row that come from one source."""

    fields: tuple[str, ...]
    source: Source


@record()
class Dispute:
    """Two sources that say different things of one setting of a row."""

    row: str
    field: str
    value: str
    """What counts."""
    source: Source
    other: str
    other_source: Source
    reason: str
    """Why the first of the two counts."""

    def sentence(self) -> str:
        """Both values with their sources, and which of them counts."""
        return (
            f"{self.row}: {self.field.replace('_', ' ')} is {self.value} by {_witness(self.source)}, "
            f"and {self.other} by {_witness(self.other_source)}; the first counts: {self.reason}"
        )


def _witness(source: Source) -> str:
    return f"{source.place()} ({source.id}, {source.strength.value}, checked {source.checked})"
