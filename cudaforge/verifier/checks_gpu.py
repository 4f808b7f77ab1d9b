"""Checks of the GPU as the container sees it, from the engine up to the CUDA driver API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from cudaforge.codes import Code
from cudaforge.display import show
from cudaforge.verifier import causes_gpu
from cudaforge.verifier.causes import MORE_SHARED_MEMORY, short
from cudaforge.verifier.evidence import NotSeen
from cudaforge.verifier.judging import (
    Check,
    Finding,
    failed,
    failed_by,
    passed,
    skipped,
    skipped_by,
    unknown,
)
from cudaforge.verifier.model import Tier
from cudaforge.verifier.situation import GpuWish, Situation
from cudaforge.versions import InvalidVersion, Version

_COMPATIBLE = re.compile(r"(?:sm|compute)_(?P<number>\d+)[a-z]?")
_SHARED_MEMORY = 64 * 2**20
"""What engines give if nobody asks for more, and what one process gets by with."""
_SHARED_MEMORY_OF_SEVERAL = 1024 * 2**20
"""What NCCL's documentation has containers with several GPUs run with."""
# A tmpfs that is mounted with a size never offers all of it.
_NEARLY = 0.9


def gpu_checks(situation: Situation) -> tuple[Check, ...]:
    """The rows for this image."""
    if situation.is_cpu_twin:
        return ()

    def row(
        name: str, title: str, judge: Callable[[Situation], Finding], *needs: str, tier: Tier = Tier.GPU
    ) -> Check:
        return Check(id=f"gpu.{name}", title=title, tier=tier, judge=judge, needs=needs)

    rows = [
        row("environment", "Environment for GPUs", _judge_environment, "probe", tier=Tier.STATIC),
        row("request", "GPUs for the container", _judge_request),
        row("nodes", "Device nodes", _judge_nodes, "probe", "gpu.request"),
        row("driver", "Driver library", _judge_driver, "probe", "gpu.request"),
        row("floor", "Driver version", _judge_floor, "gpu.driver"),
        row("nvml", "NVML", _judge_nvml, "probe", "gpu.request"),
        row("cuda", "CUDA driver API", _judge_cuda, "gpu.driver"),
        row("architecture", "Code for this GPU", _judge_architecture, "gpu.cuda"),
        row("shared_memory", "Shared memory", _judge_shared_memory, "gpu.cuda"),
    ]
    if situation.image.flavor == "devel" and situation.image.toolkit is not None:
        rows += [
            row("compiler", "nvcc compiles a kernel", _judge_compiler, "toolkit", tier=Tier.CPU),
            row("kernel", "nvcc's kernel runs", _judge_kernel, "gpu.compiler", "gpu.cuda"),
        ]
    return tuple(rows)


def _judge_environment(situation: Situation) -> Finding:
    environment = _environment(situation)
    hiding = causes_gpu.find_hiding(environment)
    if hiding is not None:
        return failed_by(hiding)
    shown = [f"{name}={environment[name]}" for name in sorted(environment) if "VISIBLE" in name]
    return passed(", ".join(shown) or "nothing hides a GPU")


def _judge_request(situation: Situation) -> Finding:
    request = situation.offer.request
    if situation.gpu is GpuWish.OFF:
        has_gpu = request is not None
        return skipped('verify.gpu is "off"', code=Code.GPU_NOT_REQUESTED if has_gpu else None)
    if request is None:
        cause = causes_gpu.explain_no_offer(situation.offer)
        return failed_by(cause) if situation.gpu is GpuWish.REQUIRED else skipped_by(cause)
    if situation.refusal is not None:
        return failed_by(
            causes_gpu.explain_gpu_refusal(situation.refusal, is_podman=situation.offer.is_podman)
        )
    if situation.report is None:
        return skipped("the container ended without a result, so nothing says that it had them")
    return passed(f"{request.method.value}: {', '.join(request.devices)}")


