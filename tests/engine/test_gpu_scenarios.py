"""Every state of a GPU host that the fake driver can play, each with its own cause, code and way out.

The fake driver answers questions and computes nothing: no framework runs on it. What the frameworks' own
checks say about it is shown by the mutants, with real frameworks.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cudaforge.codes import Code
from cudaforge.engine import Engine, GpuMethod, GpuOffer, GpuRequest, connect
from cudaforge.engine.gpus import parse_cdi_spec
from cudaforge.errors import InputError
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import replace
from cudaforge.verifier import CheckState, Tier, Verdict, verify_image
from cudaforge.verifier.model import CheckResult
from tests.engine.conftest import OfferGpus
from tests.support.fakegpu import (
    BROKEN_DRIVER,
    CUT_GPU,
    EIGHT_GPUS,
    FORBIDDEN,
    HEALTHY,
    INSUFFICIENT_DRIVER,
    NO_DEVICE,
    NO_LIBRARY,
    NVML_MISMATCH,
    OLD_DRIVER,
    OLD_GPU,
    RTX_5090,
    TWO_GPUS,
    FakeGpus,
    dump_spec,
    uuid_of,
)
from tests.support.fakegpu.libraries import make_libraries
from tests.support.locks import CPU_IMAGE, GPU_IMAGE
from tests.support.plain import PLAIN, built

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]

RUN = f"test-scenarios-{os.getpid()}"
REFERENCE = f"cudaforge.invalid/test-scenarios:{os.getpid()}"
IMAGE = replace(
    GPU_IMAGE,
    closure=replace(CPU_IMAGE.closure, wheels=()),
    companions={},
    verify=replace(GPU_IMAGE.verify, timeout=60, steps=2),
)
BEFORE_BLACKWELL = replace(IMAGE, architectures=("sm_80", "sm_86", "sm_90"), ptx=())
CUDA_13 = replace(
    IMAGE, cuda="13.0", driver_floor="580.65.06", architectures=("sm_75", "sm_80", "sm_90", "sm_120"), ptx=()
)


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with built(PLAIN, {"plain": REFERENCE}, tmp_path_factory.mktemp("scenarios")):
        yield REFERENCE


@pytest.fixture
def connected(engine) -> Iterator[Engine]:
    found = connect()
    yield found
    assert found.remove_leftovers(RUN) == 0
    found.close()


def verify(
    engine: Engine,
    reference: str,
    gpus: FakeGpus,
    monkeypatch: pytest.MonkeyPatch,
    *,
    locked: LockedImage = IMAGE,
    devices: tuple[str, ...] = (),
) -> Verdict:
    # Engines before Docker 28 do not list CDI devices, and another host's specs cannot be read.
    names = parse_cdi_spec(dump_spec(gpus, make_libraries()))
    every = GpuRequest(method=GpuMethod.CDI, devices=("nvidia.com/gpu=all",))
    monkeypatch.setattr(engine, "gpu_offer", lambda: GpuOffer(request=every, cdi_devices=names))
    return verify_image(locked, reference, engine=engine, run_id=RUN, devices=devices)


def checks(verdict: Verdict) -> dict[str, CheckResult]:
    return {check.id: check for check in verdict.checks}


def of_the_gpu(verdict: Verdict) -> dict[str, CheckState]:
    return {id_: check.state for id_, check in checks(verdict).items() if id_.startswith("gpu.")}


@dataclass(frozen=True, slots=True)
class Case:
    """What a host with these GPUs makes of an image: the check that fails, its code, words of its text."""

    gpus: FakeGpus
    check: str
    code: Code
    words: tuple[str, ...]
    locked: LockedImage = IMAGE


INSUFFICIENT_NAME = "CUDA_ERROR_INSUFFICIENT_DRIVER"
CASES = (
    Case(RTX_5090, "gpu.architecture", Code.ARCH_UNSUPPORTED, ("12.0", '["sm_120"]'), BEFORE_BLACKWELL),
    Case(OLD_GPU, "gpu.architecture", Code.ARCH_UNSUPPORTED, ("7.0", '["sm_70"]'), CUDA_13),
    Case(OLD_GPU, "gpu.floor", Code.DRIVER_TOO_OLD, ("570.124.06", "580.65.06", "13.0"), CUDA_13),
    Case(NO_DEVICE, "gpu.cuda", Code.NO_GPU, ("no device", "nvidia-smi")),
    Case(OLD_DRIVER, "gpu.floor", Code.DRIVER_TOO_OLD, ("450.80.02", "CUDA 11.0", "570.26")),
    Case(INSUFFICIENT_DRIVER, "gpu.floor", Code.DRIVER_TOO_OLD, ("450.80.02", "570.26")),
    Case(INSUFFICIENT_DRIVER, "gpu.cuda", Code.DRIVER_TOO_OLD, (INSUFFICIENT_NAME,)),
    Case(NO_LIBRARY, "gpu.driver", Code.DRIVER_MISSING, ("no libcuda.so.1", "nvidia-ctk cdi generate")),
    Case(FORBIDDEN, "gpu.nodes", Code.DEVICE_PERMISSION, ("may not open", "/dev/nvidia0", "0666")),
    Case(FORBIDDEN, "gpu.cuda", Code.DEVICE_PERMISSION, ("/dev/nvidia0",)),
    Case(NVML_MISMATCH, "gpu.nvml", Code.DRIVER_MISMATCH, ("version mismatch", "reboot")),
    Case(NVML_MISMATCH, "gpu.cuda", Code.DRIVER_MISMATCH, ("reboot",)),
    Case(BROKEN_DRIVER, "gpu.cuda", Code.DRIVER_MISMATCH, ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",)),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}-{case.code.value}")
def test_each_trouble_has_its_own_cause_and_remedy(
    connected: Engine, image: str, offer_fake_gpus: OfferGpus, monkeypatch: pytest.MonkeyPatch, case: Case
):
    offer_fake_gpus(case.gpus)
    verdict = verify(connected, image, case.gpus, monkeypatch, locked=case.locked)
    found = checks(verdict)[case.check]
    assert (found.state, found.code) == (CheckState.FAIL, case.code), found
    for word in case.words:
        assert word in f"{found.detail} {found.remedy}"
    assert not verdict.ok


def test_a_healthy_gpu_passes_all_that_a_driver_can_show(
    connected: Engine, image: str, offer_fake_gpus: OfferGpus, monkeypatch: pytest.MonkeyPatch
):
    """And no framework's check says that it ran: there is none in this image."""
    offer_fake_gpus(HEALTHY)
    verdict = verify(connected, image, HEALTHY, monkeypatch)
    assert set(of_the_gpu(verdict).values()) == {CheckState.PASS}
    assert uuid_of(HEALTHY, 0) in checks(verdict)["gpu.nvml"].detail
    assert "1024 MiB" in checks(verdict)["gpu.shared_memory"].detail
    ran = [check for check in verdict.checks if check.tier is Tier.GPU and "pytorch" in check.id]
    assert {check.id for check in ran} >= {"pytorch.gradient_gpu", "pytorch.mixed_gpu", "pytorch.reduce_gpu"}
    assert {check.state for check in ran} == {CheckState.SKIPPED}
    assert all(check.detail for check in ran)
    assert "not proven on a GPU" in verdict.summary


