"""One queue before several builders, one of which fails when no test with an engine could make it."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cudaforge.builder.errors import BuildRefused
from cudaforge.builder.images import BuildSettings, ImageBuilds
from cudaforge.builder.model import BuildEvent, BuildResult, BuildState, EventKind, Reproducible
from cudaforge.builder.protocol import BuildEnd, BuildOrder, ImageJob, Listener
from cudaforge.engine import EngineDied, ImageFacts
from cudaforge.errors import InputError, Problem
from cudaforge.records import replace
from cudaforge.renderer import render_image
from cudaforge.renderer.model import ENTRY_LABEL
from tests.support.locks import CPU_IMAGE

NAMES = ("one", "two", "three")
Run = tuple[tuple[BuildResult, ...], list[BuildEvent]]


class MadeUpBuilder:
    """Keeps the images that it is told to build."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.images: dict[str, ImageFacts] = {}
        self.lacking = ""
        self.on_find: Callable[[str], None] = lambda _: None

    def build(self, job: ImageJob, order: BuildOrder, listener: Listener) -> BuildEnd:
        del order, listener
        if job.image.name == self.lacking:
            raise InputError(Problem(what=f"{job.image.name} needs a secret", remedy="export TOKEN=..."))
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


def dies_when_both_ask() -> Callable[[str], None]:
    """Fails its own worker and the other builder's at once, so that neither knows of it from the other."""
    both = threading.Barrier(2)

    def die(reference: str) -> None:
        both.wait(timeout=10)
        raise EngineDied(Problem(what=f"the container engine went away when it was asked for {reference}"))

    return die


def run(*builders: MadeUpBuilder, root: Path, keeps_going: bool = True) -> Run:
    """Build every image of NAMES, one at a time on each builder."""
    events: list[BuildEvent] = []
    settings = BuildSettings(
        root=root,
        state=root,
        workers=1,
        is_uncached=False,
        reproducible=Reproducible.NO,
        timeout=1.0,
        keeps_going=keeps_going,
    )
    builds = ImageBuilds(builders, settings, on_event=events.append)
    return builds.run([job(name) for name in NAMES]), events


def test_a_builder_that_dies_when_another_asks_what_it_has_is_the_one_that_is_lost(tmp_path: Path):
    here, dying = MadeUpBuilder("here"), MadeUpBuilder("dying")
    dying.on_find = dies_when_both_ask()
    results, events = run(here, dying, root=tmp_path)
    assert [(result.state, result.builder) for result in results] == [(BuildState.BUILT, "here")] * 3
    (lost,) = [event.line for event in events if event.kind is EventKind.BUILDER_LOST]
    assert lost.startswith("the builder dying gets no more images")


@pytest.mark.parametrize(("keeps_going", "third"), [(True, BuildState.BUILT), (False, BuildState.CANCELLED)])
def test_an_image_that_lacks_its_secret_leaves_the_others_their_results(
    *, keeps_going: bool, third: BuildState, tmp_path: Path
):
    here = MadeUpBuilder("here")
    here.lacking = "two"
    with pytest.raises(BuildRefused, match="two needs a secret") as raised:
        run(here, root=tmp_path, keeps_going=keeps_going)
    assert [result.state for result in raised.value.results] == [BuildState.BUILT, BuildState.FAILED, third]
    assert raised.value.results[1].remedy == "export TOKEN=..."
    assert raised.value.exit_code == 2
