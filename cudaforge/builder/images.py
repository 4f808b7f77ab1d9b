"""Building several images at once: what is there already is left alone, what fails is told apart."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from cudaforge import process
from cudaforge.builder.command import BuildInputs, EngineTraits
from cudaforge.builder.errors import BuildAborted
from cudaforge.builder.failures import Failure, FailureKind
from cudaforge.builder.model import BuildEvent, BuildResult, BuildState, EventKind, Reproducible
from cudaforge.builder.record import BuildRecord, find_current, fingerprint_inputs, load_record, save_record
from cudaforge.builder.reproduce import compare_again
from cudaforge.builder.runner import BuildEnd, Listener, run_buildx
from cudaforge.builder.scratch import scratch_directory
from cudaforge.engine import Engine, EngineError, ImageFacts
from cudaforge.errors import CudaforgeError, Problem, SurroundingsError
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import record, replace
from cudaforge.renderer.model import RenderedImage

WATCH_SECONDS = 20.0
"""How often the engine is asked whether it is still there, while builds run."""
LOAD_SECONDS = 1800.0
_STRIKES = 2
_END_SECONDS = 0.2


@record()
class ImageJob:
    """One image to build.

    `prepare` fills a private directory and one for large files, and says what goes into the build.
    """

    image: LockedImage
    rendered: RenderedImage
    prepare: Callable[[Path, Path], BuildInputs]
    clean: Callable[[str], str] = str
    """Takes secrets out of a text."""


@record()
class BuildSettings:
    """How a run builds."""

    root: Path
    state: Path
    workers: int
    is_uncached: bool
    reproducible: Reproducible
    timeout: float


class _Stopped(Exception):
    """The run was given up before this build began."""


class ImageBuilds:
    """One run over several images."""

    def __init__(
        self, engine: Engine, settings: BuildSettings, *, on_event: Callable[[BuildEvent], None]
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._on_event = on_event
        self._is_reproducible = settings.reproducible is not Reproducible.NO
        self._event_lock = threading.Lock()
        self._is_stopped = threading.Event()
        self._problems: list[Problem] = []
        self._stop_reason = "another image's build met with a failure that concerns all"

    def run(self, jobs: Sequence[ImageJob]) -> tuple[BuildResult, ...]:
        """Build every job. Raises BuildAborted when surroundings failed any of them."""
        pool = ThreadPoolExecutor(max_workers=self._settings.workers, thread_name_prefix="build")
        futures = [pool.submit(self._build, job) for job in jobs]
        try:
            self._watch(futures)
        except BaseException:
            self._stop(futures)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        results = tuple(
            self._cancelled(job) if future.cancelled() else future.result()
            for job, future in zip(jobs, futures, strict=True)
        )
        if self._problems:
            raise BuildAborted(_distinct(self._problems), results)
        return results

    def _watch(self, futures: Sequence[Future[BuildResult]]) -> None:
        """Wait for all, and look after the engine meanwhile: buildx waits for a frozen one without end."""
        waiting = set(futures)
        strikes = 0
        while waiting:
            done, waiting = wait(waiting, timeout=WATCH_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            if done or not waiting:
                continue
            try:
                self._engine.check_alive()
                strikes = 0
            except EngineError as error:
                strikes += 1
                if strikes == _STRIKES:
                    self._problems.extend(error.problems)
                    self._stop(tuple(waiting))
                    return

    def _stop(self, futures: Sequence[Future[BuildResult]]) -> None:
        """End every build. A worker may be just about to start its child: hence the loop."""
        self._is_stopped.set()
        for future in futures:
            future.cancel()
        waiting = {future for future in futures if not future.done()}
        while waiting:
            process.end_all()
            _, waiting = wait(waiting, timeout=_END_SECONDS)

    def _build(self, job: ImageJob) -> BuildResult:
        started = time.monotonic()
        if self._is_stopped.is_set():
            return self._cancelled(job)
        self._emit(BuildEvent(image=job.image.name, kind=EventKind.IMAGE_STARTED))
        try:
            result = self._find_or_build(job)
        except _Stopped:
            result = self._cancelled(job)
        except SurroundingsError as error:
            result = self._failed_by_surroundings(job, error)
        result = replace(result, seconds=time.monotonic() - started)
        self._emit(BuildEvent(image=job.image.name, kind=EventKind.IMAGE_FINISHED, result=result))
        return result

    def _find_or_build(self, job: ImageJob) -> BuildResult:
        settings = self._settings
        inputs = fingerprint_inputs(job.image, job.rendered, root=settings.root, state=settings.state)
        record = load_record(self._record_path(job.image))
        if not settings.is_uncached:
            found = find_current(
                self._engine,
                job.image,
                inputs=inputs,
                record=record,
                is_reproducible=self._is_reproducible,
            )
            if found is not None:
                self._tag(job.image, found)
                return self._finish(job, BuildState.CACHED, found)
        end = self._run_buildx(job)
        if end.failure is not None:
            return self._failed(job, end, end.failure)
        facts = self._engine.find_image(job.image.tags[0])
        if facts is None:
            raise _vanished(job.image)
        made = BuildRecord(image_id=facts.id, inputs=inputs, is_reproducible=self._is_reproducible)
        save_record(self._record_path(job.image), made)
        return self._finish(job, BuildState.BUILT, facts)

    def _finish(self, job: ImageJob, state: BuildState, facts: ImageFacts) -> BuildResult:
        result = self._result(job.image, state, facts)
        if self._settings.reproducible is not Reproducible.PROVEN or result.state is BuildState.FAILED:
            return result
        with scratch_directory(self._settings.state / "tmp") as directory:
            again = directory / "again.tar"
            end = self._run_buildx(job, again=again)
            if end.failure is not None:
                return self._failed(job, end, end.failure)
            return compare_again(result, self._engine, again=again, directory=directory)

    def _run_buildx(self, job: ImageJob, *, again: Path | None = None) -> BuildEnd:
        """Build into the engine's store, or once more, without cache, into the archive `again`."""
        self._engine.require_buildx()
        traits = EngineTraits(
            builder=self._engine.builder, has_containerd_store=self._engine.has_containerd_store
        )
        large = self._settings.state / "tmp"
        with (
            scratch_directory() as scratch,
            scratch_directory(large) as staging,
            scratch_directory(large) as output,
        ):
            archive = again or (output / "image.tar" if self._is_reproducible else None)
            inputs = replace(
                job.prepare(scratch, staging),
                is_uncached=self._settings.is_uncached or again is not None,
                archive=archive,
            )
            if self._is_stopped.is_set():
                raise _Stopped
            end = run_buildx(
                job.image.name,
                inputs,
                traits,
                cli_env=self._engine.cli_env,
                metadata=scratch / "metadata.json",
                listener=Listener(
                    log=self._log_path(job.image, "" if again is None else ".again"),
                    clean=job.clean,
                    emit=self._emit,
                ),
                timeout=self._settings.timeout,
            )
            if archive is not None and again is None and end.failure is None:
                self._engine.load_image(archive, timeout=LOAD_SECONDS)
            return end

    def _tag(self, image: LockedImage, facts: ImageFacts) -> None:
        for tag in image.tags:
            present = self._engine.find_image(tag)
            if present is None or present.id != facts.id:
                self._engine.tag_image(facts.id, tag)

    def _result(self, image: LockedImage, state: BuildState, facts: ImageFacts) -> BuildResult:
        log = self._log_path(image)
        result = BuildResult(
            name=image.name,
            state=state,
            reference=image.tags[0],
            image_id=facts.id,
            size=facts.size,
            seconds=0.0,
            log=str(log) if log.is_file() else "",
        )
        if image.max_size is None or facts.size <= image.max_size:
            return result
        reason = f"the image has {facts.size:,} bytes, more than max_size allows ({image.max_size:,})"
        return replace(
            result,
            state=BuildState.FAILED,
            failed_step="comparing the size with max_size",
            last_lines=(reason,),
            reason=reason,
            remedy="raise max_size, or choose a smaller flavor or fewer packages",
        )

    def _failed(self, job: ImageJob, end: BuildEnd, failure: Failure) -> BuildResult:
        """The result of a build that failed; surroundings are a problem of the whole run."""
        if self._is_stopped.is_set():
            return self._cancelled(job)
        if failure.kind is FailureKind.ENGINE or end.failed_step is None:
            # buildx's words for a lost engine are many; the engine itself knows best.
            self._engine.check_alive()
        if failure.kind.is_surroundings:
            what = f"{job.image.name}: {failure.reason}"
            because = tuple(line for line in (end.failed_step, *end.last_lines[-3:]) if line)
            self._add_problem(Problem(what=what, because=because, remedy=failure.remedy))
            if failure.kind.stops_all:
                self._give_up(failure.reason)
        return BuildResult(
            name=job.image.name,
            state=BuildState.FAILED,
            reference=job.image.tags[0],
            image_id=None,
            size=None,
            seconds=0.0,
            log=str(self._log_path(job.image)),
            failed_step=end.failed_step,
            last_lines=end.last_lines,
            reason=failure.reason,
            remedy=failure.remedy,
        )

    def _failed_by_surroundings(self, job: ImageJob, error: SurroundingsError) -> BuildResult:
        if self._is_stopped.is_set():
            return self._cancelled(job)
        for problem in error.problems:
            self._add_problem(problem)
        if isinstance(error, EngineError):
            self._give_up(str(error))
        log = self._log_path(job.image)
        return replace(
            self._cancelled(job),
            state=BuildState.FAILED,
            log=str(log) if log.is_file() else "",
            reason=str(error),
            remedy=error.problems[0].remedy if error.problems else None,
        )

    def _cancelled(self, job: ImageJob) -> BuildResult:
        return BuildResult(
            name=job.image.name,
            state=BuildState.CANCELLED,
            reference=job.image.tags[0],
            image_id=None,
            size=None,
            seconds=0.0,
            log="",
            reason=self._stop_reason,
        )

    def _give_up(self, reason: str) -> None:
        """Let no further build start, and end those that run."""
        self._stop_reason = reason
        self._is_stopped.set()
        process.end_all()

    def _add_problem(self, problem: Problem) -> None:
        with self._event_lock:
            self._problems.append(problem)

    def _emit(self, event: BuildEvent) -> None:
        with self._event_lock:
            self._on_event(event)

    def _record_path(self, image: LockedImage) -> Path:
        return self._settings.state / "builds" / f"{image.name}.json"

    def _log_path(self, image: LockedImage, kind: str = "") -> Path:
        return self._settings.state / "logs" / f"{image.name}{kind}.log"


def count_workers(jobs: int | None, images: int) -> int:
    """How many images are built at once: as asked, else one for each processor, never more than images."""
    return max(1, min(images, jobs or os.cpu_count() or 1))


def _vanished(image: LockedImage) -> CudaforgeError:
    return SurroundingsError(
        Problem(
            what=f"{image.name} was built, and the engine has no image {image.tags[0]}",
            remedy="look at the log; was the image removed meanwhile?",
        )
    )


def _distinct(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    return tuple(dict.fromkeys(problems))
