"""Whether a host can run one locked image: each reason for a no, with what mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cudaforge.codes import Code
from cudaforge.doctor import Finding, State
from cudaforge.lockfile.model import LockedBase, LockedImage
from cudaforge.records import replace
from tests.support.locks import BASE_DIGEST, CPU_IMAGE, GPU_IMAGE
from tests.unit.doctor.machines import BY_CDI, Machine, nvml_error

V100 = {"name": "Tesla V100-SXM2-32GB", "capability": "7.0", "memory": 2**35, "mig": False}
BLACKWELL = {"name": "NVIDIA GeForce RTX 5090", "capability": "12.0", "memory": 2**35, "mig": False}
RTX_4090 = {"name": "NVIDIA GeForce RTX 4090", "capability": "8.9", "memory": 2**34, "mig": False}
CUDA_BASE = LockedBase(reference="nvidia/cuda:12.8.1-base-ubuntu22.04", digest=BASE_DIGEST, codename="jammy")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.gpu()
    machine.offer = BY_CDI
    return machine


def judged(machine: Machine, image: LockedImage) -> dict[str, Finding]:
    machine.image = image
    return {name: finding for name, finding in machine.findings().items() if name.startswith("image-")}


def trouble(finding: Finding, code: Code, *words: str) -> None:
    assert (finding.state, finding.code) == (State.PROBLEM, code), finding
    for word in words:
        assert word in f"{finding.detail} {finding.remedy}", finding


def test_an_h100_runs_the_image(machine: Machine) -> None:
    machine.gpu(driver="570.133.20")
    found = judged(machine, GPU_IMAGE)
    assert {one.id: one.state for one in found.values()} == {
        "image-platform": State.OK,
        "image-driver": State.OK,
        "image-forward": State.SKIPPED,
        "image-gpus": State.OK,
        "image-gate": State.SKIPPED,
    }
    assert found["image-driver"].detail == "driver 570.133.20, 570.26 or newer is needed"


def test_a_driver_that_is_too_old(machine: Machine) -> None:
    machine.gpu(driver="525.85.12", cuda="12.0")
    trouble(
        judged(machine, GPU_IMAGE)["image-driver"],
        Code.DRIVER_TOO_OLD,
        "driver 525.85.12 is too old",
        "570.26",
        'driver = "525.85.12"',
    )


def test_a_gpu_that_the_image_has_no_code_for(machine: Machine) -> None:
    machine.gpu(gpus=[V100])
    trouble(judged(machine, GPU_IMAGE)["image-gpus"], Code.ARCH_UNSUPPORTED, "sm_80", "(sm_70)")


def test_a_cubin_runs_on_a_higher_minor(machine: Machine) -> None:
    machine.gpu(gpus=[RTX_4090])
    assert judged(machine, GPU_IMAGE)["image-gpus"].state is State.OK


def test_ptx_needs_a_driver_of_its_cuda(machine: Machine) -> None:
    machine.gpu(gpus=[BLACKWELL])
    assert judged(machine, GPU_IMAGE)["image-gpus"].state is State.OK
    machine.gpu(gpus=[BLACKWELL], driver="560.28.03", cuda="12.6")
    trouble(judged(machine, GPU_IMAGE)["image-gpus"], Code.ARCH_UNSUPPORTED, "PTX", "CUDA 12.6")


def test_a_capability_that_only_the_facts_know(machine: Machine) -> None:
    machine.gpu(gpus=[{**V100, "capability": None}])
    trouble(judged(machine, GPU_IMAGE)["image-gpus"], Code.ARCH_UNSUPPORTED, "(sm_70)")
    machine.gpu(gpus=[{**V100, "name": "NVIDIA Unheard-of", "capability": None}])
    assert "not known" in judged(machine, GPU_IMAGE)["image-gpus"].detail


def test_a_host_without_a_gpu(machine: Machine, tmp_path: Path) -> None:
    bare = Machine(tmp_path / "bare")
    found = judged(bare, GPU_IMAGE)
    trouble(found["image-gpus"], Code.NO_GPU)
    assert found["image-driver"].state is State.SKIPPED


def test_a_cpu_image_needs_nothing(tmp_path: Path) -> None:
    found = judged(Machine(tmp_path / "bare"), CPU_IMAGE)
    assert {one.state for one in found.values()} <= {State.OK, State.SKIPPED}


def test_another_kind_of_cpu(machine: Machine) -> None:
    machine.info["Architecture"] = "aarch64"
    trouble(judged(machine, GPU_IMAGE)["image-platform"], Code.WRONG_ARCHITECTURE, "linux/arm64")


@pytest.mark.parametrize(
    ("gate", "state"),
    [("cuda>=12.8", State.OK), ("cuda>=13.0", State.PROBLEM), ("", State.SKIPPED)],
)
def test_the_gate_of_the_image(machine: Machine, gate: str, state: State) -> None:
    found = judged(machine, replace(GPU_IMAGE, gate=gate))["image-gate"]
    assert found.state is state
    if state is State.PROBLEM:
        trouble(found, Code.DRIVER_TOO_OLD, "NVIDIA_REQUIRE_CUDA=cuda>=13.0", 'require_cuda = "relax"')


def test_the_gate_of_the_base_counts_where_the_image_has_none(machine: Machine) -> None:
    machine.gpu(driver="550.54.15", cuda="12.4", gpus=[RTX_4090])
    found = judged(machine, replace(GPU_IMAGE, base=CUDA_BASE))["image-gate"]
    trouble(found, Code.DRIVER_TOO_OLD, "NVIDIA_REQUIRE_CUDA")
    machine.gpu()
    assert judged(machine, replace(GPU_IMAGE, base=CUDA_BASE))["image-gate"].state is State.OK


def test_forward_compatibility_is_for_some_branches_and_the_data_centre(machine: Machine) -> None:
    image = replace(GPU_IMAGE, forward_compat=True, toolkit="12.8", driver_floor="535")
    machine.gpu(driver="535.104.05", cuda="12.2")
    assert judged(machine, image)["image-forward"].state is State.OK
    machine.gpu(driver="545.23.08", cuda="12.3")
    trouble(judged(machine, image)["image-forward"], Code.DRIVER_TOO_OLD, "545.23.08", "cuda-compat-12-8")
    machine.gpu(driver="535.104.05", cuda="12.2", gpus=[RTX_4090])
    trouble(judged(machine, image)["image-forward"], Code.COMPAT_LIB_ON_PATH, "RTX 4090")


def test_a_driver_that_does_not_answer_leaves_the_rest_open(machine: Machine) -> None:
    machine.nvml(nvml_error(18, "Driver/library version mismatch"))
    found = judged(machine, GPU_IMAGE)
    assert found["image-driver"].state is State.SKIPPED
    assert found["image-gpus"].code is Code.NO_GPU
