"""One builder's place in a run over several images."""

from __future__ import annotations

from dataclasses import dataclass

from cudaforge.builder.errors import BuilderFailed
from cudaforge.builder.protocol import Builder
from cudaforge.errors import Problem


@dataclass(slots=True)
class Place:
    """One builder of a run. `number` is its name in the queue."""

    number: int
    builder: Builder
    failures: int = 0
    """Images in a row that surroundings failed here; what was there already is none of them."""
    strikes: int = 0
    """Times in a row that it did not answer."""
    out_because: str = ""
    """Why it gets no more images, once it is out."""

    def out(self) -> BuilderFailed:
        """The error of what it was doing when it was taken out."""
        return BuilderFailed(Problem(what=f"the builder {self.builder.name} is out: {self.out_because}"))
