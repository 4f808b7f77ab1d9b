"""What building gives, per image, and what it tells while it works."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from cudaforge.records import record


class BuildState(str, Enum):
    """How the build of one image ended."""

    BUILT = "built"
    CACHED = "cached"
    """Nothing had to be done: an image with this lock entry is there."""
    FAILED = "failed"
    CANCELLED = "cancelled"


class Reproducible(str, Enum):
    """Whether the same lock has to give the same image, to the digest."""

    NO = "no"
    YES = "yes"
    PROVEN = "proven"
    """Each image is built a second time, without cache, and fails where that gives another one."""


@record()
class BuildResult:
    """One image's build."""

    name: str
    state: BuildState
    reference: str
    image_id: str | None
    size: int | None
    """Bytes of the image's unpacked layers."""
    seconds: float
    log: str
    """Path of the full log; empty where nothing was run."""
    builder: str = ""
    """The builder that has the image, or failed to make it; empty where none tried."""
    failed_step: str | None = None
    last_lines: tuple[str, ...] = ()
    reason: str | None = None
    """Why it failed or was cancelled, in one sentence."""
    remedy: str | None = None
    is_reproduced: bool | None = None
    """Whether a second build gave the same image; None where there was none."""
    differences: tuple[str, ...] = ()
    """What differed in the second build."""
    caches_unread: tuple[str, ...] = ()
    """The caches outside that could not be read and were left out, each with the reason."""


class EventKind(str, Enum):
    """What has happened."""

    IMAGE_STARTED = "image-started"
    STEP_STARTED = "step-started"
    """May come again for the same step: BuildKit first works out its cache key, then runs it."""
    STEP_DONE = "step-done"
    STEP_CACHED = "step-cached"
    STEP_FAILED = "step-failed"
    PROGRESS = "progress"
    """A transfer inside a step: `done` of `size` bytes of `item`."""
    LOG = "log"
    """A line that a step printed."""
    IMAGE_FINISHED = "image-finished"
    """`result` says how."""
    IMAGE_RETURNED = "image-returned"
    """Its builder failed it: it waits for another. `line` says why."""
    IMAGE_AGAIN = "image-again"
    """Its last steps are done once more by the same builder; `line` says why."""
    CACHE_UNREAD = "cache-unread"
    """An outside cache cannot be read, and steps are built without it; `line` says which and why."""
    BUILDER_LOST = "builder-lost"
    """A builder gets no more images; `line` says which and why. Of no image."""


@record()
class BuildEvent:
    """One thing that happened in the build of one image. Comes on any thread, one at a time."""

    image: str
    kind: EventKind
    step: str = ""
    """`[runtime 2/5] RUN apt-get update`, as BuildKit names it."""
    step_index: int = 0
    """How many steps of this image are finished."""
    step_total: int = 0
    """How many steps are known so far."""
    item: str = ""
    done: int | None = None
    size: int | None = None
    """Bytes; None while the size is unknown."""
    line: str = ""
    result: BuildResult | None = None

    @property
    def fraction(self) -> float:
        """How much of the image's steps is finished, 0 to 1."""
        return self.step_index / self.step_total if self.step_total else 0.0


def result_to_json(result: BuildResult) -> Mapping[str, object]:
    """One image's build for a JSON document."""
    return {
        "name": result.name,
        "state": result.state.value,
        "reference": result.reference,
        "image_id": result.image_id,
        "size": result.size,
        "seconds": round(result.seconds, 3),
        "log": result.log,
        "builder": result.builder,
        "failed_step": result.failed_step,
        "last_lines": list(result.last_lines),
        "reason": result.reason,
        "remedy": result.remedy,
        "reproduced": result.is_reproduced,
        "differences": list(result.differences),
        "caches_unread": list(result.caches_unread),
    }
