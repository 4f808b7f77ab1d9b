"""What could become of a lock."""

from __future__ import annotations

from pathlib import Path

from cudaforge.errors import Problem
from cudaforge.lockfile.changes import ImageChange, Status
from cudaforge.lockfile.effects import KnownGpus
from cudaforge.records import record
from cudaforge.resolver import HeldBack


@record()
class ImageOutlook:
    """What could become of one image."""

    name: str
    change: ImageChange | None
    """What an upgrade would change; None where it would fail."""
    held_back: tuple[HeldBack, ...]
    """What is newer, and excluded by the image's own wishes."""
    blocked: tuple[Problem, ...] = ()
    """Why an upgrade would fail."""

    @property
    def is_current(self) -> bool:
        """Whether the image is as an upgrade would make it."""
        return self.change is not None and self.change.status is Status.SAME


@record()
class Outlook:
    """What could become of the locked images."""

    path: Path
    images: tuple[ImageOutlook, ...]
    unasked: tuple[tuple[str, str], ...]
    """What gave no answer, each with the reason: there the answer is that of the lock."""
    gpus: KnownGpus
    as_of: str | None = None
    """The day of the lock, which an upgrade stays on."""
    later: tuple[str, ...] = ()
    """In words, what of the frameworks that day holds back."""

    @property
    def is_current(self) -> bool | None:
        """Whether nothing could move; None where somebody who gave no answer may know of something."""
        if not all(image.is_current for image in self.images):
            return False
        return None if self.unasked else True
