"""One queue before several builders, one of which fails when no test with an engine could make it."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cudaforge.builder import BuildAborted, BuildRefused, images
from cudaforge.builder.failures import Failure, FailureKind
from cudaforge.builder.images import BuildSettings, ImageBuilds
from cudaforge.builder.model import BuildEvent, BuildState, EventKind, Reproducible
from cudaforge.builder.protocol import BuildEnd, BuildOrder, GivenUp, ImageJob, Listener
from cudaforge.engine import EngineDied, ImageFacts
from cudaforge.errors import CudaforgeError, InputError, NegativeAnswer, Problem
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
        self.on_build: Callable[[str], None] = lambda _: None
        self.looked_at = 0
        self.failure: Failure | None = None
        self.hangs = False

    def build(self, job: ImageJob, order: BuildOrder, listener: Listener) -> BuildEnd:
        del listener
        self.on_build(job.image.name)
        while self.hangs:
            if order.is_given_up():
                raise GivenUp
            time.sleep(0.01)
        if self.failure is not None:
            return BuildEnd(failure=self.failure, failed_step="RUN download")
        for tag in job.image.tags:
            self.images[tag] = facts_of(job)
        return BuildEnd(failure=None)

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
        if self.hangs:
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


def settings(directory: Path, *, keeps_going: bool = True) -> BuildSettings:
    return BuildSettings(
        root=directory,
        state=directory,
        workers=1,
        is_uncached=False,
        reproducible=Reproducible.NO,
        timeout=1.0,
        keeps_going=keeps_going,
    )


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


@pytest.mark.parametrize("kind", [NegativeAnswer, InputError])
@pytest.mark.parametrize("keeps_going", [True, False])
def test_what_is_not_as_the_lock_says_or_was_not_given_fails_its_own_image(
    tmp_path: Path, *, keeps_going: bool, kind: type[CudaforgeError]
):
    def refuse(name: str) -> None:
        if name == "two":
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

    def begin(builder: MadeUpBuilder, other: MadeUpBuilder) -> Callable[[str], None]:
        def decide(_: str) -> None:
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
