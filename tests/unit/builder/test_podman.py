"""Podman's command, its output as it really was, and what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cudaforge.builder.cache import parse_caches
from cudaforge.builder.command import BuildInputs
from cudaforge.builder.podman import check_podman, find_abandoned_builds, in_podmans_words, podman_command
from cudaforge.engine import LocalPodman, PodmanUnusable
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.records import replace
from tests.support.locks import BOTH_IMAGE, CPU_IMAGE

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
    return " ".join(podman_command(inputs, words=("podman", "--root", "/r"), epoch="7"))


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

    def require_podman(self) -> LocalPodman:
        if self.trouble is not None:
            raise self.trouble
        return LocalPodman(words=("podman",), containers=Path("/none"))


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


def test_a_cache_of_its_own_is_what_podman_does_not_know() -> None:
    said = (
        "    --mount=type=cache,id=x,target=/y,sharing={} \\\n    echo --mount=type=cache,sharing=private\n"
    )
    assert in_podmans_words(f"RUN \\\n{said.format('private')}") == f"RUN \\\n{said.format('locked')}"
    first = "RUN --mount=type=cache,id=x,sharing=private,target=/y true\n"
    assert in_podmans_words(first) == first.replace("private", "locked")
