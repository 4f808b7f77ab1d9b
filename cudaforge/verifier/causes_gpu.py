"""Why a container has no working GPU: from what the host offers, the engine says and the driver answers.

The same symptom (no device) has many causes. Each function here is given the facts that tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from cudaforge.codes import Code
from cudaforge.diagnosis import causes_of
from cudaforge.display import show
from cudaforge.engine import GpuMethod, GpuOffer, words_of
from cudaforge.verifier.causes import Cause, short

HOST_FAULT = "the container GPU set-up of this host is broken, not the image: "
NO_DEVICE = "CUDA_ERROR_NO_DEVICE"
_READ_ONLY_HOOK = re.compile(r"ld\.so\.cache|update-ldcache|ldconfig|read-only file system", re.IGNORECASE)
_CAPABILITIES = re.compile(r"unsupported driver capabilit|unknown capabilit", re.IGNORECASE)
_UNSATISFIED = re.compile(r"unsatisfied condition:\s*(?P<condition>[^\n,]+)")
_NO_DEVICE_CALLED = re.compile(r"device error:\s*(?P<name>[\w:.-]+): unknown device", re.IGNORECASE)
_NEW_SPECS = "renew the specs: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml; then restart the engine"
_INSTALL_DRIVER = "install NVIDIA's driver on the host; `nvidia-smi` there has to list the GPU"
_REBOOT = "reboot the host after the driver's update (or reload its kernel modules), and renew the CDI specs"
_HIDING = frozenset({"", "-1", "none", "void", "NoDevFiles"})
_COMPUTE = frozenset({"compute", "all"})

# What to do about a host that does not give its GPUs, and in which words; which message has which cause is
# known in `matrices/errors/` alone.
_ON_THE_HOST: Mapping[Code, tuple[str, str]] = {
    Code.CDI_MISSING: ("the engine's CDI specs do not name the GPU", _NEW_SPECS),
    Code.DRIVER_MISSING: ("the driver is missing on this host, or not loaded", _INSTALL_DRIVER),
    Code.DEVICE_PERMISSION: (
        "the engine may not use this host's GPU devices",
        "run the engine as root, or give its user access to /dev/nvidia*",
    ),
}
_NO_TOOLKIT = "the container toolkit is not there, or not set up for this engine"
_REQUESTED = frozenset({Code.GPU_NOT_REQUESTED, Code.DRIVER_LIB_AT_BUILD})
"""What it cannot be: the verifier asked for the GPU, and no image is being built."""


_INIT: Mapping[str, tuple[str, str, Code]] = {
    "CUDA_ERROR_STUB_LIBRARY": (
        "the stub of libcuda that the toolkit brings for linking was loaded",
        "take the stubs directory out of LD_LIBRARY_PATH",
        Code.CUDA_SHADOWED,
    ),
    "CUDA_ERROR_INSUFFICIENT_DRIVER": (
        "the driver is older than the CUDA of the library that was loaded",
        "install a newer driver on the host, or declare `driver` with the version that it has and lock again",
        Code.DRIVER_TOO_OLD,
    ),
    "CUDA_ERROR_INVALID_DEVICE": (
        "the device that was asked for does not exist",
        "look at CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES, and at `nvidia-smi -L` on the host",
        Code.VISIBLE_DEVICES,
    ),
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": (
        "the driver library and the kernel module are of different releases",
        _REBOOT,
        Code.DRIVER_MISMATCH,
    ),
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": (
        "the image's forward-compatibility libcuda works on data-centre GPUs alone",
        "declare forward_compat = false and lock again",
        Code.COMPAT_LIB_ON_PATH,
    ),
    "CUDA_ERROR_SYSTEM_NOT_READY": (
        "the system is not ready: on NVSwitch machines the fabric manager has to run",
        "start it on the host: systemctl start nvidia-fabricmanager",
        Code.DRIVER_NOT_READY,
    ),
    "CUDA_ERROR_DEVICE_UNAVAILABLE": (
        "the GPU is taken by another process that has it to itself, or is failing",
        "look at nvidia-smi on the host: compute mode, processes, errors",
        Code.DRIVER_NOT_READY,
    ),
    "CUDA_ERROR_OUT_OF_MEMORY": (
        "no memory was left on the GPU",
        "look at nvidia-smi on the host: which processes hold it?",
        Code.OUT_OF_MEMORY,
    ),
    "CUDA_ERROR_OPERATING_SYSTEM": (
        "the operating system denied the driver what it asked for: the container's device rules, most often",
        "update nvidia-container-toolkit, renew the CDI specs, restart the engine",
        Code.DEVICE_PERMISSION,
    ),
    "CUDA_ERROR_UNKNOWN": (
        "the driver did not come up in the container",
        "check that nvidia-uvm is loaded on the host (nvidia-modprobe -u -c=0) and run nvidia-smi there",
        Code.DRIVER_NOT_READY,
    ),
}
# NVML's return codes, as nvml.h numbers them.
_NVML: Mapping[int, tuple[str, str, Code]] = {
    4: (
        "this user may not talk to the driver",
        "look at the mode of /dev/nvidia* on the host, and at `user` in the declaration",
        Code.DEVICE_PERMISSION,
    ),
    9: ("the driver's kernel module is not loaded", _INSTALL_DRIVER, Code.DRIVER_MISSING),
    12: ("a library of the driver is missing", _INSTALL_DRIVER, Code.DRIVER_MISSING),
    15: (
        "a GPU has fallen off the bus",
        "look for Xid errors in the host's kernel log; reset the GPU or reboot",
        Code.DRIVER_NOT_READY,
    ),
    18: (
        "the driver's library and its kernel module are of different releases",
        _REBOOT,
        Code.DRIVER_MISMATCH,
    ),
}


def is_read_only_refusal(start_error: str) -> bool:
    """Whether a hook failed because it could not write the container's loader cache."""
    return "hook" in start_error and _READ_ONLY_HOOK.search(start_error) is not None


