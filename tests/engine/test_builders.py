# ruff: noqa: F811 -- the fixture is another module's
"""Several builders from one queue: real engines, one of which is lost."""

import os
import threading
from pathlib import Path

import pytest

from cudaforge.builder import BuildAborted, BuildState, EventKind
from cudaforge.engine import connect_named
from cudaforge.errors import InputError
from cudaforge.records import replace
from tests.engine.test_build import Project, project  # noqa: F401
from tests.support.proxy import engine_proxy

pytestmark = [
    pytest.mark.engine,
    # The Docker SDK leaves the socket of a refused connection open, until some later test.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FEW = int(os.environ.get("CUDAFORGE_TEST_IMAGES", "10"))


def own_address() -> str:
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


def second_address() -> str:
    """Another engine, else a second way to the only one: what is tested is the queue."""
    return os.environ.get("CUDAFORGE_TEST_SECOND_ENGINE") or own_address()


def test_a_killed_builder_s_work_is_done_by_the_other(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What was finished stays; what was in flight, and only that, is built twice."""
    images = [project.image(f"many-{number}", f"echo {number} > /number") for number in range(FEW)]
    finished: list[str] = []
    begun: list[str] = []
    lost: list[str] = []
    here, there = own_address(), second_address()
    monkeypatch.setenv("DOCKER_HOST", there)
    with engine_proxy(tmp_path) as proxy:
        monkeypatch.setenv("DOCKER_HOST", here)
        builders = (connect_named(here), connect_named(proxy.address))

        def listen(event):
            if event.kind is EventKind.IMAGE_FINISHED:
                finished.append(event.image)
                if len(finished) == FEW // 2:
                    threading.Thread(target=proxy.die, daemon=True).start()
            if event.kind is EventKind.IMAGE_STARTED:
                begun.append(event.image)
            if event.kind is EventKind.BUILDER_LOST:
                lost.append(event.line)

        results = project.build(*images, builders=builders, jobs=2, on_event=listen)
        for builder in builders:
            builder.engine.close()
    # Where both are ways to one engine, it may have ended what was in flight.
    ended = {result.state for result in results}
    assert ended == {BuildState.BUILT} or (here == there and BuildState.FAILED not in ended)
    assert {result.builder for result in results} == {builder.name for builder in builders}
    assert sorted(finished) == sorted(image.name for image in images)
    assert len(lost) == 1
    assert builders[1].name in lost[0]
    assert len(begun) - FEW <= 2  # what was in flight on the lost one


def test_when_the_last_builder_is_lost_the_run_has_failed(project: Project, tmp_path: Path):
    images = [project.image(f"last-{number}", "true") for number in range(3)]
    with engine_proxy(tmp_path) as proxy:
        builder = connect_named(proxy.address)
        proxy.die()
        with pytest.raises(BuildAborted) as raised:
            project.build(*images, builders=(builder,), jobs=1)
        builder.engine.close()
    assert BuildState.BUILT not in {result.state for result in raised.value.results}


def test_without_keep_going_no_image_is_begun_after_a_failure(project: Project):
    bad = project.image("stops", "exit 3")
    good = project.image("goes-on", "true")
    failed, left = project.build(bad, good, jobs=1)
    assert (failed.state, left.state) == (BuildState.FAILED, BuildState.CANCELLED)
    assert "--keep-going" in left.reason
    states = [result.state for result in project.build(bad, good, jobs=1, keep_going=True)]
    assert states == [BuildState.FAILED, BuildState.BUILT]


def test_a_second_run_finds_the_image_on_whichever_builder_has_it(project: Project):
    image = project.image("found", "true")
    here = connect_named(own_address())
    other = replace(here, name="other")
    (first,) = project.build(image, builders=(here,))
    (again,) = project.build(image, builders=(other, here))
    assert (first.state, again.state) == (BuildState.BUILT, BuildState.CACHED)
    here.engine.close()


def test_the_default_builder_is_where_docker_host_says_that_it_is(project: Project):
    here = connect_named("default")
    assert here.engine.address.host == own_address()
    (result,) = project.build(project.image("by-default", "true"), builders=(here,))
    assert (result.state, result.builder) == (BuildState.BUILT, "default")
    here.engine.close()


@pytest.mark.parametrize("name", ["no-such-builder-anywhere", "--help", "a b", "http://x"])
def test_a_name_that_means_nothing_is_wrong_input(engine, name):
    with pytest.raises(InputError, match="builder"):
        connect_named(name)
