"""From a symptom to its cause: each failure of the GPU tier names its own code and a way out."""

import pytest

from cudaforge.codes import Code
from cudaforge.engine import GpuMethod, GpuOffer, GpuRequest
from cudaforge.records import replace
from cudaforge.verifier.checks import judge
from cudaforge.verifier.model import CheckState, Tier
from tests.unit.verifier.reports import (
    DEVICE,
    LOSSES,
    NVML_DEVICE,
    ONE_GPU,
    TORCH,
    TWIN,
    add_stage,
    as_cpu_build,
    lost,
    raised,
    results,
    situation,
    value,
    with_gpu,
)

PASS, FAIL, SKIPPED, UNKNOWN = CheckState.PASS, CheckState.FAIL, CheckState.SKIPPED, CheckState.UNKNOWN
BY_RUNTIME = GpuOffer(request=GpuRequest(method=GpuMethod.RUNTIME))
EIGHT = [{**DEVICE, "name": f"GPU {number}"} for number in range(8)]


def init(name: str, code: int = 1):
    return value("system", "cuda", code=code, name=name, devices=[])


def env(**variables: str):
    return value("system", "system", env=variables)


@pytest.mark.parametrize(
    ("changes", "offer", "check", "code"),
    [
        ([value("system", "nodes", nodes=[])], ONE_GPU, "gpu.nodes", Code.CDI_MISSING),
        (
            [value("system", "nodes", nodes=[]), value("system", "driver", path=None, lying=[])],
            BY_RUNTIME,
            "gpu.nodes",
            Code.TOOLKIT_MISSING,
        ),
        (
            [value("system", "nodes", denied=["/dev/nvidia0"])],
            ONE_GPU,
            "gpu.nodes",
            Code.DEVICE_PERMISSION,
        ),
        ([value("system", "driver", path=None, lying=[])], ONE_GPU, "gpu.driver", Code.DRIVER_MISSING),
        ([value("system", "driver", path=None, lying=["/x"])], ONE_GPU, "gpu.driver", Code.TOOLKIT_MISSING),
        (
            [
                value("system", "driver", path=None, lying=[]),
                env(NVIDIA_DRIVER_CAPABILITIES="utility,graphics"),
            ],
            BY_RUNTIME,
            "gpu.driver",
            Code.VISIBLE_DEVICES,
        ),
        ([value("system", "driver", stub=True)], ONE_GPU, "gpu.driver", Code.CUDA_SHADOWED),
        ([value("system", "driver", version="450.80.02")], ONE_GPU, "gpu.floor", Code.DRIVER_TOO_OLD),
        ([value("system", "nvml", code=18)], ONE_GPU, "gpu.nvml", Code.DRIVER_MISMATCH),
        ([value("system", "nvml", code=4)], ONE_GPU, "gpu.nvml", Code.DEVICE_PERMISSION),
        ([value("system", "nvml", code=9)], ONE_GPU, "gpu.nvml", Code.DRIVER_MISSING),
        ([value("system", "nvml", code=12345)], ONE_GPU, "gpu.nvml", Code.DRIVER_NOT_READY),
        ([init("CUDA_ERROR_NO_DEVICE", 100)], ONE_GPU, "gpu.cuda", Code.NO_GPU),
        (
            [init("CUDA_ERROR_NO_DEVICE", 100), value("system", "nodes", denied=["/dev/nvidia0"])],
            ONE_GPU,
            "gpu.cuda",
            Code.DEVICE_PERMISSION,
        ),
        (
            [
                init("CUDA_ERROR_NO_DEVICE", 100),
                value("system", "nvml", devices=[{**NVML_DEVICE, "mig": True}]),
            ],
            ONE_GPU,
            "gpu.cuda",
            Code.VISIBLE_DEVICES,
        ),
        (
            [init("CUDA_ERROR_NO_DEVICE", 100), env(CUDA_VISIBLE_DEVICES="-1")],
            ONE_GPU,
            "gpu.cuda",
            Code.VISIBLE_DEVICES,
        ),
        ([init("CUDA_ERROR_INSUFFICIENT_DRIVER", 35)], ONE_GPU, "gpu.cuda", Code.DRIVER_TOO_OLD),
        ([init("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", 803)], ONE_GPU, "gpu.cuda", Code.DRIVER_MISMATCH),
        (
            [init("CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", 804)],
            ONE_GPU,
            "gpu.cuda",
            Code.COMPAT_LIB_ON_PATH,
        ),
        ([init("CUDA_ERROR_SYSTEM_NOT_READY", 802)], ONE_GPU, "gpu.cuda", Code.DRIVER_NOT_READY),
        ([init("CUDA_ERROR_OUT_OF_MEMORY", 2)], ONE_GPU, "gpu.cuda", Code.OUT_OF_MEMORY),
        ([env(CUDA_VISIBLE_DEVICES="-1")], ONE_GPU, "gpu.environment", Code.VISIBLE_DEVICES),
        ([env(CUDA_VISIBLE_DEVICES="")], ONE_GPU, "gpu.environment", Code.VISIBLE_DEVICES),
        ([env(JAX_PLATFORMS="cpu")], ONE_GPU, "gpu.environment", Code.VISIBLE_DEVICES),
        (
            [value("system", "cuda", devices=[{**DEVICE, "capability": "7.0"}])],
            ONE_GPU,
            "gpu.architecture",
            Code.ARCH_UNSUPPORTED,
        ),
        ([value("system", "system", shared_memory=2**20)], ONE_GPU, "gpu.shared_memory", Code.SHM_TOO_SMALL),
        ([value("system", "system", shared_memory=None)], ONE_GPU, "gpu.shared_memory", Code.SHM_TOO_SMALL),
        (
            [value("system", "cuda", devices=EIGHT), value("system", "system", shared_memory=2**26)],
            ONE_GPU,
            "gpu.shared_memory",
            Code.SHM_TOO_SMALL,
        ),
        (
            [value("pytorch", "devices", devices=[], reason="odd")],
            ONE_GPU,
            "pytorch.devices",
            Code.FRAMEWORK_BROKEN,
        ),
        (
            [as_cpu_build, value("pytorch", "devices", devices=[], reason="no")],
            ONE_GPU,
            "pytorch.devices",
            Code.CPU_ONLY_BUILD,
        ),
        (
            [value("pytorch", "devices", devices=[], reason="libcudnn.so.9: cannot open shared object file")],
            ONE_GPU,
            "pytorch.devices",
            Code.CUDNN_MISSING,
        ),
        (
            [raised("pytorch", "train_gpu", "OutOfMemoryError", "CUDA out of memory. Tried to allocate")],
            ONE_GPU,
            "pytorch.train_gpu",
            Code.OUT_OF_MEMORY,
        ),
        (
            [
                raised(
                    "pytorch",
                    "train_gpu",
                    "RuntimeError",
                    "CUDA error: no kernel image is available for execution on the device",
                )
            ],
            ONE_GPU,
            "pytorch.train_gpu",
            Code.ARCH_UNSUPPORTED,
        ),
        (
            [lost("pytorch", "train_gpu", signal=7)],
            ONE_GPU,
            "pytorch.train_gpu",
            Code.SHM_TOO_SMALL,
        ),
        (
            [value("pytorch", "train_gpu", placed=["cpu"])],
            ONE_GPU,
            "pytorch.train_gpu",
            Code.FRAMEWORK_BROKEN,
        ),
        (
            [value("pytorch", "describe", cudnn_compiled="9.11.0")],
            ONE_GPU,
            "pytorch.cudnn",
            Code.CUDNN_TOO_OLD,
        ),
        (
            [value("pytorch", "describe", cudnn_compiled="8.9.7")],
            ONE_GPU,
            "pytorch.cudnn",
            Code.CUDNN_MAJOR_MISMATCH,
        ),
        (
            [value("pytorch", "mixed_gpu", numbers="float32")],
            ONE_GPU,
            "pytorch.mixed_gpu",
            Code.FRAMEWORK_BROKEN,
        ),
        (
            [value("pytorch", "memory_gpu", is_held=False)],
            ONE_GPU,
            "pytorch.memory_gpu",
            Code.FRAMEWORK_BROKEN,
        ),
        ([as_cpu_build], ONE_GPU, "pytorch.build", Code.CPU_ONLY_BUILD),
    ],
)
def test_every_failure_has_its_code_and_a_way_out(changes: list, offer: GpuOffer, check: str, code: Code):
    found = results(situation(with_gpu, *changes, offer=offer))[check]
    assert (found.state, found.code) == (FAIL, code), found
    assert found.remedy