def explain_no_offer(offer: GpuOffer) -> Cause:
    """Why an engine offers no GPU at all."""
    if offer.host_devices:
        return Cause(
            text="this host has GPUs, and Podman has no CDI spec that names them",
            remedy="nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
            code=Code.CDI_MISSING,
        )
    if offer.has_hardware:
        return Cause(
            text="this host has a GPU of NVIDIA's and no driver for it",
            remedy=_INSTALL_DRIVER,
            code=Code.DRIVER_MISSING,
        )
    where = "this host has none" if offer.is_local else "whether its host has one cannot be seen from here"
    return Cause(
        text=f"this engine offers no GPU; {where}", remedy="verify on a host with one", code=Code.NO_GPU
    )


def _configure(*, is_podman: bool) -> str:
    return f"install nvidia-container-toolkit, then: {words_of(is_podman=is_podman).gpus}"


def explain_gpu_refusal(start_error: str, *, is_podman: bool) -> Cause:
    """Why the engine does not hand its GPUs to a container."""
    said = short(start_error)
    if unsatisfied := _UNSATISFIED.search(start_error):
        condition = unsatisfied["condition"].strip()
        return Cause(
            text=f"the driver of this host is too old for the image's gate: {condition}",
            remedy='install a newer driver, or declare require_cuda = "relax" and lock again',
            code=Code.DRIVER_TOO_OLD,
        )
    if unknown := _NO_DEVICE_CALLED.search(start_error):
        return Cause(
            text=f"this host has no GPU called {unknown['name']}",
            remedy="nvidia-smi -L lists what there is; look at --device and NVIDIA_VISIBLE_DEVICES",
            code=Code.VISIBLE_DEVICES,
        )
    if "version mismatch" in start_error:
        text = "the driver's libraries and its kernel module are of different releases on this host"
        return Cause(text=f"{HOST_FAULT}{text} ({said})", remedy=_REBOOT, code=Code.DRIVER_MISMATCH)
    if _CAPABILITIES.search(start_error):
        return Cause(
            text="NVIDIA_DRIVER_CAPABILITIES of the image names something that the toolkit does not know "
            f"({said})",
            remedy='declare env = { NVIDIA_DRIVER_CAPABILITIES = "compute,utility" }',
            code=Code.VISIBLE_DEVICES,
        )
    for told in causes_of(start_error, ruled_out=_REQUESTED):
        text, remedy = _ON_THE_HOST.get(told.code, (told.text, told.remedy))
        if told.code is Code.TOOLKIT_MISSING:
            text, remedy = _NO_TOOLKIT, _configure(is_podman=is_podman)
        return Cause(text=f"{HOST_FAULT}{text} ({said})", remedy=remedy, code=told.code)
    return Cause(text=HOST_FAULT + said, remedy=_configure(is_podman=is_podman), code=Code.TOOLKIT_MISSING)


def explain_missing_nodes(offer: GpuOffer, *, has_library: bool) -> Cause:
    """Why a container that was to have a GPU has no device node of one."""
    text = HOST_FAULT + "the container has no NVIDIA device node"
    method = offer.request.method if offer.request else None
    if method is GpuMethod.CDI and offer.is_podman and not has_library:
        return Cause(
            text=text + "; Podman leaves out CDI devices that Docker's API asks for",
            remedy="install Podman's program on this machine, which asks for them in another way",
            code=Code.CDI_MISSING,
        )
    if method is GpuMethod.CDI:
        return Cause(
            text=text + ", though its CDI device was found", remedy=_NEW_SPECS, code=Code.CDI_MISSING
        )
    if has_library:
        return Cause(
            text=text + ", though it has the driver's library",
            remedy="update nvidia-container-toolkit, renew its configuration, restart the engine",
            code=Code.NO_GPU,
        )
    return Cause(text=text, remedy=_configure(is_podman=offer.is_podman), code=Code.TOOLKIT_MISSING)