def test_eight_gpus(
    connected: Engine, image: str, offer_fake_gpus: OfferGpus, monkeypatch: pytest.MonkeyPatch
):
    offer_fake_gpus(EIGHT_GPUS)
    verdict = verify(connected, image, EIGHT_GPUS, monkeypatch)
    assert checks(verdict)["gpu.cuda"].detail.count("NVIDIA H100") == 8
    assert "/dev/nvidia7" in checks(verdict)["gpu.nodes"].detail
    monkeypatch.setattr("cudaforge.verifier.launching.SHARED_MEMORY", 64 * 2**20)
    found = checks(verify(connected, image, EIGHT_GPUS, monkeypatch))["gpu.shared_memory"]
    assert (found.state, found.code) == (CheckState.FAIL, Code.SHM_TOO_SMALL)
    assert "--shm-size" in (found.remedy or "")


def test_one_gpu_of_two_is_asked_for(
    connected: Engine, image: str, offer_fake_gpus: OfferGpus, monkeypatch: pytest.MonkeyPatch
):
    offer_fake_gpus(TWO_GPUS)
    for name in ("1", uuid_of(TWO_GPUS, 1)):
        found = checks(verify(connected, image, TWO_GPUS, monkeypatch, devices=(name,)))
        assert found["gpu.request"].detail == f"cdi: nvidia.com/gpu={name}"
        assert "/dev/nvidia1" in found["gpu.nodes"].detail
        assert "/dev/nvidia0" not in found["gpu.nodes"].detail
        assert uuid_of(TWO_GPUS, 1) in found["gpu.nvml"].detail
    with pytest.raises(InputError, match=r"have no nvidia.com/gpu=2"):
        verify(connected, image, TWO_GPUS, monkeypatch, devices=("2",))