def test_the_driver_is_said_to_be_too_old_by_both_its_numbers():
    seen = situation(
        with_gpu,
        value("system", "driver", version="450.80.02"),
        value("system", "cuda", version="11.0"),
        offer=ONE_GPU,
    )
    found = results(seen)["gpu.floor"]
    for word in ("450.80.02", "CUDA 11.0", "570.26", "12.8"):
        assert word in found.detail
    assert 'driver = "450.80.02"' in (found.remedy or "")


def test_the_declaration_line_for_another_gpu():
    seen = situation(
        with_gpu, value("system", "cuda", devices=[{**DEVICE, "capability": "7.0"}]), offer=ONE_GPU
    )
    assert 'gpus = ["sm_70"]' in (results(seen)["gpu.architecture"].remedy or "")


@pytest.mark.parametrize(
    ("offer", "wish", "state", "code"),
    [
        (GpuOffer(request=None, is_local=True), "auto", SKIPPED, Code.NO_GPU),
        (GpuOffer(request=None, is_local=True), "required", FAIL, Code.NO_GPU),
        (GpuOffer(request=None, is_local=True, has_hardware=True), "required", FAIL, Code.DRIVER_MISSING),
        (
            GpuOffer(request=None, is_local=True, is_podman=True, host_devices=("/dev/nvidia0",)),
            "required",
            FAIL,
            Code.CDI_MISSING,
        ),
        (ONE_GPU, "off", SKIPPED, Code.GPU_NOT_REQUESTED),
    ],
)
def test_why_the_container_was_given_no_gpu(offer: GpuOffer, wish: str, state: CheckState, code: Code):
    found = results(situation(offer=offer, gpu=wish))
    assert (found["gpu.request"].state, found["gpu.request"].code) == (state, code)
    for id_ in ("gpu.nvml", "pytorch.train_gpu", "pytorch.mixed_gpu", "pytorch.memory_gpu"):
        assert found[id_].state is SKIPPED
        assert found[id_].detail