def explain_missing_driver(
    environment: Mapping[str, str],
    *,
    lying: tuple[str, ...],
    error: str | None,
    has_nodes: bool,
    is_podman: bool,
) -> Cause:
    """Why libcuda.so.1 cannot be loaded in a container that was to have a GPU."""
    capabilities = environment.get("NVIDIA_DRIVER_CAPABILITIES")
    if capabilities and not _COMPUTE.intersection(capabilities.replace(" ", "").split(",")):
        return explain_capabilities(capabilities)
    if lying:
        return Cause(
            text=f"libcuda.so.1 lies at {', '.join(lying)}, where the loader does not look"
            + (f" ({short(error)})" if error else ""),
            remedy="update nvidia-container-toolkit and renew its configuration, then restart the engine",
            code=Code.TOOLKIT_MISSING,
        )
    if has_nodes:
        return Cause(
            text=HOST_FAULT + "the container has the GPU's device nodes and no libcuda.so.1",
            remedy="install the driver's compute libraries on the host, and renew the CDI specs: "
            "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
            code=Code.DRIVER_MISSING,
        )
    return Cause(
        text=HOST_FAULT + "no libcuda.so.1 in the container",
        remedy=_configure(is_podman=is_podman),
        code=Code.TOOLKIT_MISSING,
    )


def explain_capabilities(capabilities: str) -> Cause:
    """The toolkit gives a container no more of the driver than it asks for."""
    return Cause(
        text=f"NVIDIA_DRIVER_CAPABILITIES is {show(capabilities)}: without compute the container gets no "
        "libcuda",
        remedy='declare env = { NVIDIA_DRIVER_CAPABILITIES = "compute,utility" } and lock again',
        code=Code.VISIBLE_DEVICES,
    )


def find_hiding(environment: Mapping[str, str]) -> Cause | None:
    """A variable of the image that keeps its programs off every GPU, or None."""
    for name in ("CUDA_VISIBLE_DEVICES",):
        if name in environment and environment[name].strip() in _HIDING:
            return _hidden(name, environment[name])
    for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME"):
        if environment.get(name, "").strip().lower() == "cpu":
            return _hidden(name, environment[name])
    capabilities = environment.get("NVIDIA_DRIVER_CAPABILITIES")
    if capabilities and not _COMPUTE.intersection(capabilities.replace(" ", "").split(",")):
        return explain_capabilities(capabilities)
    return None


def _hidden(name: str, value: str) -> Cause:
    return Cause(
        text=f"{name} is {show(value)} in the image: it hides every GPU",
        remedy=f"take {name} out of `env`, of `run` steps and of the base image",
        code=Code.VISIBLE_DEVICES,
    )


def explain_init(name: str, *, denied: tuple[str, ...] = (), is_cut: bool = False) -> Cause:
    """Why cuInit failed, by its error's name.

    `denied` are the nodes that the user may not open, `is_cut` says that MIG is on.
    """
    if denied and name in {NO_DEVICE, "CUDA_ERROR_UNKNOWN", "CUDA_ERROR_OPERATING_SYSTEM"}:
        return explain_denied(denied)
    if name == NO_DEVICE:
        return explain_no_device(is_cut=is_cut)
    text, remedy, code = _INIT.get(
        name, ("the driver refuses to start", "run nvidia-smi on the host", Code.DRIVER_NOT_READY)
    )
    return Cause(text=f"cuInit: {name}: {text}", remedy=remedy, code=code)


def explain_no_device(*, is_cut: bool) -> Cause:
    """Why a driver that works lists no device."""
    if is_cut:
        return Cause(
            text="MIG is on, and the container was given no instance of the GPU",
            remedy="make one on the host (nvidia-smi mig -cgi ... -C), and ask for it: --device MIG-UUID",
            code=Code.VISIBLE_DEVICES,
        )
    return Cause(
        text=f"cuInit: {NO_DEVICE}: the driver sees no device",
        remedy="run nvidia-smi on the host: does it list the GPU? Look at NVIDIA_VISIBLE_DEVICES, too",
        code=Code.NO_GPU,
    )


def explain_denied(nodes: tuple[str, ...]) -> Cause:
    """The image's user may not open device nodes."""
    return Cause(
        text=f"the image's user may not open {', '.join(nodes)}",
        remedy="give the nodes mode 0666 on the host (NVreg_DeviceFileMode), or a group that `user` is in",
        code=Code.DEVICE_PERMISSION,
    )


def explain_nvml(code: int, said: str) -> Cause:
    """Why NVML does not start, by its return code."""
    text, remedy, trouble = _NVML.get(
        code, ("it does not start", "run nvidia-smi on the host", Code.DRIVER_NOT_READY)
    )
    return Cause(text=f"NVML: {said}: {text}", remedy=remedy, code=trouble)
