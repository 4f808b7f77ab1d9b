"""Podman's command, its output as it really was, and what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cudaforge.builder.cache import parse_caches
from cudaforge.builder.command import BuildInputs
from cudaforge.builder.failures import Failure, FailureKind, classify_failure
from cudaforge.builder.model import EventKind
from cudaforge.builder.podman import (
    check_podman,
    find_abandoned_builds,
    in_podmans_words,
    podman_command,
    with_full_names,
)
from cudaforge.builder.podman_steps import StepTracker
from cudaforge.engine import EngineDied, LocalPodman, PodmanUnusable, words_of
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.records import replace
from tests.support.locks import BOTH_IMAGE, CPU_IMAGE

DATA = Path(__file__).parent / "data"
INPUTS = BuildInputs(
    dockerfile=Path("/tmp/x/Dockerfile"),
    context=Path("/project"),
    tags=("a:1", "a:2"),
    contexts={
        "cudaforge-uv": "/tmp/x/uv",
        "python:3.12@sha256:00": "docker-image://docker.io/library/python",
    },
    secrets={"cudaforge-closure": Path("/tmp/x/pylock.toml")},
    platforms=("linux/amd64",),
)


def command(inputs: BuildInputs) -> str:
    return " ".join(podman_command(inputs, words=("podman", "--root", "/r"), epoch=7))


def test_the_command() -> None:
    assert command(INPUTS) == (
        "podman --root /r build --file /tmp/x/Dockerfile --format oci "
        "--ignorefile /tmp/x/Dockerfile.dockerignore --http-proxy=false "
        "--build-arg SOURCE_DATE_EPOCH=7 --tag a:1 --tag a:2 "
        "--build-context cudaforge-uv=/tmp/x/uv "
        "--build-context python:3.12@sha256:00=docker-image://docker.io/library/python "
        "--secret id=cudaforge-closure,type=file,src=/tmp/x/pylock.toml --platform linux/amd64 -- /project"
    )


def test_networks_and_caches() -> None:
    assert "--network none --pull=never" in command(replace(INPUTS, has_no_network=True))
    assert "--network host" in command(replace(INPUTS, needs_host_network=True))
    assert "--no-cache" in command(replace(INPUTS, is_uncached=True))
    assert "--ssh default" in command(replace(INPUTS, has_ssh=True))


def test_a_secret_that_cannot_be_said() -> None:
    with pytest.raises(SurroundingsError, match="comma"):
        command(replace(INPUTS, secrets={"ca": Path("/a,b")}))


@dataclass
class Engine:
    """As much of one as is asked."""

    is_podman: bool = True
    trouble: Exception | None = None
    is_lost: bool = False

    def check_alive(self) -> None:
        if self.is_lost:
            raise EngineDied(Problem(what="the container engine went away"))

    def require_podman(self) -> LocalPodman:
        if self.trouble is not None:
            raise self.trouble
        return LocalPodman(words=("podman",), containers=Path("/none"), temporary=Path("/none"))


@dataclass
class Named:
    engine: Engine = field(default_factory=Engine)


def refusal(*images, is_reproducible: bool = False, cache: tuple[str, ...] = ()) -> str:
    caches = parse_caches(cache, (), images=1)
    with pytest.raises(SurroundingsError) as caught:
        check_podman(images, [Named()], is_reproducible=is_reproducible, caches=caches)
    assert all(problem.remedy for problem in caught.value.problems)
    return " ".join(problem.what for problem in caught.value.problems)


def test_what_it_cannot_do_is_said_all_at_once() -> None:
    said = refusal(BOTH_IMAGE, is_reproducible=True, cache=("type=local,dest=x",))
    assert "both has several" in said
    assert "--reproducible" in said
    assert "--cache-to" in said


def test_docker_is_asked_nothing_and_a_podman_out_of_reach_is_told() -> None:
    docker = Named(Engine(is_podman=False, trouble=AssertionError()))
    check_podman([BOTH_IMAGE], [docker], is_reproducible=True, caches=parse_caches((), (), images=1))
    far = Named(Engine(trouble=PodmanUnusable(Problem(what="far away"))))
    with pytest.raises(PodmanUnusable):
        check_podman([CPU_IMAGE], [far], is_reproducible=False, caches=parse_caches((), (), images=1))


def test_a_podman_that_went_away_is_left_to_the_run() -> None:
    trouble = PodmanUnusable(Problem(what="does not say where it keeps images"))
    builders = [Named(Engine(trouble=trouble, is_lost=True)), Named()]
    check_podman([CPU_IMAGE], builders, is_reproducible=False, caches=parse_caches((), (), images=1))


def test_containers_of_builds_are_abandoned_with_their_private_files(tmp_path: Path) -> None:
    closure = tmp_path / 'cudaforge-1-"x' / "pylock.toml"
    closure.parent.mkdir()
    closure.write_text("")
    for name, text in {
        "ours": json.dumps(
            {"CommonBuildOpts": {"Secrets": [f"id=cudaforge-closure,type=file,src={closure}"]}}
        ),
        "others": json.dumps({"CommonBuildOpts": {"Secrets": ["id=token,src=/none"]}}),
        "broken": '{"id=cudaforge-closure,type=file,src=\\',
    }.items():
        note = tmp_path / "store" / name / "userdata/buildah.json"
        note.parent.mkdir(parents=True)
        note.write_text(text)
    (tmp_path / "store/running/userdata").mkdir(parents=True)
    assert find_abandoned_builds(tmp_path / "store") == ()
    closure.unlink()
    assert find_abandoned_builds(tmp_path / "store") == ("ours",)
    assert find_abandoned_builds(tmp_path / "none") == ()


def test_a_cache_for_one_step_at_a_time_is_of_one_step_alone() -> None:
    """Podman holds on to its lock until the build ends: a second step with the same cache would hang."""
    lines = (
        "RUN --mount=type=cache,id=x,sharing=private,target=/y true\n",
        "RUN \\\n    --mount=type=cache,id=x,target=/y,sharing=locked \\\n    echo sharing=private\n",
        "RUN --mount=type=cache,id=shared,target=/z true\n",
    )
    assert in_podmans_words("".join(lines), "train") == (
        "RUN --mount=type=cache,id=x-train-1,sharing=locked,target=/y true\n"
        "RUN \\\n    --mount=type=cache,id=x-train-2,target=/y,sharing=locked \\\n"
        "    echo sharing=private\n"
        "RUN --mount=type=cache,id=shared,target=/z true\n"
    )


def test_a_build_that_a_signal_ended_has_no_image() -> None:
    """Podman 4.3 ends with exit status 0 then."""
    tracker = StepTracker("x", write=lambda _: None)
    for line in ("STEP 1/2: FROM base", "STEP 2/2: RUN sleep 30"):
        assert list(tracker.take(line))
    assert not tracker.has_image
    for line in ("COMMIT x:1", "--> b950e3ec6df", "Successfully tagged localhost/x:1"):
        assert list(tracker.take(line))
    assert not tracker.has_image
    assert list(tracker.take("b950e3ec6df6fdf2bcd2e64a502f099ea70151a24cdc4a67798b9f52c93c9434"))
    assert tracker.has_image


def _hide(text: str) -> str:
    return text.replace("err", "***")


class Told:
    """A build whose output was recorded, told to the tracker."""

    def __init__(self, name: str, *, is_good: bool = False) -> None:
        self.log: list[str] = []
        self.tracker = StepTracker(
            "one", write=self.log.append, clean=lambda line: line.replace("err", "***")
        )
        lines = (DATA / f"podman-4.3-{name}.txt").read_text().splitlines()
        self.events = [event for line in lines for event in self.tracker.take(line)]
        self.events += self.tracker.finish() if is_good else self.tracker.fail()

    def steps(self, *kinds: EventKind) -> list[str]:
        return [event.step for event in self.events if event.kind in kinds]

    def failure(self) -> Failure:
        failed = self.tracker.failed_step
        assert failed is not None
        return classify_failure(error=self.tracker.error, step=failed.name, lines=failed.lines)


def test_a_build_as_it_goes() -> None:
    told = Told("built", is_good=True)
    begun = told.steps(EventKind.STEP_STARTED)
    assert [step.partition("]")[0] for step in begun] == [
        "[stage-1 1/2",
        "[stage-1 2/2",
        "[stage-2 1/3",
        "[stage-2 2/3",
        "[stage-2 3/3",
        "exporting to image",
    ]
    assert told.steps(EventKind.STEP_DONE) == begun
    lines = [event.line for event in told.events if event.kind is EventKind.LOG]
    assert "STEP 3/9: not a step" in lines  # the step's own output
    assert "***" in lines
    assert "#4 ***" in told.log
    fractions = [event.fraction for event in told.events]
    assert all(0 <= fraction < 1 for fraction in fractions[:-1])
    assert fractions[-1] == 1.0
    assert told.tracker.failed_step is None


def test_steps_from_the_cache() -> None:
    told = Told("cached", is_good=True)
    assert len(told.steps(EventKind.STEP_CACHED)) == 3
    assert "#2 CACHED" in told.log


def test_a_step_that_fails() -> None:
    told = Told("step")
    failed = told.tracker.failed_step
    assert failed is not None
    assert failed.name.startswith("[2/3] RUN echo before")
    assert failed.lines == ("before", "Error: of the step", "after")
    assert told.tracker.error == "while running runtime: exit status 7"
    assert told.steps(EventKind.STEP_FAILED) == [failed.name]
    assert (told.failure().kind, told.failure().reason) == (FailureKind.STEP, "a step failed")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("copy", FailureKind.CONTENT), ("base", FailureKind.BASE), ("parse", FailureKind.CONTENT)],
)
def test_what_podman_really_said(name: str, kind: FailureKind) -> None:
    assert Told(name).failure().kind is kind


def test_a_killed_step_and_a_command_that_speaks_of_a_full_disk() -> None:
    killed = classify_failure(
        error="while running runtime: exit status 1", step="[2/2] RUN x", lines=["container exited on killed"]
    )
    assert "memory" in killed.reason
    tracker = StepTracker("one", write=lambda line: None)
    said = 'RUN echo "no space left on device": ; exit 3'
    for line in (
        "STEP 1/2: FROM x",
        f"STEP 2/2: {said}",
        f'Error: building at STEP "{said}": while running runtime: exit status 3',
    ):
        list(tracker.take(line))
    assert tracker.error == "while running runtime: exit status 3"


def test_an_end_before_any_step() -> None:
    tracker = StepTracker("one", write=lambda line: None)
    assert tracker.error == ""
    assert list(tracker.take("Error: no such file")) == []
    assert (tracker.error, tracker.failed_step) == ("no such file", None)
    assert tracker.first_lines == ("Error: no such file",)
    assert list(tracker.fail()) == []


def test_bases_need_no_list_of_registries() -> None:
    digest = f"sha256:{'0' * 64}"
    base = replace(CPU_IMAGE.base, reference="nvidia/cuda:12.8.1-base", digest=digest, packages=())
    image = replace(CPU_IMAGE, base=base)
    written = f"nvidia/cuda:12.8.1-base@{digest}"
    assert with_full_names(image, {"uv": "/tmp/uv"}) == {
        "uv": "/tmp/uv",
        written: f"docker-image://docker.io/nvidia/cuda@{digest}",
    }
    mirrored = {written: f"docker-image://mirror.example/nv/cuda:12.8.1-base@{digest}"}
    assert with_full_names(image, mirrored) == {written: f"docker-image://mirror.example/nv/cuda@{digest}"}
    unpinned = replace(image, base=replace(base, digest=None))
    assert with_full_names(unpinned, {}) == {
        "nvidia/cuda:12.8.1-base": "docker-image://docker.io/nvidia/cuda:12.8.1-base"
    }
    assert with_full_names(CPU_IMAGE, {"cudaforge-base": "oci-layout:///x@y"}) == {
        "cudaforge-base": "oci-layout:///x@y"
    }


def test_a_full_disk_is_mended_in_podmans_words() -> None:
    error = "creating build container: write /x: no space left on device"
    failure = classify_failure(error=error, words=words_of(is_podman=True))
    assert failure.kind is FailureKind.DISK
    assert "podman image prune" in (failure.remedy or "")
    assert "docker" in (classify_failure(error=error).remedy or "")
