"""One queue before several builders, one of which fails when no test with an engine could make it."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cudaforge import process
from cudaforge.builder import BuildAborted, BuildRefused, images, record
from cudaforge.builder.cache import parse_caches
from cudaforge.builder.failures import Failure, FailureKind
from cudaforge.builder.images import ImageBuilds
from cudaforge.builder.model import BuildEvent, BuildState, EventKind, Reproducible, result_to_json
from cudaforge.builder.protocol import BuildEnd, BuildOrder, GivenUp, ImageJob, Listener
from cudaforge.builder.settings import BuildSettings
from cudaforge.engine import EngineDied, ImageFacts
from cudaforge.errors import (
    CudaforgeError,
    InputError,
    Interrupted,
    NegativeAnswer,
    Problem,
    SurroundingsError,
)
from cudaforge.records import replace
from cudaforge.renderer import render_image
from cudaforge.renderer.model import ENTRY_LABEL
from tests.support.locks import CPU_IMAGE

NAMES = ("one", "two", "three")


class MadeUpBuilder:
    """Keeps the images that it is told to build."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.images: dict[str, ImageFacts] = {}
        self.on_find: Callable[[str], None] = lambda _: None
        self.on_build: Callable[[ImageJob, BuildOrder, Listener], BuildEnd | None] = lambda *_: None
        self.looked_at = 0
        self.failure: Failure | None = None
        self.hangs = False
        self.silences = 0
        """So many times it does not answer."""

    def build(self, job: ImageJob, order: BuildOrder, listener: Listener) -> BuildEnd:
        end = self.on_build(job, order, listener)
        if end is not None:
            return end
        while self.hangs:
            if order.is_given_up():
                raise GivenUp
            time.sleep(0.01)
        if self.failure is not None:
            return BuildEnd(failure=self.failure, failed_step="RUN download")
        for tag in job.image.tags:
            self.images[tag] = facts_of(job)
        return BuildEnd(failure=None, image=facts_of(job))

    def find_image(self, reference: str) -> ImageFacts | None:
        self.on_find(reference)
        return self.images.get(reference)

    def tag_image(self, image_id: str, reference: str) -> None:
        raise AssertionError((image_id, reference))

    def save_image(self, reference: str, archive: Path) -> None:
        raise AssertionError((reference, archive))

    def check_alive(self) -> None:
        """It answers."""
        self.looked_at += 1
        if self.hangs or self.looked_at <= self.silences:
            raise EngineDied(Problem(what="the container engine went away"))

    def stop(self) -> None:
        """It builds nothing in the background."""


def facts_of(job: ImageJob) -> ImageFacts:
    return ImageFacts(
        id=f"sha256:{job.image.name}",
        tags=job.image.tags,
        size=1,
        labels={ENTRY_LABEL: job.image.digest},
        architecture="amd64",
        created="",
    )


def job(name: str) -> ImageJob:
    image = replace(CPU_IMAGE, name=name, tags=(f"localhost/made-up:{name}",), copy=())
    return ImageJob(image=image, rendered=render_image(image), clean=str)


def settings(directory: Path, **changes: object) -> BuildSettings:
    plain = BuildSettings(
        root=directory,
        state=directory,
        workers=1,
        is_uncached=False,
        reproducible=Reproducible.NO,
        timeout=1.0,
    )
    return replace(plain, **changes)


def failed_at(step: str) -> BuildEnd:
    failure = Failure(kind=FailureKind.STEP, reason="the step failed", remedy="mend it")
    return BuildEnd(failure=failure, failed_step=step, last_lines=("no",))


def dies_when_both_ask() -> Callable[[str], None]:
    """Fails its own worker and the other builder's at once, so that neither knows of it from the other."""
    both = threading.Barrier(2)

    def die(reference: str) -> None:
        both.wait(timeout=10)
        raise EngineDied(Problem(what=f"the container engine went away when it was asked for {reference}"))

    return die


def test_a_builder_that_dies_when_another_asks_what_it_has_is_the_one_that_is_lost(tmp_path: Path):
    here, dying = MadeUpBuilder("here"), MadeUpBuilder("dying")
    dying.on_find = dies_when_both_ask()
    events: list[BuildEvent] = []
    builds = ImageBuilds((here, dying), settings(tmp_path), on_event=events.append)
    results = builds.run([job(name) for name in NAMES])
    assert [(result.state, result.builder) for result in results] == [(BuildState.BUILT, "here")] * 3
    (lost,) = [event.line for event in events if event.kind is EventKind.BUILDER_LOST]
    assert lost.startswith("the builder dying gets no more images")


