"""What builders share whose images an engine keeps."""

from __future__ import annotations

from pathlib import Path

from cudaforge import process
from cudaforge.builder.protocol import BuildEnd
from cudaforge.engine import Engine, ImageFacts
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import replace

ARCHIVE_SECONDS = 1800.0


class EngineKept:
    """The part of `Builder` that is about images, by an engine."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine

    def find_image(self, reference: str) -> ImageFacts | None:
        """See `Builder`."""
        return self.engine.find_image(reference)

    def with_image(self, end: BuildEnd, image: LockedImage) -> BuildEnd:
        """How a build ended, with the image that the engine has of it."""
        return end if end.failure is not None else replace(end, image=self.find_image(image.tags[0]))

    def tag_image(self, image_id: str, reference: str) -> None:
        """See `Builder`."""
        self.engine.tag_image(image_id, reference)

    def save_image(self, reference: str, archive: Path) -> None:
        """See `Builder`."""
        self.engine.save_image(reference, archive, timeout=ARCHIVE_SECONDS)

    def check_alive(self) -> None:
        """See `Builder`."""
        self.engine.check_alive()

    def stop(self) -> None:
        """See `Builder`."""
        process.end_all(owner=self.engine)
