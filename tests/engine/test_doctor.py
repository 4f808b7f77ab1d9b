"""`doctor` on this machine with a real engine, and the driver of machines that tests do not have."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cudaforge.codes import Code
from cudaforge.doctor import Finding, State, diagnose, look, this_host
from cudaforge.engine import connect
from cudaforge.lockfile.model import LockedImage
from cudaforge.matrix import load_matrix
from cudaforge.packages.site import Site
from tests.engine.conftest import OfferGpus
from tests.support.fakegpu import HEALTHY, NO_DEVICE, OLD_DRIVER, FakeGpus
from tests.support.fakegpu.libraries import make_libraries
from tests.support.locks import GPU_IMAGE

pytestmark = pytest.mark.engine

SITE = Site(named_indexes={}, proxies={}, registries={}, origins={})
Examine = Callable[..., dict[str, Finding]]


@pytest.fixture
def examine(engine, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """What doctor finds where the driver is that of these GPUs; without any, this machine's own."""

    def run(gpus: FakeGpus | None = None, *, image: LockedImage | None = None, error: int = 0):
        if gpus is not None:
            monkeypatch.setenv("LD_LIBRARY_PATH", str(make_libraries()))
            monkeypatch.setenv("FAKE_GPU_COUNT", str(gpus.count))
            for name, value in gpus.environment().items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("FAKE_NVML_ERROR", str(error))
        situation = look(
            this_host(),
            connect=connect,
            find_site=lambda: SITE,
            matrix=load_matrix(),
            docker_config=None,
            image=image,
        )
        return {finding.id: finding for finding in diagnose(situation)}

    return run


def test_the_engine_of_this_machine_is_well(examine: Examine) -> None:
    found = examine()
    for name in ("engine", "buildx", "certificates"):
        assert found[name].state is State.OK, found[name]
    assert " free at /" in found["disk"].detail


def test_a_healthy_h100(examine: Examine, offer_fake_gpus: OfferGpus) -> None:
    offer_fake_gpus(HEALTHY)
    found = examine(HEALTHY, image=GPU_IMAGE)
    assert found["driver"].detail == "570.124.06, CUDA 12.8 natively (by NVML)"
    assert found["gpus"].detail == "NVIDIA H100 80GB HBM3 (sm_90, 85.5 GB)"
    assert found["image-driver"].state is State.OK
    assert found["image-gpus"].detail == "code for NVIDIA H100 80GB HBM3"
    assert found["cdi"].state is State.OK, found["cdi"]


def test_a_driver_too_old_for_the_image(examine: Examine) -> None:
    found = examine(OLD_DRIVER, image=GPU_IMAGE)["image-driver"]
    assert (found.state, found.code) == (State.PROBLEM, Code.DRIVER_TOO_OLD)
    assert "450.80.02" in found.detail


def test_a_library_of_another_version_than_the_kernel(examine: Examine) -> None:
    found = examine(HEALTHY, error=18)["driver"]
    assert (found.state, found.code) == (State.PROBLEM, Code.DRIVER_MISMATCH)
    assert found.remedy is not None
    assert found.remedy.startswith("reboot")


def test_a_driver_without_a_device(examine: Examine) -> None:
    found = examine(NO_DEVICE)["gpus"]
    assert (found.state, found.code) == (State.PROBLEM, Code.NO_GPU)


@pytest.fixture
def stale_spec() -> Iterator[Path]:
    directory = os.environ.get("CUDAFORGE_ENGINE_CDI_DIR")
    if not directory:
        pytest.skip("the engine's CDI directory is not ours")
    spec = Path(directory) / "cudaforge-stale.json"
    library = "/usr/lib/libcuda.so.550.54.15"
    edits = {"mounts": [{"hostPath": library, "containerPath": library}]}
    device = {"name": "stale", "containerEdits": edits}
    spec.write_text(json.dumps({"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [device]}))
    yield spec
    spec.unlink()


def test_a_spec_of_the_driver_before(examine: Examine, stale_spec: Path) -> None:
    found = examine(HEALTHY)["cdi"]
    assert (found.state, found.code) == (State.PROBLEM, Code.CDI_STALE)
    assert "550.54.15" in found.detail
    assert found.remedy == f"sudo nvidia-ctk cdi generate --output={stale_spec}"


def test_programs_that_hang_end_in_findings(
    examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("docker", "nvidia-smi"):
        (tmp_path / name).write_text("#!/bin/sh\nexec sleep 600\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    found = examine()
    assert found["buildx"].state is State.PROBLEM
    assert "did not end within 10 s" in found["buildx"].detail
    assert found["driver"].code is Code.DRIVER_MISSING
    assert "nvidia-smi did not end" in found["driver"].detail


def test_an_engine_that_is_not_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cudaforge", "doctor", "--json"],
        env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    document = json.loads(done.stdout)
    assert done.returncode == 1, done.stderr
    assert document["findings"][0]["state"] == "problem"
    assert document["findings"][0]["code"] == "engine-missing"
