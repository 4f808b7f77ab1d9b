"""Whether a second build gave the same image, and what differs where it did not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cudaforge.builder.layers import ArchivedImage, compare_archived, read_archived
from cudaforge.builder.model import BuildResult, BuildState
from cudaforge.records import replace

_SHOWN = 20


def compare_again(
    result: BuildResult, save: Callable[[str, Path], None], *, again: Path, directory: Path
) -> BuildResult:
    """The result of a build, judged by the archive that a second build made.

    Compared are the digests of the manifests; with the engine's older store, which keeps none, those of the
    configurations, which have the digest of each layer's content. `directory` takes the first image as
    an archive, by `save`. Raises EngineError, and SurroundingsError for an archive that cannot be read.
    """
    second = read_archived(again)
    if result.image_id in (second.digest, second.config_digest):
        return replace(result, is_reproduced=True)
    saved = directory / "first.tar"
    save(result.reference, saved)
    return _differing(result, read_archived(saved), second)


def _differing(result: BuildResult, first: ArchivedImage, second: ArchivedImage) -> BuildResult:
    found = compare_archived(first, second)
    more = len(found) - _SHOWN
    shown = (*found[:_SHOWN], *((f"and {more} more: --json lists all",) if more > 0 else ()))
    return replace(
        result,
        state=BuildState.FAILED,
        is_reproduced=False,
        differences=found,
        failed_step="comparing the image with a second build of it",
        last_lines=shown,
        reason=f"built again, it is {second.digest} and not {first.digest}",
        remedy="look at what `run` and `copy` bring: times, random values, names of the host",
    )
