"""Checks of the NVIDIA driver, its GPUs, and how containers get them."""

from __future__ import annotations

from cudaforge.codes import Code
from cudaforge.doctor.cdi import CdiSpec
from cudaforge.doctor.model import Judgement, good, listed, problem, skipped, warning
from cudaforge.doctor.nvidia import HostGpu, Trouble
from cudaforge.doctor.situation import Situation
from cudaforge.engine import GpuMethod
from cudaforge.engine.gpus import CDI_KIND
from cudaforge.matrix.gpu_names import sm
from cudaforge.units import bytes_text

_INSTALL_DRIVER = (
    "install it from your distribution or from NVIDIA (Ubuntu: sudo ubuntu-drivers install; Debian: sudo apt "
    "install nvidia-driver), then reboot"
)
_INSTALL_TOOLKIT = "install nvidia-container-toolkit, then: {next}"
_GENERATE = "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
_HOOK = "nvidia-container-runtime-hook"
"""Engines that find it at their start serve `--gpus`."""
_TOOLS = ("nvidia-ctk", "nvidia-container-runtime")
_NODES = ("/dev/nvidiactl", "/dev/nvidia-uvm")
ELSEWHERE = "the engine is on another machine: run cudaforge doctor there"


def driver(seen: Situation) -> Judgement:
    """NVIDIA's driver is loaded and answers."""
    found = seen.nvidia
    if not seen.engine.is_local:
        return skipped(ELSEWHERE)
    if found.trouble is None:
        return _answering(seen)
    if not seen.has_gpu:
        return _no_gpu(seen)
    loaded = f"its kernel module is {found.kernel}" if found.kernel else "its kernel module is not loaded"
    match found.trouble:
        case Trouble.MISMATCH:
            return problem(
                f"the driver was updated under the running kernel: {loaded}, the library is "
                f"another ({found.said})",
                "reboot; or stop everything that uses the GPU, then: sudo rmmod nvidia_uvm nvidia_drm "
                "nvidia_modeset nvidia && sudo modprobe nvidia",
                code=Code.DRIVER_MISMATCH,
            )
        case Trouble.SILENT:
            return problem(
                f"the driver does not answer: {found.said}",
                "look for Xid messages of a GPU that fell off its bus: sudo dmesg | grep -i xid; then reboot",
                code=Code.DRIVER_MISSING,
            )
        case Trouble.DENIED:
            return problem(
                f"this user may not use the GPUs: {found.said}",
                "let the user into the group of /dev/nvidia* (ls -l /dev/nvidia*), and log in again",
                code=Code.DEVICE_PERMISSION,
            )
        case Trouble.LIBRARY_MISSING if found.kernel is not None:
            return problem(
                f"{loaded}, and its library libnvidia-ml.so.1 is not installed",
                f"install the user-space part of driver {found.kernel} (Ubuntu: libnvidia-compute-"
                f"{found.kernel.major}; Debian: libnvidia-ml1), then sudo ldconfig",
                code=Code.DRIVER_MISSING,
            )
    return _not_loaded(seen)


def _answering(seen: Situation) -> Judgement:
    found = seen.nvidia
    cuda = f", CUDA {found.cuda} natively" if found.cuda else ""
    text = f"{found.driver}{cuda} (by {found.source})"
    if found.kernel is not None and found.driver is not None and found.kernel != found.driver:
        return problem(
            f"{text}, but the loaded kernel module is {found.kernel}", "reboot", code=Code.DRIVER_MISMATCH
        )
    missing = [node for node in _NODES if not seen.host.exists(node)]
    if found.kernel is not None and missing:
        return warning(f"{text}, but {' and '.join(missing)} are missing", "sudo nvidia-modprobe -c 0 -u")
    return good(text)


def _no_gpu(seen: Situation) -> Judgement:
    if seen.wants_gpu:
        return warning(
            "this machine has no NVIDIA GPU: images for GPUs are built and proven on the CPU alone",
            "verify them where a GPU is, with cudaforge verify",
            code=Code.NO_GPU,
        )
    return skipped("this machine has no NVIDIA GPU")


def _not_loaded(seen: Situation) -> Judgement:
    found = seen.nvidia
    if found.has_nouveau:
        return problem(
            "the kernel's own driver, nouveau, has the GPU",
            "blacklist it: echo 'blacklist nouveau' | sudo tee /etc/modprobe.d/no-nouveau.conf && sudo "
            f"update-initramfs -u; {_INSTALL_DRIVER}",
            code=Code.DRIVER_MISSING,
        )
    if found.kernel is None:
        count = f"{found.hardware} NVIDIA GPU{'s' if found.hardware > 1 else ''}"
        return problem(
            f"{count} on the PCI bus and no driver: {found.said}", _INSTALL_DRIVER, code=Code.DRIVER_MISSING
        )
    return problem(
        f"kernel module {found.kernel} is loaded, and its library says: {found.said}",
        "install the driver's library and kernel module of one version, then reboot",
        code=Code.DRIVER_MISSING,
    )


