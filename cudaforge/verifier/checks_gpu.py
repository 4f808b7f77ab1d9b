"""Checks of the GPU as the container sees it, from the engine up to the CUDA driver API."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cudaforge.verifier.causes import explain_gpu_refusal
from cudaforge.verifier.judging import Check, Finding, failed, failed_by, passed, skipped, unknown
from cudaforge.verifier.model import Tier
from cudaforge.verifier.situation import GpuWish, Situation
from cudaforge.versions import InvalidVersion, Version

_SET_UP = "the container GPU set-up of this host is broken, not the image: "
_TOOLKIT_REMEDY = "update nvidia-container-toolkit and renew its configuration, then restart Docker"
_COMPATIBLE = re.compile(r"(?:sm|compute)_(?P<number>\d+)[a-z]?")
_INIT_CAUSES = {
    "CUDA_ERROR_STUB_LIBRARY": (
        "the stub of libcuda that the toolkit brings for linking was loaded",
        "take the stubs directory out of LD_LIBRARY_PATH",
    ),
    "CUDA_ERROR_NO_DEVICE": (
        "the driver sees no device it may use",
        "look at CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES, and at nvidia-smi on the host",
    ),
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": (
        "the driver library and the kernel module are of different releases",
        "reboot the host after the driver's update, or renew the CDI specs",
    ),
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": (
        "the image's forward-compatibility libcuda works on data-centre GPUs alone",
        "declare forward_compat = false and lock again",
    ),
    "CUDA_ERROR_SYSTEM_NOT_READY": (
        "the system is not ready: on NVSwitch machines the fabric manager has to run",
        "start nvidia-fabricmanager on the host",
    ),
    "CUDA_ERROR_UNKNOWN": (
        "the driver did not come up in the container",
        "check that nvidia-uvm is loaded on the host (nvidia-modprobe -u -c=0) and run nvidia-smi there",
    ),
}


def gpu_checks(situation: Situation) -> tuple[Check, ...]:
    """The rows for this image."""
    if situation.is_cpu_twin:
        return ()
    return (
        Check(id="gpu.request", title="GPUs for the container", tier=Tier.GPU, judge=_judge_request),
        Check(
            id="gpu.nodes",
            title="Device nodes",
            tier=Tier.GPU,
            judge=_judge_nodes,
            needs=("probe", "gpu.request"),
        ),
        Check(
            id="gpu.driver",
            title="Driver library",
            tier=Tier.GPU,
            judge=_judge_driver,
            needs=("probe", "gpu.request"),
        ),
        Check(
            id="gpu.floor", title="Driver version", tier=Tier.GPU, judge=_judge_floor, needs=("gpu.driver",)
        ),
        Check(
            id="gpu.cuda", title="CUDA driver API", tier=Tier.GPU, judge=_judge_cuda, needs=("gpu.driver",)
        ),
        Check(
            id="gpu.architecture",
            title="Code for this GPU",
            tier=Tier.GPU,
            judge=_judge_architecture,
            needs=("gpu.cuda",),
        ),
    )


def _judge_request(situation: Situation) -> Finding:
    if situation.gpu is GpuWish.OFF:
        return skipped('verify.gpu is "off"')
    request = situation.offer.request
    if request is None:
        reason = "this engine offers no GPU"
        is_required = situation.gpu is GpuWish.REQUIRED
        return failed(reason, "verify on a host with one") if is_required else skipped(reason)
    if situation.refusal is not None:
        return failed_by(explain_gpu_refusal(situation.refusal))
    return passed(f"{request.method.value}: {', '.join(request.devices)}")


def _judge_nodes(situation: Situation) -> Finding:
    found = situation.system("nodes")
    nodes = [node.text or "" for node in found["nodes"]]
    denied = [node.text or "" for node in found["denied"]]
    if not nodes:
        return failed(_SET_UP + "the container has no NVIDIA device node", _TOOLKIT_REMEDY)
    if denied:
        return failed(
            f"the image's user may not open {', '.join(denied)}",
            "look at the mode of the nodes on the host, and at `user` in the declaration",
        )
    return passed(", ".join(nodes))


def _judge_driver(situation: Situation) -> Finding:
    found = situation.system("driver")
    path = found["path"].text
    if path is None:
        lying = [place.text or "" for place in found["lying"]]
        if lying:
            return failed(
                f"libcuda.so.1 lies at {', '.join(lying)}, where the loader does not look", _TOOLKIT_REMEDY
            )
        return failed(_SET_UP + "no libcuda.so.1 in the container", _TOOLKIT_REMEDY)
    if found["stub"].is_true:
        return failed(*_INIT_CAUSES["CUDA_ERROR_STUB_LIBRARY"])
    version = found["version"].text
    note = " (forward compatibility)" if found["forward_compat"].is_true else ""
    return passed(f"{path}{note}, driver {version or 'of unknown version'}")


def _judge_floor(situation: Situation) -> Finding:
    floor = situation.image.driver_floor
    if floor is None:
        return skipped("the lock sets no floor")
    actual = situation.system("driver")["version"].text
    if actual is None:
        return unknown(f"neither NVML nor /proc says the driver's version; it has to be {floor} or newer")
    try:
        is_enough = Version(actual) >= Version(floor)
    except InvalidVersion:
        return unknown(f"the driver calls itself {actual!r}; it has to be {floor} or newer")
    if is_enough:
        return passed(f"{actual}, at least {floor}")
    return failed(
        f"{actual} is older than {floor}", "install a newer driver, or declare `driver` and lock again"
    )


def _judge_cuda(situation: Situation) -> Finding:
    found = situation.system("cuda")
    name = found["name"].text or "no answer"
    if found["code"].number != 0:
        text, remedy = _INIT_CAUSES.get(name, ("the driver refuses to start", "run nvidia-smi on the host"))
        return failed(f"cuInit: {name}: {text}", remedy)
    devices = gpu_names(situation)
    if not devices:
        return failed(*_INIT_CAUSES["CUDA_ERROR_NO_DEVICE"])
    return passed(f"CUDA {found['version'].text}: {', '.join(devices)}")


def _judge_architecture(situation: Situation) -> Finding:
    image = situation.image
    if not image.architectures and not image.ptx:
        return skipped("the lock names no GPU architectures")
    devices = list(situation.system("cuda")["devices"])
    capabilities = sorted({device["capability"].text or "" for device in devices})
    missing = [item for item in capabilities if not is_covered(item, image.architectures, image.ptx)]
    if missing:
        return failed(
            f"the framework has no code for compute capability {', '.join(missing)}, only for "
            f"{', '.join((*image.architectures, *image.ptx))}",
            "name this GPU in `gpus` and lock again",
        )
    return passed(", ".join(capabilities))


def gpu_names(situation: Situation) -> tuple[str, ...]:
    """`NVIDIA H100 (9.0, 79 GiB)`: the devices that the CUDA driver lists."""
    names = []
    for device in situation.system("cuda")["devices"]:
        memory = device["memory"].number
        size = f", {memory / 2**30:.0f} GiB" if memory else ""
        names.append(f"{device['name'].text} ({device['capability'].text}{size})")
    return tuple(names)


def is_covered(capability: str, architectures: Sequence[str], ptx: Sequence[str]) -> bool:
    """Whether code runs on a device: a cubin of its major and no higher minor, or older PTX."""
    wanted = _numbers(capability.replace(".", ""))
    cubins = [_numbers(found["number"]) for name in architectures if (found := _COMPATIBLE.fullmatch(name))]
    sources = [_numbers(found["number"]) for name in ptx if (found := _COMPATIBLE.fullmatch(name))]
    return any(major == wanted[0] and minor <= wanted[1] for major, minor in cubins) or any(
        source <= wanted for source in sources
    )


def _numbers(digits: str) -> tuple[int, int]:
    """`120` is 12.0: the minor is one digit."""
    return (int(digits[:-1]), int(digits[-1])) if digits[:-1].isdigit() else (0, 0)