def test_a_builder_that_has_the_image_asks_no_other(tmp_path: Path):
    builders = (MadeUpBuilder("a"), MadeUpBuilder("b"))
    for builder in builders:
        for name in NAMES:
            builder.images[job(name).image.tags[0]] = facts_of(job(name))
    results = ImageBuilds(builders, settings(tmp_path), on_event=lambda _: None).run(
        [job(name) for name in NAMES]
    )
    assert {result.state for result in results} == {BuildState.CACHED}
    assert [builder.looked_at for builder in builders] == [0, 0]


def test_a_builder_is_asked_once_more_what_it_has_before_it_is_out(tmp_path: Path):
    here, busy = MadeUpBuilder("here"), MadeUpBuilder("busy")
    busy.on_build = lambda *_: pytest.fail("it has all images")
    busy.images = {job(name).image.tags[0]: facts_of(job(name)) for name in NAMES}
    busy.silences = 1
    events: list[BuildEvent] = []
    results = ImageBuilds((here, busy), settings(tmp_path), on_event=events.append).run(
        [job(name) for name in NAMES]
    )
    assert {(result.state, result.builder) for result in results} == {(BuildState.CACHED, "busy")}
    assert EventKind.BUILDER_LOST not in {event.kind for event in events}


def test_an_image_that_another_builder_has_hides_no_failure_of_the_one_that_asked(
    tmp_path: Path,
):
    failing, other = MadeUpBuilder("failing"), MadeUpBuilder("other")
    names = ["held", "new-0", "there-0", "new-1", "there-1", "new-2"]
    for name in names:
        if name.startswith("there"):
            other.images[job(name).image.tags[0]] = facts_of(job(name))
    failing.failure = Failure(kind=FailureKind.NETWORK, reason="the network is down")
    has_ended = threading.Event()
    other.on_build = lambda *_: None if has_ended.wait(10) else pytest.fail("it was not taken out")
    events: list[BuildEvent] = []

    def listen(event: BuildEvent) -> None:
        events.append(event)
        if event.kind is EventKind.BUILDER_LOST:
            has_ended.set()

    results = ImageBuilds((failing, other), settings(tmp_path), on_event=listen).run(
        [job(name) for name in names]
    )
    assert {result.builder for result in results} == {"other"}
    (lost,) = [event.line for event in events if event.kind is EventKind.BUILDER_LOST]
    assert lost.startswith("the builder failing gets no more images: new-")
    assert lost.endswith(": the network is down")


def test_a_builder_is_asked_for_an_image_before_it_builds_it_and_not_after(tmp_path: Path):
    builder = MadeUpBuilder("here")
    asked: list[str] = []
    builder.on_find = asked.append
    (result,) = ImageBuilds((builder,), settings(tmp_path), on_event=lambda _: None).run([job("one")])
    assert (result.state, result.image_id) == (BuildState.BUILT, "sha256:one")
    assert asked == [job("one").image.tags[0]]


def test_an_image_that_was_built_and_has_vanished_is_told(tmp_path: Path):
    builder = MadeUpBuilder("here")
    builder.on_build = lambda *_: BuildEnd(failure=None)
    with pytest.raises(BuildAborted, match="one was built, and the engine has no image"):
        ImageBuilds((builder,), settings(tmp_path), on_event=lambda _: None).run([job("one")])


def test_an_image_that_is_larger_than_it_may_be_fails_each_time_and_is_built_once(tmp_path: Path):
    def small(name: str) -> ImageJob:
        one = job(name)
        return replace(one, image=replace(one.image, max_size=0))

    builder = MadeUpBuilder("here")
    builds: list[str] = []
    builder.on_build = lambda job, *_: builds.append(job.image.name)
    for _ in range(2):
        (result,) = ImageBuilds((builder,), settings(tmp_path), on_event=lambda _: None).run([small("one")])
        assert result.state is BuildState.FAILED, "it is neither pushed nor verified by `up`"
        assert result.reason == "the image has 1 bytes, more than max_size allows (0)"
    assert builds == ["one"]


