"""Looking at a host for a real project: its declaration, its lock, what the facts say that it weighs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from cudaforge.codes import Code
from cudaforge.doctor import State
from cudaforge.doctor.host import Disk
from cudaforge.engine import BuildxUnusable, EngineAbsent, GpuOffer, ImageFacts
from cudaforge.engine.locate import EngineAddress
from cudaforge.errors import InputError, Problem
from cudaforge.pipeline import doctoring
from tests.unit.doctor.machines import BY_CDI, GB, Machine

ROOT = Path(__file__).parents[3]


class FakeEngine:
    """An engine that answers."""

    server_version = "28.0.1"
    is_podman = False
    address = EngineAddress(host="unix:///var/run/docker.sock", said_by="")

    def __init__(self, info: Mapping[str, object], *, has_images: bool, has_buildx: bool = True) -> None:
        self._info = info
        self._has_images = has_images
        self._has_buildx = has_buildx
        self.is_closed = False

    def info(self) -> Mapping[str, object]:
        return self._info

    def gpu_offer(self) -> GpuOffer:
        return BY_CDI

    def require_buildx(self) -> None:
        if not self._has_buildx:
            raise BuildxUnusable(Problem(what="there is no buildx", remedy="install it"))

    def find_image(self, reference: str) -> ImageFacts | None:
        if not self._has_images:
            return None
        return ImageFacts(id="x", tags=(reference,), size=1, labels={}, architecture="amd64", created="")

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    shutil.copytree(ROOT / "examples/pytorch-gpu", place)
    shutil.copytree(ROOT / "tests/golden/pytorch-gpu/locked", place, dirs_exist_ok=True)
    return place / "cudaforge.toml"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "machine")
    machine.gpu(driver="580.65.06", cuda="13.0")
    machine.file("/var/lib/docker/x")
    return machine


def examine(monkeypatch: pytest.MonkeyPatch, machine: Machine, engine: FakeEngine, *words: object):
    monkeypatch.setattr(doctoring, "connect", lambda environment: engine)
    file, name = words
    found = doctoring.examine(file, name, host=machine.host())
    assert engine.is_closed
    return {finding.id: finding for finding in found}


def test_what_the_declaration_weighs_must_fit(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, project: Path
) -> None:
    machine.disk = Disk(free=2 * GB, total=100 * GB)
    found = examine(monkeypatch, machine, FakeEngine(machine.info, has_images=False), project, None)["disk"]
    assert (found.state, found.code) == (State.PROBLEM, Code.DISK_FULL)
    assert "2.0 GB of 100.0 GB free at /var/lib/docker; train will take" in found.detail
    found = examine(monkeypatch, machine, FakeEngine(machine.info, has_images=True), project, None)["disk"]
    assert "train" not in found.detail


def test_an_engine_whose_disk_is_elsewhere(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, project: Path
) -> None:
    engine = FakeEngine({**machine.info, "DockerRootDir": "/in/a/virtual/machine"}, has_images=False)
    assert examine(monkeypatch, machine, engine, project, None)["disk"].state is State.SKIPPED


def test_a_locked_image_is_judged_by_its_lock(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, project: Path
) -> None:
    engine = FakeEngine(machine.info, has_images=False)
    found = examine(monkeypatch, machine, engine, project, "train")
    assert {found[name].state for name in ("image-platform", "image-driver", "image-gpus")} == {State.OK}
    machine.gpu(driver="450.80.02", cuda="11.0")
    found = examine(monkeypatch, machine, engine, project, "train")
    assert found["image-driver"].code is Code.DRIVER_TOO_OLD


def test_an_image_that_is_not_in_the_lock(machine: Machine, project: Path) -> None:
    with pytest.raises(InputError, match="there is no image 'nope'"):
        doctoring.examine(project, "nope", host=machine.host())


def test_without_a_declaration_the_host_alone_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, tmp_path: Path
) -> None:
    engine = FakeEngine(machine.info, has_images=False, has_buildx=False)
    found = examine(monkeypatch, machine, engine, tmp_path / "none.toml", None)
    assert found["buildx"].code is Code.BUILDX_MISSING
    assert found["disk"].state is State.OK


def test_an_engine_that_is_not_there_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, tmp_path: Path
) -> None:
    def connect(environment: Mapping[str, str]) -> None:
        raise EngineAbsent(Problem(what="no container engine is running", remedy="start it"))

    monkeypatch.setattr(doctoring, "connect", connect)
    found = doctoring.examine(tmp_path / "none.toml", None, host=machine.host())
    assert found[0].code is Code.ENGINE_MISSING
    assert not doctoring.is_healthy(found)


def test_podman_whose_socket_is_not_there_is_to_be_started(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, tmp_path: Path
) -> None:
    def connect(environment: Mapping[str, str]) -> None:
        raise EngineAbsent(Problem(what="no container engine is running", remedy="start it"))

    monkeypatch.setattr(doctoring, "connect", connect)
    machine.program("podman")
    (machine.root / "var/run/docker.sock").unlink()
    found = {one.id: one for one in doctoring.examine(tmp_path / "none.toml", None, host=machine.host())}
    assert "start podman.socket" in (found["socket"].remedy or "")