def test_a_podman_that_drops_what_it_was_asked_for():
    offer = replace(ONE_GPU, is_podman=True)
    gone = (value("system", "nodes", nodes=[]), value("system", "driver", path=None, lying=[]))
    found = results(situation(with_gpu, *gone, offer=offer))["gpu.nodes"]
    assert (found.state, found.code) == (FAIL, Code.CDI_MISSING)
    assert "Podman" in (found.remedy or "")


def test_an_image_that_hides_its_gpus_fails_without_one():
    found = results(situation(env(CUDA_VISIBLE_DEVICES="-1")))["gpu.environment"]
    assert (found.state, found.tier, found.code) == (FAIL, Tier.STATIC, Code.VISIBLE_DEVICES)


def test_nvml_is_wanted_only_where_it_is():
    seen = situation(
        with_gpu, value("system", "nvml", error="libnvidia-ml.so.1: no such file"), offer=ONE_GPU
    )
    assert results(seen)["gpu.nvml"].state is SKIPPED


def test_as_many_devices_as_were_asked_for():
    two = GpuOffer(request=GpuRequest(method=GpuMethod.CDI, devices=("nvidia.com/gpu=0", "nvidia.com/gpu=1")))
    found = results(situation(with_gpu, offer=two))["gpu.cuda"]
    assert (found.state, found.code) == (FAIL, Code.VISIBLE_DEVICES)
    assert "2 devices were asked for, the driver lists 1" in found.detail