@pytest.mark.parametrize("kind", [NegativeAnswer, InputError])
@pytest.mark.parametrize("keeps_going", [True, False])
def test_what_is_not_as_the_lock_says_or_was_not_given_fails_its_own_image(
    tmp_path: Path, *, keeps_going: bool, kind: type[CudaforgeError]
):
    def refuse(job: ImageJob, *_: object) -> None:
        if job.image.name == "two":
            raise kind(Problem(what="a wheel is another file", remedy="cudaforge upgrade"))

    builder = MadeUpBuilder("here")
    builder.on_build = refuse
    builds = ImageBuilds((builder,), settings(tmp_path, keeps_going=keeps_going), on_event=lambda _: None)
    with pytest.raises(BuildRefused, match=r"^a wheel is another file$") as raised:
        builds.run([job(name) for name in NAMES])
    last = BuildState.BUILT if keeps_going else BuildState.CANCELLED
    assert [one.state for one in raised.value.results] == [BuildState.BUILT, BuildState.FAILED, last]
    assert raised.value.results[1].remedy == "cudaforge upgrade"
    assert raised.value.exit_code is kind.exit_code


def test_why_a_builder_is_out_is_said_of_the_image_that_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The first that gets the image fails it, the other dies over it, and nobody is left to try."""
    monkeypatch.setattr(images, "WATCH_SECONDS", 0.05)
    builders = (MadeUpBuilder("a"), MadeUpBuilder("b"))

    def begin(builder: MadeUpBuilder, other: MadeUpBuilder) -> Callable[..., None]:
        def decide(*_: object) -> None:
            if other.failure is None:
                builder.failure = Failure(kind=FailureKind.NETWORK, reason="the network is down")
            else:
                builder.hangs = True

        return decide

    for builder, other in (builders, builders[::-1]):
        builder.on_build = begin(builder, other)
    with pytest.raises(BuildAborted) as raised:
        ImageBuilds(builders, settings(tmp_path), on_event=lambda _: None).run([job("one")])
    (dead,) = [builder.name for builder in builders if builder.hangs]
    assert f"the builder {dead} is out: the container engine went away" in str(raised.value)


def test_the_last_build_that_was_not_cancelled_leaves_how_it_ended(tmp_path: Path):
    builder = MadeUpBuilder("here")
    kept = tmp_path / "outcomes" / "one.json"

    def run(**changes: object) -> BuildState:
        builds = ImageBuilds((builder,), settings(tmp_path, **changes), on_event=lambda _: None)
        (result,) = builds.run([job("one")])
        return result.state

    builder.on_build = lambda *_: failed_at("[runtime 1/1] RUN false")
    assert run() is BuildState.FAILED
    told = json.loads(kept.read_text())
    assert (told["name"], told["lock_digest"]) == ("one", job("one").image.digest)
    assert told["build"]["remedy"] == "mend it"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["ended"])
    builder.on_build = lambda *_: None
    assert run() is BuildState.BUILT
    assert json.loads(kept.read_text())["build"]["state"] == "built"
    assert run() is BuildState.CACHED
    assert json.loads(kept.read_text())["build"]["state"] == "cached"


def test_a_disk_that_takes_no_record_keeps_no_failure_that_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(path: Path, _: str) -> None:
        if path.parent.name == "outcomes":
            raise SurroundingsError(Problem(what="the disk is full"))

    builder = MadeUpBuilder("here")
    (tmp_path / "outcomes").mkdir()
    (tmp_path / "outcomes" / "one.json").write_text("a failure")
    monkeypatch.setattr(record, "write_atomically", full)
    (result,) = ImageBuilds((builder,), settings(tmp_path), on_event=lambda _: None).run([job("one")])
    assert result.state is BuildState.BUILT
    assert not (tmp_path / "outcomes" / "one.json").exists()


def test_a_disk_that_takes_no_record_hides_no_failure(tmp_path: Path):
    (tmp_path / "outcomes").write_text("in the way")
    builder = MadeUpBuilder("here")
    builder.on_build = lambda *_: failed_at("[runtime 1/1] RUN false")
    (result,) = ImageBuilds((builder,), settings(tmp_path), on_event=lambda _: None).run([job("one")])
    assert (result.state, result.reason) == (BuildState.FAILED, "the step failed")


def interrupted_at(step: str) -> Callable[[ImageJob, BuildOrder, Listener], BuildEnd]:
    """A build that is ended by a signal's handler, before the run itself knows of the signal."""

    def build(job: ImageJob, order: BuildOrder, listener: Listener) -> BuildEnd:
        process.begin_stop()
        assert order.is_given_up()
        listener.emit(BuildEvent(image=job.image.name, kind=EventKind.STEP_FAILED, step=step))
        return failed_at(step)

    return build


@pytest.fixture
def stopping() -> Iterator[None]:
    yield
    process.end_stop()


