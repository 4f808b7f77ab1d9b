"""What building gives, per image."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class BuildState(str, Enum):
    """How the build of one image ended."""

    BUILT = "built"
    CACHED = "cached"
    """Nothing had to be done: an image with this lock entry is there."""
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """One image's build."""

    name: str
    state: BuildState
    reference: str
    image_id: str | None
    size: int | None
    """Bytes on disk."""
    seconds: float
    log: str
    """Path of the full log."""
    failed_step: str | None = None
    last_lines: tuple[str, ...] = ()
