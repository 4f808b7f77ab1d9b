"""How a run over several images builds."""

from __future__ import annotations

from pathlib import Path

from cudaforge.builder.cache import Caches
from cudaforge.builder.model import Reproducible
from cudaforge.records import made, record


@record()
class BuildSettings:
    """How a run builds."""

    root: Path
    state: Path
    workers: int
    """Builds at a time on each builder."""
    is_uncached: bool
    reproducible: Reproducible
    timeout: float
    keeps_going: bool = True
    """Whether images are begun after another one failed."""
    caches: Caches = made(default_factory=Caches)