def _judge_nodes(situation: Situation) -> Finding:
    nodes, denied = _nodes(situation, "nodes"), _nodes(situation, "denied")
    if not nodes:
        has_library = situation.system("driver")["path"].text is not None
        return failed_by(causes_gpu.explain_missing_nodes(situation.offer, has_library=has_library))
    return failed_by(causes_gpu.explain_denied(denied)) if denied else passed(", ".join(nodes))


def _judge_driver(situation: Situation) -> Finding:
    found = situation.system("driver")
    path = found["path"].text
    if path is None:
        return failed_by(
            causes_gpu.explain_missing_driver(
                _environment(situation),
                lying=tuple(place.text or "" for place in found["lying"]),
                error=found["error"].text,
                has_nodes=bool(_nodes(situation, "nodes")),
                is_podman=situation.offer.is_podman,
            )
        )
    if found["stub"].is_true:
        return failed_by(causes_gpu.explain_init("CUDA_ERROR_STUB_LIBRARY"))
    version = found["version"].text
    note = " (forward compatibility)" if found["forward_compat"].is_true else ""
    return passed(f"{path}{note}, driver {version or 'of unknown version'}")


def _judge_floor(situation: Situation) -> Finding:
    image = situation.image
    floor = image.driver_floor
    if floor is None:
        return skipped("the lock sets no floor")
    actual = situation.system("driver")["version"].text
    if actual is None:
        return unknown(f"neither NVML nor /proc says the driver's version; it has to be {floor} or newer")
    try:
        is_enough = Version(actual) >= Version(floor)
    except InvalidVersion:
        return unknown(f"the driver calls itself {show(actual)}; it has to be {floor} or newer")
    if is_enough:
        return passed(f"{actual}, at least {floor}")
    try:
        knows = situation.system("cuda")["version"].text
    except NotSeen:
        knows = None
    known = f" and knows CUDA {knows}" if knows else ""
    return failed(
        f"the driver is {actual}{known}: {actual} is older than {floor}, which this image with its CUDA "
        f"{image.cuda} needs",
        f'install driver {floor} or newer on the host, or declare driver = "{actual}" and lock again: '
        "cudaforge lock",
        code=Code.DRIVER_TOO_OLD,
    )


def _judge_nvml(situation: Situation) -> Finding:
    found = situation.system("nvml")
    if found["error"].text is not None:
        return skipped(
            f"the container has no NVML: {found['error'].text}",
            'NVIDIA_DRIVER_CAPABILITIES = "compute,utility" brings it',
        )
    code = found["code"].number
    if code is None:
        return unknown("NVML gave no answer")
    if code != 0:
        return failed_by(causes_gpu.explain_nvml(int(code), found["name"].text or f"error {code:.0f}"))
    devices = list(found["devices"])
    broken = [device["error"].text for device in devices if device["error"].text]
    if broken:
        return failed(
            f"NVML lists {len(devices)} GPUs, of which {len(broken)} do not answer: {broken[0]}",
            "look for Xid errors in the host's kernel log; reset the GPU or reboot",
            code=Code.DRIVER_NOT_READY,
        )
    names = [f"{device['name'].text} {device['uuid'].text or ''}".strip() for device in devices]
    cut = ", MIG is on" if _is_cut(situation) else ""
    return passed(f"driver {found['driver'].text}: {', '.join(names) or 'no GPU'}{cut}")


def _judge_cuda(situation: Situation) -> Finding:
    found = situation.system("cuda")
    name = found["name"].text or "no answer"
    devices = gpu_names(situation)
    hiding = causes_gpu.find_hiding(_environment(situation))
    if hiding is not None and (name == causes_gpu.NO_DEVICE or not devices):
        return failed_by(hiding)
    if found["code"].number != 0:
        denied, is_cut = _nodes(situation, "denied"), _is_cut(situation)
        return failed_by(causes_gpu.explain_init(name, denied=denied, is_cut=is_cut))
    if not devices:
        return failed_by(causes_gpu.explain_no_device(is_cut=_is_cut(situation)))
    wanted = _asked_for(situation)
    if wanted is not None and wanted != len(devices):
        return failed(
            f"{wanted} devices were asked for, the driver lists {len(devices)}: {', '.join(devices)}",
            "look at CUDA_VISIBLE_DEVICES, and renew the CDI specs",
            code=Code.VISIBLE_DEVICES,
        )
    return passed(f"CUDA {found['version'].text}: {', '.join(devices)}")


