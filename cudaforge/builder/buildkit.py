"""The first builder: BuildKit, driven through buildx, with an engine that keeps the images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cudaforge.builder.archives import blame_snapshot
from cudaforge.builder.command import EngineTraits
from cudaforge.builder.failures import STORE_TIDIED, FailureKind, classify_failure
from cudaforge.builder.inputs import Sources, prepare_inputs
from cudaforge.builder.kept import ARCHIVE_SECONDS, EngineKept
from cudaforge.builder.model import BuildEvent, EventKind
from cudaforge.builder.protocol import BuildEnd, BuildOrder, GivenUp, ImageJob, Listener
from cudaforge.builder.runner import run_buildx
from cudaforge.builder.scratch import scratch_directory
from cudaforge.engine import EngineRefused, NamedBuilder
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import replace


@dataclass(slots=True)
class _Held:
    """A try whose failed steps are told once it is known that it was the last."""

    listener: Listener
    is_tried_again: bool = False


@contextlib.contextmanager
def _failures_held(listener: Listener) -> Iterator[_Held]:
    failed: list[BuildEvent] = []

    def emit(event: BuildEvent) -> None:
        if event.kind is EventKind.STEP_FAILED:
            failed.append(event)
        else:
            listener.emit(event)

    held = _Held(replace(listener, emit=emit))
    try:
        yield held
    finally:
        for event in failed if not held.is_tried_again else ():
            listener.emit(event)


class BuildKit(EngineKept):
    """A buildx builder and the engine that takes its images."""

    def __init__(self, named: NamedBuilder, sources: Sources) -> None:
        super().__init__(named.name, named.engine)
        self._named = named
        self._sources = sources

    def build(self, job: ImageJob, order: BuildOrder, listener: Listener) -> BuildEnd:
        """See `Builder`."""
        self.engine.require_buildx()
        large = order.state / "tmp"
        with (
            scratch_directory() as scratch,
            scratch_directory(large) as staging,
            scratch_directory(large) as output,
        ):
            archive = order.again or (output / "image.tar" if order.is_reproducible else None)
            inputs = replace(
                prepare_inputs(job.image, job.rendered, self._sources, private=scratch, staging=staging),
                is_uncached=order.is_uncached or order.again is not None,
                archive=archive,
                cache_to=tuple(one.text(job.image.name) for one in order.caches.to),
                cache_from=tuple(one.text(job.image.name) for one in order.caches.from_),
            )
            if order.is_given_up():
                raise GivenUp
            run = partial(
                run_buildx,
                job.image.name,
                traits=self._traits(has_archive=archive is not None),
                cli_env=self.engine.cli_env,
                metadata=scratch / "metadata.json",
                timeout=order.timeout,
                owner=self.engine,
            )
            hand_over = partial(self._hand_over, image=job.image, archive=archive, order=order)
            with _failures_held(listener) as held:
                end = hand_over(run(inputs, listener=held.listener))
                held.is_tried_again = _is_dropped(end, order) and not order.is_given_up()
            if held.is_tried_again:
                again = BuildEvent(image=job.image.name, kind=EventKind.IMAGE_AGAIN, line=STORE_TIDIED)
                listener.emit(again)
                # Its steps are made, and taken from the cache.
                end = hand_over(run(replace(inputs, is_uncached=False), listener=listener))
            return _name_cache(blame_snapshot(end, job.image, self._sources.site), inputs.cache_to)

    def _hand_over(
        self, end: BuildEnd, *, image: LockedImage, archive: Path | None, order: BuildOrder
    ) -> BuildEnd:
        """How a build ended, once the engine has the image, which may be left in an archive."""
        if end.failure is not None or order.again is not None:
            return end
        if archive is not None:
            try:
                self.engine.load_image(archive, timeout=ARCHIVE_SECONDS)
            except EngineRefused as error:
                failure = classify_failure(error=str(error))
                if failure.kind is not FailureKind.STORE:
                    raise
                return BuildEnd(failure=failure, last_lines=(str(error),))
        return self.with_image(end, image)

    def _traits(self, *, has_archive: bool) -> EngineTraits:
        # A builder of its own hands images over as the older store takes them, whichever store there is.
        is_direct = self._named.is_own or has_archive
        return EngineTraits(
            builder=self._named.builder,
            has_containerd_store=is_direct and self.engine.has_containerd_store,
        )

    def check_alive(self) -> None:
        """See `Builder`."""
        super().check_alive()
        if not self._named.is_own:
            self._named.check_builder()


def _is_dropped(end: BuildEnd, order: BuildOrder) -> bool:
    """Whether the engine's store took the image, or a layer of it, for garbage as it was handed over."""
    if end.failure is not None:
        return end.failure.kind is FailureKind.STORE
    return order.again is None and end.image is None


def _name_cache(end: BuildEnd, places: Sequence[str]) -> BuildEnd:
    """How a build ended, with the cache that could not be written: BuildKit does not name it."""
    if end.failure is None or end.failure.kind is not FailureKind.CACHE:
        return end
    reason = f"{end.failure.reason} {' or '.join(places)}"
    return replace(end, failure=replace(end.failure, reason=reason))