@pytest.mark.usefixtures("stopping")
def test_what_a_signal_ends_is_cancelled_and_has_not_failed(tmp_path: Path):
    builder = MadeUpBuilder("here")
    builder.on_build = interrupted_at("[runtime 1/1] RUN sleep 60")
    events: list[BuildEvent] = []
    builds = ImageBuilds((builder,), settings(tmp_path), on_event=events.append)
    results = builds.run([job(name) for name in NAMES])
    assert {result.state for result in results} == {BuildState.CANCELLED}
    assert {result.reason for result in results} == {"the run was interrupted"}
    assert EventKind.STEP_FAILED not in {event.kind for event in events}
    assert not (tmp_path / "outcomes").exists()


@pytest.mark.usefixtures("stopping")
def test_a_program_that_is_not_started_any_more_is_no_error_of_the_run(tmp_path: Path):
    def build(*_: object) -> BuildEnd:
        process.begin_stop()
        raise Interrupted

    builder = MadeUpBuilder("here")
    builder.on_build = build
    (result,) = ImageBuilds((builder,), settings(tmp_path), on_event=lambda _: None).run([job("one")])
    assert result.state is BuildState.CANCELLED


def test_one_image_tells_of_the_last_builder_that_died_and_the_others_are_cancelled(tmp_path: Path):
    both = threading.Barrier(2)

    def die(*_: object) -> BuildEnd:
        both.wait(timeout=10)
        raise EngineDied(Problem(what="the container engine went away"))

    builder = MadeUpBuilder("dying")
    builder.on_build = die
    builds = ImageBuilds((builder,), settings(tmp_path, workers=2), on_event=lambda _: None)
    with pytest.raises(BuildAborted) as raised:
        builds.run([job(name) for name in NAMES])
    assert [problem.what for problem in raised.value.problems] == ["the container engine went away"]
    states = [result.state for result in raised.value.results]
    assert sorted(states[:2]) == [BuildState.CANCELLED, BuildState.FAILED]
    assert states[2] is BuildState.CANCELLED
    assert {result.reason for result in raised.value.results} == {"the container engine went away"}


def test_without_keep_going_what_was_not_begun_is_cancelled(tmp_path: Path):
    builder = MadeUpBuilder("here")
    builder.on_build = lambda *_: failed_at("[runtime 1/1] RUN false")
    builds = ImageBuilds((builder,), settings(tmp_path, keeps_going=False), on_event=lambda _: None)
    states = [result.state for result in builds.run([job(name) for name in NAMES])]
    assert states == [BuildState.FAILED, BuildState.CANCELLED, BuildState.CANCELLED]


def test_caches_that_were_not_read_are_in_the_result(tmp_path: Path):
    line = "localhost:1/cache (--cache-from) is left out: connection refused"

    def build(job: ImageJob, order: BuildOrder, listener: Listener) -> None:
        del order
        if job.image.name == "one":
            for _ in range(2):
                listener.emit(BuildEvent(image=job.image.name, kind=EventKind.CACHE_UNREAD, line=line))

    builder = MadeUpBuilder("here")
    builder.on_build = build
    caches = parse_caches((), (f"type=local,src={tmp_path}/gone/{{name}}",), images=2)
    builds = ImageBuilds((builder,), settings(tmp_path, caches=caches), on_event=lambda _: None)
    one, two = (result_to_json(result) for result in builds.run([job("one"), job("two")]))
    gone = "there is no cache in {}/gone/{} (--cache-from): steps are built without it"
    assert one["caches_unread"] == [gone.format(tmp_path, "one"), line]
    assert two["caches_unread"] == [gone.format(tmp_path, "two")]
    (again,) = ImageBuilds((builder,), settings(tmp_path, caches=caches), on_event=lambda _: None).run(
        [job("one")]
    )
    assert (again.state, again.caches_unread) == (BuildState.CACHED, ()), "no cache was asked"


def test_an_interrupt_has_the_results_of_what_it_ended(tmp_path: Path):
    def build(job: ImageJob, order: BuildOrder, listener: Listener) -> BuildEnd | None:
        del listener
        if job.image.name == "one":
            return None
        os.kill(os.getpid(), signal.SIGINT)
        while not order.is_given_up():
            time.sleep(0.01)
        raise GivenUp

    builder = MadeUpBuilder("here")
    builder.on_build = build
    builds = ImageBuilds((builder,), settings(tmp_path), on_event=lambda _: None)
    with pytest.raises(KeyboardInterrupt) as raised:
        builds.run([job(name) for name in NAMES])
    aborted = raised.value.__cause__
    assert isinstance(aborted, BuildAborted)
    assert [result.state.value for result in aborted.results] == ["built", "cancelled", "cancelled"]
    assert {result.reason for result in aborted.results[1:]} == {"the run was interrupted"}
