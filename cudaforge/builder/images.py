"""Building several images at once: what is there already is left alone, what fails is told apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from cudaforge import process
from cudaforge.builder.cache import Caches, missing_places
from cudaforge.builder.errors import BuildAborted, BuilderFailed, BuildRefused, concerns_all, vanished
from cudaforge.builder.failures import Failure, FailureKind
from cudaforge.builder.model import BuildEvent, BuildResult, BuildState, EventKind, Reproducible
from cudaforge.builder.place import Place
from cudaforge.builder.protocol import BuildEnd, Builder, BuildOrder, GivenUp, ImageJob, Listener
from cudaforge.builder.queue import JobQueue
from cudaforge.builder.record import (
    BuildRecord,
    find_current,
    fingerprint_inputs,
    keep_outcome,
    load_record,
    save_record,
)
from cudaforge.builder.reproduce import compare_again
from cudaforge.builder.results import cancelled_result, failed_result, made_result, untried_result
from cudaforge.builder.scratch import scratch_directory
from cudaforge.builder.settings import BuildSettings
from cudaforge.builder.steps import step_text
from cudaforge.engine import EngineError, ImageFacts, ask_twice
from cudaforge.errors import (
    CudaforgeError,
    ExitCode,
    InputError,
    Interrupted,
    NegativeAnswer,
    Problem,
    SurroundingsError,
)
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import replace

WATCH_SECONDS = 20.0
"""How often builders are asked whether they are still there, while they build."""
_STRIKES = 2
_MOST_FAILURES = 3
"""So many images in a row that a builder fails, where others are left, and it is out."""
_END_SECONDS = 0.2
_INTERRUPTED = "the run was interrupted"


class ImageBuilds:
    """One run over several images, handed from one queue to one or more builders."""

    def __init__(
        self,
        builders: Sequence[Builder],
        settings: BuildSettings,
        *,
        on_event: Callable[[BuildEvent], None],
    ) -> None:
        self._places = tuple(Place(number, builder) for number, builder in enumerate(builders))
        self._settings = settings
        self._on_event = on_event
        self._is_reproducible = settings.reproducible is not Reproducible.NO
        self._event_lock = threading.Lock()
        self._is_stopped = threading.Event()
        self._problems: list[Problem] = []
        self._refused: list[Problem] = []
        self._refusal = ExitCode.NEGATIVE
        self._lost: list[Problem] = []
        self._stop_reason = "another image's build met with a failure that concerns all"
        self._jobs: Sequence[ImageJob] = ()
        self._results: dict[int, BuildResult] = {}
        self._unread: dict[str, dict[str, None]] = {}
        self._queue = JobQueue((), ())

    def run(self, jobs: Sequence[ImageJob]) -> tuple[BuildResult, ...]:
        """Build every job. Raises BuildAborted when surroundings failed any of them, else BuildRefused when
        any lacks what was to be given, or could not be built from what the lock says. BuildAborted is the
        cause of an interrupt that ended them."""
        self._jobs = jobs
        self._queue = JobQueue(range(len(jobs)), [place.number for place in self._places])
        workers = [place for place in self._places for _ in range(self._settings.workers)]
        pool = ThreadPoolExecutor(max_workers=len(workers), thread_name_prefix="build")
        futures = [pool.submit(self._work, place) for place in workers]
        try:
            self._watch(futures)
        except BaseException as error:
            if isinstance(error, Exception):
                self._stop(futures)
                raise
            self._stop_reason = _INTERRUPTED
            self._stop(futures)
            raise error from BuildAborted(Problem(what=_INTERRUPTED), self._all_results())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        results = self._all_results()
        if self._problems:
            raise BuildAborted(dict.fromkeys([*self._problems, *self._refused]), results)
        if self._refused:
            raise BuildRefused(dict.fromkeys(self._refused), results, exit_code=self._refusal)
        return results

    def _all_results(self) -> tuple[BuildResult, ...]:
        return tuple(
            self._results.get(number) or self._cancelled(job) for number, job in enumerate(self._jobs)
        )

    def _watch(self, futures: Sequence[Future[None]]) -> None:
        """Wait for all, and look after the builders meanwhile: buildx waits for a frozen one without end."""
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=WATCH_SECONDS, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if not waiting:
                return
            for place in self._places:
                if self._queue.has_builder(place.number):
                    self._look_at(place)

    def _look_at(self, place: Place) -> None:
        try:
            place.builder.check_alive()
            place.strikes = 0
        except EngineError as error:
            place.strikes += 1
            if place.strikes == _STRIKES:
                self._take_out(place, error.problems)

    def _stop(self, futures: Sequence[Future[None]]) -> None:
        """End every build. A worker may be just about to start its child: hence the loop."""
        self._is_stopped.set()
        self._queue.close()
        waiting = {future for future in futures if not future.done()}
        while waiting:
            process.end_all()
            _, waiting = wait(waiting, timeout=_END_SECONDS)

    def _work(self, place: Place) -> None:
        """Build what the queue gives, until it gives no more."""
        try:
            while (number := self._queue.take(place.number)) is not None:
                self._build(place, number)
        except BaseException:
            # Whoever waits for this job to come back would wait without end.
            self._is_stopped.set()
            self._queue.close()
            raise

    def _build(self, place: Place, number: int) -> None:
        job = self._jobs[number]
        started = time.monotonic()
        self._emit(BuildEvent(image=job.image.name, kind=EventKind.IMAGE_STARTED))
        try:
            result = self._find_or_build(place, job)
            if result.state is BuildState.BUILT:
                place.failures = 0
        except (GivenUp, Interrupted):
            result = self._cancelled(job)
        except (InputError, NegativeAnswer) as error:
            # Of this image alone: no other builder would make it, and other images may be made.
            self._keep(error, self._refused)
            self._refusal = max(self._refusal, error.exit_code)
            result = self._untried(place, job, error)
        except SurroundingsError as error:
            # Others may have lost the builder at the same time: one of them tells of it.
            has_lost = not self._is_over() and self._loses(place, error)
            if self._is_over() and not has_lost:
                result = self._cancelled(job)
            elif self._queue.give_back(number, failed_on=place.number):
                self._unread.pop(job.image.name, None)
                self._emit(BuildEvent(image=job.image.name, kind=EventKind.IMAGE_RETURNED, line=str(error)))
                return
            else:
                self._keep(error, self._problems)
                result = self._failed_by_surroundings(place, job, error)
        self._finish(number, replace(result, seconds=time.monotonic() - started))

    def _finish(self, number: int, result: BuildResult) -> None:
        result = replace(result, caches_unread=tuple(self._unread.pop(result.name, ())))
        self._results[number] = result
        keep_outcome(self._settings.state, self._jobs[number].image, result)
        if result.state is BuildState.FAILED and not self._settings.keeps_going:
            self._stop_reason = f"{result.name} failed; --keep-going builds the others all the same"
            self._queue.close()
        self._queue.finish(number)
        self._emit(BuildEvent(image=result.name, kind=EventKind.IMAGE_FINISHED, result=result))

    def _find_or_build(self, place: Place, job: ImageJob) -> BuildResult:
        settings = self._settings
        inputs = fingerprint_inputs(job.image, job.rendered, root=settings.root, state=settings.state)
        record = load_record(self._record_path(job.image))
        # A cache outside is written by building, if only from steps that are there already.
        if not settings.is_uncached and not settings.caches.to:
            kept = self._find_kept(place, job, inputs, record)
            if kept is not None:
                return kept
        end = self._run(place, job)
        if end.failure is not None:
            return self._failed(place, job, end, end.failure)
        if end.image is None:
            raise vanished(job.image)
        made = BuildRecord(image_id=end.image.id, inputs=inputs, is_reproducible=self._is_reproducible)
        save_record(self._record_path(job.image), made)
        return self._proven(place, job, BuildState.BUILT, end.image)

    def _find_kept(
        self, place: Place, job: ImageJob, inputs: str, record: BuildRecord | None
    ) -> BuildResult | None:
        """The result for an image that some builder has already."""
        for holder in self._holders(place):
            try:
                found = find_current(
                    holder.builder,
                    job.image,
                    inputs=inputs,
                    record=record,
                    is_reproducible=self._is_reproducible,
                )
                if found is not None:
                    _tag(holder.builder, job.image, found)
                    return self._proven(holder, job, BuildState.CACHED, found)
            except SurroundingsError as error:  # noqa: PERF203 -- each is asked for itself
                if holder is place or self._is_over():
                    raise
                # Not this builder's fault: it makes the image itself.
                if concerns_all(error):
                    self._take_out(holder, error.problems)
        return None

    def _run(self, place: Place, job: ImageJob, *, again: Path | None = None) -> BuildEnd:
        settings = self._settings
        caches = settings.caches if again is None else Caches()
        unread = self._unread.setdefault(job.image.name, {})
        unread.update(dict.fromkeys(missing_places(caches, job.image.name)))

        def is_given_up() -> bool:
            return self._is_over() or not self._queue.has_builder(place.number)

        def emit(event: BuildEvent) -> None:
            # A step that is ended with its build has not failed.
            if event.kind is EventKind.STEP_FAILED and is_given_up():
                return
            if event.kind is EventKind.CACHE_UNREAD:
                unread[event.line] = None
            self._emit(event)

        order = BuildOrder(
            state=settings.state,
            is_uncached=settings.is_uncached,
            is_reproducible=self._is_reproducible,
            again=again,
            timeout=settings.timeout,
            caches=caches,
            is_given_up=is_given_up,
        )
        log = self._log_path(job.image, "" if again is None else ".again")
        try:
            return place.builder.build(job, order, Listener(log=log, clean=job.clean, emit=emit))
        except GivenUp:
            if self._is_over():
                raise
            raise place.out() from None

    def _proven(self, place: Place, job: ImageJob, state: BuildState, facts: ImageFacts) -> BuildResult:
        """The result, after a second build by the same builder where that was asked for."""
        result = made_result(
            job.image, state, facts, builder=place.builder.name, log=self._log_path(job.image)
        )
        if self._settings.reproducible is not Reproducible.PROVEN or result.state is BuildState.FAILED:
            return result
        with scratch_directory(self._settings.state / "tmp") as directory:
            again = directory / "again.tar"
            end = self._run(place, job, again=again)
            if end.failure is not None:
                return self._failed(place, job, end, end.failure)
            return compare_again(result, place.builder.save_image, again=again, directory=directory)

    def _holders(self, place: Place) -> Iterator[Place]:
        """Who may have the image already: this builder first, then the others, as far as they answer."""
        yield place
        for other in self._places:
            if other is place or not self._queue.has_builder(other.number):
                continue
            try:
                ask_twice(other.builder.check_alive)
            except EngineError as error:
                self._take_out(other, error.problems)
            else:
                yield other

    def _failed(self, place: Place, job: ImageJob, end: BuildEnd, failure: Failure) -> BuildResult:
        """The result of a build that failed. Raises SurroundingsError where surroundings failed it."""
        if self._is_over():
            return self._cancelled(job)
        if not self._queue.has_builder(place.number):
            raise place.out()
        if failure.kind is FailureKind.ENGINE or end.failed_step is None:
            # buildx's words for a lost engine are many; the engine itself knows best.
            place.builder.check_alive()
        log = self._log_path(job.image)
        result = failed_result(job.image, end, failure, builder=place.builder.name, log=log)
        if not failure.kind.is_surroundings:
            return result
        step = f"at: {step_text(end.failed_step)}" if end.failed_step else ""
        because = tuple(line for line in (step, *end.last_lines[-3:], f"log: {log}") if line)
        problem = Problem(what=f"{job.image.name}: {failure.reason}", because=because, remedy=failure.remedy)
        raise BuilderFailed(problem, result=result, concerns_all=failure.kind.stops_all)

    def _is_over(self) -> bool:
        """Whether what a build does now says nothing: it is being ended, and others with it."""
        return self._is_stopped.is_set() or process.is_stopping()

    def _cancelled(self, job: ImageJob) -> BuildResult:
        return cancelled_result(job.image, _INTERRUPTED if process.is_stopping() else self._stop_reason)

    def _loses(self, place: Place, error: SurroundingsError) -> bool:
        """Whether the builder is lost by this error, and was not before: then it is taken out."""
        place.failures += 1
        is_worn_out = place.failures >= _MOST_FAILURES and len(self._queue.builders) > 1
        return (concerns_all(error) or is_worn_out) and self._take_out(place, error.problems)

    def _take_out(self, place: Place, problems: Sequence[Problem]) -> bool:
        """Give the builder no more images, and end what it builds: others do that again. False where that
        was done before."""
        with self._event_lock:
            if not self._queue.has_builder(place.number):
                return False
            place.out_because = reason = "; ".join(problem.what for problem in problems)
            orphans = self._queue.take_out(place.number)
            is_last = not self._queue.builders
            self._lost.extend(problems)
            if orphans or is_last:
                self._problems.extend(self._lost)
                self._stop_reason = reason
            if is_last:
                self._is_stopped.set()
        if len(self._places) > 1:
            self._emit(
                BuildEvent(
                    image="",
                    kind=EventKind.BUILDER_LOST,
                    line=f"the builder {place.builder.name} gets no more images: {reason}",
                )
            )
        place.builder.stop()
        return True

    def _keep(self, error: CudaforgeError, problems: list[Problem]) -> None:
        with self._event_lock:
            problems.extend(error.problems)

    def _failed_by_surroundings(self, place: Place, job: ImageJob, error: SurroundingsError) -> BuildResult:
        if isinstance(error, BuilderFailed) and error.result is not None:
            return error.result
        return self._untried(place, job, error)

    def _untried(self, place: Place, job: ImageJob, error: CudaforgeError) -> BuildResult:
        return untried_result(job.image, error, builder=place.builder.name, log=self._log_path(job.image))

    def _emit(self, event: BuildEvent) -> None:
        with self._event_lock:
            self._on_event(event)

    def _record_path(self, image: LockedImage) -> Path:
        return self._settings.state / "builds" / f"{image.name}.json"

    def _log_path(self, image: LockedImage, kind: str = "") -> Path:
        return self._settings.state / "logs" / f"{image.name}{kind}.log"


def _tag(builder: Builder, image: LockedImage, facts: ImageFacts) -> None:
    for tag in image.tags:
        present = builder.find_image(tag)
        if present is None or present.id != facts.id:
            builder.tag_image(facts.id, tag)