@pytest.mark.parametrize(
    ("sums", "state"),
    [([3.0, 3.0], PASS), ([3.0], FAIL), ([3.0, 1.0], FAIL), ([3.0, None], FAIL), ([], FAIL)],
)
def test_several_gpus_have_to_add_up(sums: list, state: CheckState):
    def reduce(facts: dict) -> None:
        value("system", "cuda", devices=EIGHT[:2])(facts)
        facts["frameworks"]["pytorch"]["stages"] = [
            entry for entry in facts["frameworks"]["pytorch"]["stages"] if entry["name"] != "reduce_gpu"
        ]
        add_stage(
            facts, "pytorch", "reduce_gpu", {"sums": sums, "placed": ["cuda:0", "cuda:1"], "api": "NCCL"}
        )

    assert results(situation(with_gpu, reduce, offer=ONE_GPU))["pytorch.reduce_gpu"].state is state


def test_several_gpus_that_were_not_tried_are_no_pass():
    seen = situation(with_gpu, value("system", "cuda", devices=EIGHT), offer=ONE_GPU)
    assert results(seen)["pytorch.reduce_gpu"].state is UNKNOWN


def test_memory_is_kept_within_its_limit():
    image = replace(TORCH, verify=replace(TORCH.verify, memory_limit=2**26))
    found = results(situation(with_gpu, image=image, offer=ONE_GPU))["pytorch.memory_gpu"]
    assert (found.state, found.code) == (FAIL, Code.OUT_OF_MEMORY)


def test_a_devel_image_has_to_compile():
    image = replace(TORCH, flavor="devel", toolkit="12.8.1")
    nvcc = value("system", "toolkit", path="/usr/local/cuda/bin/nvcc", version="12.8.93")

    def found(compiled: object, *, on_gpu: bool = True) -> dict:
        changes = [nvcc, lambda facts: with_compiler(facts, compiled)]
        offer = {"offer": ONE_GPU} if on_gpu else {}
        return results(situation(*([with_gpu] if on_gpu else []), *changes, image=image, **offer))

    good = found({"compiled": True, "ran": True, "said": ""})
    assert (good["gpu.compiler"].state, good["gpu.kernel"].state) == (PASS, PASS)
    broken = found({"compiled": False, "ran": None, "said": "cc1plus: not found"})
    assert (broken["gpu.compiler"].state, broken["gpu.kernel"].state) == (FAIL, SKIPPED)
    assert "cc1plus" in broken["gpu.compiler"].detail
    unknown = found({"compiled": False, "ran": None, "said": "Unsupported gpu architecture 'compute_70'"})
    assert unknown["gpu.compiler"].code is Code.ARCH_UNSUPPORTED
    wrong = found({"compiled": True, "ran": False, "said": "3 times 3 gave 8"})
    assert (wrong["gpu.compiler"].state, wrong["gpu.kernel"].state) == (PASS, FAIL)
    assert found(None)["gpu.compiler"].state is UNKNOWN
    without = found({"compiled": True, "ran": None, "said": ""}, on_gpu=False)
    assert (without["gpu.compiler"].state, without["gpu.kernel"].state) == (PASS, SKIPPED)
    untried = results(situation(with_gpu, nvcc, image=image, offer=ONE_GPU))["pytorch.compiled_gpu"]
    assert untried.state is UNKNOWN, "a compiler that the flavor promises was not tried"


def with_compiler(facts: dict, told: object) -> None:
    for entry in facts["system"]["stages"]:
        if entry["name"] == "compiler":
            entry["value"] = told


def test_a_cpu_twin_has_the_cpu_tier_and_no_gpu_tier():
    tiers = {result.tier for result in judge(situation(as_cpu_build, image=TWIN, offer=ONE_GPU))}
    assert tiers == {Tier.STATIC, Tier.CPU}
    assert results(situation(as_cpu_build, image=TWIN))["pytorch.gradient_cpu"].state is PASS


def test_what_was_trained_in_half_precision_is_shown():
    mixed = value("pytorch", "mixed_gpu", numbers="float16", losses=LOSSES, placed=["cuda:0"])
    found = results(situation(with_gpu, mixed, offer=ONE_GPU))["pytorch.mixed_gpu"]
    assert (found.state, found.detail.startswith("float16: loss 2.300")) == (PASS, True)
