"""Containers with CDI devices on Podman: made by its program, since its API leaves the devices out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from cudaforge import process
from cudaforge.engine import (
    ContainerSpec,
    Engine,
    EngineDied,
    EngineFrozen,
    GpuMethod,
    GpuRequest,
    Mount,
    connect,
)
from cudaforge.engine.podman_create import NotCreated, create, create_words, needs_program
from cudaforge.errors import Problem
from cudaforge.records import replace
from tests.unit.engine.fake import answering

CDI = GpuRequest(method=GpuMethod.CDI, devices=("nvidia.com/gpu=0", "nvidia.com/gpu=1"))
BARE = ContainerSpec(image="a:1", run_id="0a", gpu=CDI)


def answer(monkeypatch: pytest.MonkeyPatch, status: int, stdout: str, stderr: str = "") -> None:
    def run(argv: Sequence[str], *, timeout: float, env: Mapping[str, str]) -> process.Completed:
        assert timeout > 0
        assert env == {"A": "b"}
        return process.Completed(argv=tuple(argv), returncode=status, stdout=stdout, stderr=stderr)

    monkeypatch.setattr(process, "run", run)


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine that goes away after it has been connected to."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    answer = {"Version": "4.3.1", "ApiVersion": "1.41", "Components": [{"Name": "Podman Engine"}]}
    with answering(tmp_path / "s", answer) as host:
        engine = connect(environment={"DOCKER_HOST": host})
    (tmp_path / "s").unlink()
    yield engine
    engine.close()


def test_an_engine_that_is_lost_has_refused_no_container(
    podman: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(argv: Sequence[str], **_: object) -> process.Completed:
        return process.Completed(
            argv=tuple(argv), returncode=125, stdout="", stderr="Error: unable to connect"
        )

    monkeypatch.setattr(process, "run", run)
    with pytest.raises(EngineDied):
        podman.run_container(BARE, timeout=1)


def test_a_podman_that_makes_no_container_in_time_is_frozen(
    podman: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(argv: Sequence[str], **_: object) -> process.Completed:
        raise process.ProgramTimeout(Problem(what=f"{argv[0]} did not end within 120 s and was stopped"))

    monkeypatch.setattr(process, "run", run)
    with pytest.raises(EngineFrozen, match="podman did not end within 120 s"):
        podman.run_container(BARE, timeout=1)


def test_the_plain_command() -> None:
    assert " ".join(create_words(BARE)) == (
        "create --pull=never --http-proxy=false --log-driver=none --security-opt=no-new-privileges "
        "--label=io.cudaforge.run=0a --network=none --device=nvidia.com/gpu=0 --device=nvidia.com/gpu=1 "
        "-- a:1"
    )


def test_everything_that_can_be_asked_for_is() -> None:
    spec = replace(
        BARE,
        argv=("-c", "echo --privileged"),
        entrypoint=("sh", "-e"),
        env={"A": "1 2"},
        stdin=b"x",
        user="1000",
        workdir="/w",
        memory=10,
        pids=5,
        cpus=1.5,
        shared_memory=7,
        tmpfs={"/tmp": "size=1m"},
        mounts=(Mount(source="/s", target="/t", read_only=True),),
        read_only=True,
        drop_capabilities=True,
        has_network=True,
    )
    words = create_words(spec)
    assert words[-4:] == ("--", "a:1", "-c", "echo --privileged")
    assert set(words) >= {
        '--entrypoint=["sh", "-e"]',
        "--env=A=1 2",
        "--interactive",
        "--user=1000",
        "--workdir=/w",
        "--memory=10",
        "--memory-swap=10",
        "--pids-limit=5",
        "--cpus=1.5",
        "--shm-size=7",
        "--tmpfs=/tmp:size=1m",
        "--mount=type=bind,source=/s,target=/t,readonly",
        "--read-only",
        "--read-only-tmpfs=false",
        "--cap-drop=ALL",
        "--network=bridge",
    }
    assert "--entrypoint=" in create_words(replace(BARE, entrypoint=()))


def test_only_cdi_devices_need_the_program() -> None:
    assert needs_program(BARE)
    assert not needs_program(replace(BARE, gpu=None))
    assert not needs_program(replace(BARE, gpu=GpuRequest(method=GpuMethod.DEVICE_REQUEST)))


def test_the_id_is_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, 0, "a word\nabc\n")
    assert create(("podman",), BARE, env={"A": "b"}) == "abc"


@pytest.mark.parametrize("status", [0, 125])
def test_a_refusal_is_in_podmans_words(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    answer(monkeypatch, status, "", "Error: no such image\n")
    with pytest.raises(NotCreated) as raised:
        create(("podman",), BARE, env={"A": "b"})
    assert raised.value.explanation == "no such image"