def gpus(seen: Situation) -> Judgement:
    """There are GPUs, and cudaforge knows them."""
    found = seen.nvidia
    if not seen.engine.is_local:
        return skipped(ELSEWHERE)
    if found.trouble is not None or found.driver is None:
        return skipped("no driver answers")
    if not found.gpus:
        return problem(
            "the driver answers and has no GPU",
            "look for it on the bus (lspci -d 10de:) and in sudo dmesg | grep -i nvrm",
            code=Code.NO_GPU,
        )
    text = ", ".join(map(_gpu_text, found.gpus))
    if found.hardware > len(found.gpus):
        return warning(
            f"{text}; {found.hardware} are on the PCI bus: the driver does not have the others",
            "look for the reason in sudo dmesg | grep -i nvrm; a newer driver may know them",
        )
    return good(text)


def _gpu_text(gpu: HostGpu) -> str:
    parts = [sm(gpu.capability)] if gpu.capability else []
    parts += [bytes_text(gpu.memory)] if gpu.memory else []
    parts += ["MIG"] if gpu.is_divided else []
    return gpu.name + (f" ({', '.join(parts)})" if parts else "")


def toolkit(seen: Situation) -> Judgement:
    """The engine can give GPUs to containers."""
    offer = seen.engine.offer
    if offer is None:
        return skipped("no engine answers")
    if seen.engine.is_local and not seen.has_gpu:
        return skipped("this machine has no NVIDIA GPU")
    words = seen.engine.words
    # Podman gives GPUs by CDI alone.
    either = dict.fromkeys((_GENERATE, words.gpus))
    programs = [name for name in (_HOOK, *_TOOLS) if seen.host.find_program(name) is not None]
    if offer.request is not None and offer.request.method is GpuMethod.CDI:
        return good(f"GPUs by CDI: {listed(offer.cdi_devices)}")
    if offer.has_runtime:
        return good("GPUs by the runtime nvidia")
    if _HOOK in programs and offer.request is not None:
        return good(f"GPUs by --gpus, with {_HOOK}")
    if not seen.engine.is_local:
        return problem(
            "the engine offers no GPU", _INSTALL_TOOLKIT.format(next=words.gpus), code=Code.TOOLKIT_MISSING
        )
    if not programs:
        return problem(
            "the NVIDIA container toolkit is not installed: containers get no GPU",
            _INSTALL_TOOLKIT.format(next="; ".join(either)),
            code=Code.TOOLKIT_MISSING,
        )
    return problem(
        f"{programs[0]} is installed, and the engine knows neither the runtime nvidia nor a CDI device",
        "; or ".join(reversed(either)),
        code=Code.CDI_MISSING,
    )


def cdi(seen: Situation) -> Judgement:
    """CDI specs can be read, name what exists, and are those of this driver."""
    if not seen.engine.is_local:
        return skipped(ELSEWHERE)
    places = " and ".join(seen.spec_directories)
    if not seen.specs:
        offer = seen.engine.offer
        if offer is not None and offer.has_runtime:
            return good(f"none in {places}; the runtime nvidia needs none")
        return skipped(f"there is none in {places}")
    for spec in seen.specs:
        found = _judge_spec(seen, spec)
        if found is not None:
            return found
    names = [f"{CDI_KIND}={device}" for spec in seen.specs for device in spec.devices]
    return good(f"{listed(names)} in {listed([spec.file for spec in seen.specs])}")


def _judge_spec(seen: Situation, spec: CdiSpec) -> Judgement | None:
    renew = f"sudo nvidia-ctk cdi generate --output={spec.file}"
    if spec.error is not None:
        return problem(
            f"{spec.file}: {spec.error}", f"write it anew: {renew}; or remove it", code=Code.CDI_BROKEN
        )
    actual = seen.nvidia.kernel or seen.nvidia.driver
    stale = [version for version in spec.drivers if actual is not None and version != actual]
    if stale:
        return problem(
            f"{spec.file} is of driver {stale[-1]}, and driver {actual} runs: containers get libraries that "
            "are gone, or do not fit",
            renew,
            code=Code.CDI_STALE,
        )
    if spec.missing:
        return problem(
            f"{spec.file} names what is not there: {listed(spec.missing)}", renew, code=Code.CDI_STALE
        )
    numbers = {name for name in spec.devices if name.isdecimal()}
    known = len(seen.nvidia.gpus)
    if known and numbers and len(numbers) != known:
        return problem(
            f"{spec.file} names {len(numbers)} GPUs, and the driver has {known}", renew, code=Code.CDI_STALE
        )
    return None
