"""The result of one image's build, for each way that it can end."""

from __future__ import annotations

from pathlib import Path

from cudaforge.builder.failures import Failure
from cudaforge.builder.model import BuildResult, BuildState
from cudaforge.builder.protocol import BuildEnd
from cudaforge.engine import ImageFacts
from cudaforge.errors import CudaforgeError
from cudaforge.lockfile.budget import EXCESS_REMEDY, find_excess
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import replace


def made_result(
    image: LockedImage, state: BuildState, facts: ImageFacts, *, builder: str, log: Path
) -> BuildResult:
    """The builder has the image; it has failed all the same where it is larger than it may be."""
    result = BuildResult(
        name=image.name,
        state=state,
        reference=image.tags[0],
        image_id=facts.id,
        size=facts.size,
        seconds=0.0,
        log=_existing(log),
        builder=builder,
    )
    reason = find_excess(image, facts.size)
    if reason is None:
        return result
    return replace(
        result,
        state=BuildState.FAILED,
        failed_step="comparing the size with max_size",
        last_lines=(reason,),
        reason=reason,
        remedy=EXCESS_REMEDY,
    )


def failed_result(
    image: LockedImage, end: BuildEnd, failure: Failure, *, builder: str, log: Path
) -> BuildResult:
    """The build was run, and failed."""
    return BuildResult(
        name=image.name,
        state=BuildState.FAILED,
        reference=image.tags[0],
        image_id=None,
        size=None,
        seconds=0.0,
        log=str(log),
        builder=builder,
        failed_step=end.failed_step,
        last_lines=end.last_lines,
        reason=failure.reason,
        remedy=failure.remedy,
    )


def untried_result(image: LockedImage, error: CudaforgeError, *, builder: str, log: Path) -> BuildResult:
    """The surroundings did not let it be built, or what was not given or is not what the lock says."""
    return replace(
        cancelled_result(image, str(error)),
        state=BuildState.FAILED,
        log=_existing(log),
        builder=builder,
        remedy=error.problems[0].remedy if error.problems else None,
    )


def cancelled_result(image: LockedImage, reason: str) -> BuildResult:
    """It was not begun, or not finished, because of something else."""
    return BuildResult(
        name=image.name,
        state=BuildState.CANCELLED,
        reference=image.tags[0],
        image_id=None,
        size=None,
        seconds=0.0,
        log="",
        reason=reason,
    )


def _existing(log: Path) -> str:
    return str(log) if log.is_file() else ""