def _judge_architecture(situation: Situation) -> Finding:
    image = situation.image
    if not image.architectures and not image.ptx:
        return skipped("the lock names no GPU architectures")
    devices = list(situation.system("cuda")["devices"])
    capabilities = sorted({device["capability"].text or "" for device in devices})
    missing = [item for item in capabilities if not is_covered(item, image.architectures, image.ptx)]
    if missing:
        wanted = ", ".join(f'"sm_{item.replace(".", "")}"' for item in missing)
        return failed(
            f"the framework has no code for compute capability {', '.join(missing)}, only for "
            f"{', '.join((*image.architectures, *image.ptx))}",
            f"declare gpus = [{wanted}] and lock again: cudaforge lock chooses a build that has it",
            code=Code.ARCH_UNSUPPORTED,
        )
    return passed(", ".join(capabilities))


def _judge_shared_memory(situation: Situation) -> Finding:
    count = len(gpu_names(situation))
    needed = _SHARED_MEMORY_OF_SEVERAL if count > 1 else _SHARED_MEMORY
    size = situation.system("system")["shared_memory"].number
    if size is None:
        return failed(
            "there is no /dev/shm, or the image's user may not write to it",
            MORE_SHARED_MEMORY,
            code=Code.SHM_TOO_SMALL,
        )
    shown = f"{size / 2**20:.0f} MiB at /dev/shm"
    if size < _NEARLY * needed:
        return failed(
            f"{shown}; {count} GPUs need {needed / 2**20:.0f} MiB there",
            MORE_SHARED_MEMORY,
            code=Code.SHM_TOO_SMALL,
        )
    return passed(shown)


def _judge_compiler(situation: Situation) -> Finding:
    found = situation.system("compiler")
    if found.value is None:
        return unknown("it was not tried")
    if found["compiled"].is_true:
        return passed("a kernel of ten lines")
    said = found["said"].text or "it says nothing"
    if "Unsupported gpu architecture" in said:
        return failed(
            f"nvcc knows no such GPU: {short(said)}",
            "declare this GPU in `gpus`, or a `toolkit` that has code for it, and lock again",
            code=Code.ARCH_UNSUPPORTED,
        )
    return failed(
        f"nvcc does not compile: {short(said)}",
        "nvcc needs the toolkit's headers and a host compiler that it supports: look at `run` and `apt`",
        code=Code.CUDA_MISSING,
    )


def _judge_kernel(situation: Situation) -> Finding:
    found = situation.system("compiler")
    if found["ran"].is_true:
        return passed("256 numbers, each three times itself")
    return failed(
        f"the kernel gave no right result: {short(found['said'].text or 'it says nothing')}",
        "the checks of the driver above say why; else run nvidia-smi on the host",
        code=Code.DRIVER_NOT_READY,
    )


def _nodes(situation: Situation, name: str) -> tuple[str, ...]:
    return tuple(node.text or "" for node in situation.system("nodes")[name])


def _environment(situation: Situation) -> Mapping[str, str]:
    return situation.system("system")["env"].texts


def _is_cut(situation: Situation) -> bool:
    """Whether MIG is on for a GPU that NVML lists."""
    try:
        return any(device["mig"].is_true for device in situation.system("nvml")["devices"])
    except NotSeen:
        return False


def _asked_for(situation: Situation) -> int | None:
    """How many devices were asked for, where they were asked for one by one."""
    request = situation.offer.request
    if request is None or any(name.rpartition("=")[2] == "all" for name in request.devices):
        return None
    return len(request.devices)


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
