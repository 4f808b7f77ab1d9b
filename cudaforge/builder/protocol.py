"""The seam of builders: what a queue of images asks of whatever makes them.

BuildKit is the first (`buildkit.py`), Podman the second (`podman.py`). One that assembles layers without a
daemon has to keep the same promises and finds all that it needs in `ImageJob.image`: base, closure,
environment, labels, user, command.
The rendered Dockerfile is for builders that read one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cudaforge.builder.cache import Caches
from cudaforge.builder.failures import Failure
from cudaforge.builder.model import BuildEvent
from cudaforge.engine import ImageFacts
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import record
from cudaforge.renderer.model import RenderedImage


@record()
class ImageJob:
    """One image to build."""

    image: LockedImage
    rendered: RenderedImage
    clean: Callable[[str], str] = str
    """Takes secrets out of a text."""


@record()
class Listener:
    """Who hears of a build. `clean` takes out of every text what no one may see."""

    log: Path
    clean: Callable[[str], str]
    emit: Callable[[BuildEvent], None]


@record()
class BuildEnd:
    """How one build ended. `failure` is None for success."""

    failure: Failure | None
    failed_step: str | None = None
    last_lines: tuple[str, ...] = ()
    image: ImageFacts | None = None
    """The image that its builder keeps now; None also where one that was built has vanished."""


@record()
class BuildOrder:
    """How a job is to be built."""

    state: Path
    """Where large temporary files may lie, below `tmp`."""
    is_uncached: bool
    is_reproducible: bool
    """Whether times are rewritten, so that the same lock gives the same image."""
    again: Path | None
    """Where the image goes as an archive, built without cache; None: it is kept by the builder."""
    timeout: float
    """Seconds for one image."""
    caches: Caches
    """Where steps are kept outside the builder, for it to write to and to read from."""
    is_given_up: Callable[[], bool]
    """Whether the run was stopped, so that nothing may be started any more."""


class GivenUp(Exception):
    """The run was given up before this build began."""


class Builder(Protocol):
    """Makes images and keeps them. Safe to share between threads.

    Every method raises EngineError when the builder itself fails it.
    """

    @property
    def name(self) -> str:
        """What people call it."""

    def build(self, job: ImageJob, order: BuildOrder, listener: Listener) -> BuildEnd:
        """Build one image, with all its tags, and say how it ended; its log is written to `listener.log`.

        Nothing temporary is left. Raises GivenUp, and SurroundingsError where it cannot be tried.
        """

    def find_image(self, reference: str) -> ImageFacts | None:
        """The image with this reference or id, if it is kept here."""

    def tag_image(self, image_id: str, reference: str) -> None:
        """Let `reference` mean this image."""

    def save_image(self, reference: str, archive: Path) -> None:
        """Write an image that is kept here into an archive."""

    def check_alive(self) -> None:
        """Raise EngineError unless it still answers."""

    def stop(self) -> None:
        """End what runs here: `build` comes back with a failure, or it and `save_image` raise EngineError."""