def test_an_instance_of_a_gpu_that_mig_has_cut(
    connected: Engine, image: str, offer_fake_gpus: OfferGpus, monkeypatch: pytest.MonkeyPatch
):
    offer_fake_gpus(CUT_GPU)
    for name in ("0:1", uuid_of(CUT_GPU, 1)):
        found = checks(verify(connected, image, CUT_GPU, monkeypatch, devices=(name,)))
        assert found["gpu.cuda"].state is CheckState.PASS
        assert "MIG 1g.10gb (9.0, 10 GiB)" in found["gpu.cuda"].detail
        assert "/dev/nvidia-caps/nvidia-cap22" in found["gpu.nodes"].detail
        assert "MIG is on" in found["gpu.nvml"].detail


def test_a_cut_gpu_without_an_instance(
    connected: Engine, image: str, offer_fake_gpus: OfferGpus, monkeypatch: pytest.MonkeyPatch
):
    empty = FakeGpus(is_cut=True, init_error=100)
    offer_fake_gpus(empty)
    found = checks(verify(connected, image, empty, monkeypatch))["gpu.cuda"]
    assert (found.state, found.code) == (CheckState.FAIL, Code.VISIBLE_DEVICES)
    assert "MIG" in found.detail


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (GpuRequest(method=GpuMethod.DEVICE_REQUEST), Code.TOOLKIT_MISSING),
        (GpuRequest(method=GpuMethod.DEVICE_REQUEST, devices=("0",)), Code.TOOLKIT_MISSING),
        (GpuRequest(method=GpuMethod.RUNTIME), Code.TOOLKIT_MISSING),
        (GpuRequest(method=GpuMethod.CDI, devices=("nvidia.com/gpu=none-such",)), Code.CDI_MISSING),
    ],
    ids=["gpus", "one", "runtime", "cdi"],
)
def test_the_engine_s_own_refusal_is_recognised(
    connected: Engine, image: str, monkeypatch: pytest.MonkeyPatch, request_: GpuRequest, code: Code
):
    if connected.info().get("Runtimes", {}).get("nvidia"):
        pytest.skip("this engine has NVIDIA's runtime")
    monkeypatch.setattr(connected, "gpu_offer", lambda: GpuOffer(request=request_))
    verdict = verify_image(IMAGE, image, engine=connected, run_id=RUN)
    found = checks(verdict)["gpu.request"]
    assert (found.state, found.code) == (CheckState.FAIL, code), found
    assert "nvidia-ctk" in (found.remedy or "")
    assert checks(verdict)["probe"].state is CheckState.PASS
