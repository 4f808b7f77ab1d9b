"""The GPU as the driver shows it: device nodes, driver library, CUDA driver API."""

import ctypes
import glob
import os
import re
from typing import Dict, List, Optional

from cudaforge.verifier.probes import nvml

_PLACES = (
    "/usr/lib/*-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/nvidia/lib64",
    "/usr/lib/wsl/lib",
    "/usr/local/cuda/compat",
    "/usr/local/cuda/lib64/stubs",
)
_NAMES = {
    0: "CUDA_SUCCESS",
    1: "CUDA_ERROR_INVALID_VALUE",
    2: "CUDA_ERROR_OUT_OF_MEMORY",
    3: "CUDA_ERROR_NOT_INITIALIZED",
    34: "CUDA_ERROR_STUB_LIBRARY",
    35: "CUDA_ERROR_INSUFFICIENT_DRIVER",
    46: "CUDA_ERROR_DEVICE_UNAVAILABLE",
    100: "CUDA_ERROR_NO_DEVICE",
    101: "CUDA_ERROR_INVALID_DEVICE",
    302: "CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND",
    303: "CUDA_ERROR_SHARED_OBJECT_INIT_FAILED",
    304: "CUDA_ERROR_OPERATING_SYSTEM",
    801: "CUDA_ERROR_NOT_SUPPORTED",
    802: "CUDA_ERROR_SYSTEM_NOT_READY",
    803: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    804: "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
    999: "CUDA_ERROR_UNKNOWN",
}
_CAPABILITY_MAJOR = 75
_CAPABILITY_MINOR = 76
_DEVICES_LISTED = 32


def find_nodes() -> Dict[str, object]:
    """NVIDIA's device nodes (or WSL's), and those that this user may not open."""
    patterns = ("/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/dxg")
    nodes = sorted(node for pattern in patterns for node in glob.glob(pattern))
    nodes = [node for node in nodes if not os.path.isdir(node)]
    return {"nodes": nodes, "denied": [node for node in nodes if not os.access(node, os.R_OK | os.W_OK)]}


def find_driver() -> Dict[str, object]:
    """Which libcuda.so.1 loads, if any, where else one lies, and the driver's version."""
    path, error = load_path("libcuda.so.1")
    lying = sorted(
        {os.path.realpath(found) for place in _PLACES for found in glob.glob(place + "/libcuda.so.1")}
    )
    version, source = _driver_version()
    return {
        "path": path,
        "error": error,
        "lying": lying,
        "stub": path is not None and "/stubs/" in path,
        "forward_compat": path is not None and "/compat/" in path,
        "version": version,
        "version_source": source,
    }


def ask_cuda() -> Dict[str, object]:
    """What the CUDA driver API says: cuInit, version, devices."""
    library = ctypes.CDLL("libcuda.so.1")
    code = int(library.cuInit(0))
    version = ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(version))
    facts: Dict[str, object] = {
        "code": code,
        "name": _error_name(library, code),
        "version": "{}.{}".format(version.value // 1000, version.value % 1000 // 10),
        "devices": [],
    }
    if code == 0:
        count = ctypes.c_int(0)
        facts["count_code"] = int(library.cuDeviceGetCount(ctypes.byref(count)))
        facts["count"] = count.value
        facts["devices"] = [_device(library, index) for index in range(min(count.value, _DEVICES_LISTED))]
    return facts


def mapped_libraries(pattern: str) -> List[str]:
    """Files mapped into this process whose name matches."""
    found = set()
    with open("/proc/self/maps", "rb") as maps:
        for line in maps:
            path = line.decode("utf-8", "replace").rstrip("\n").partition("/")[2]
            if path and re.match(pattern, os.path.basename(path)):
                found.add("/" + path)
    return sorted(found)


def load_path(name: str) -> "tuple[Optional[str], Optional[str]]":
    """Load a library by name: the file that it came from, or the loader's error."""
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return None, str(error)[:300]
    stem = re.escape(name.partition(".so")[0])
    paths = mapped_libraries(stem + r"\.so")
    return (os.path.realpath(paths[0]) if paths else name), None


def _device(library: ctypes.CDLL, index: int) -> Dict[str, object]:
    handle, major, minor = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(0)
    memory = ctypes.c_size_t(0)
    name = ctypes.create_string_buffer(256)
    library.cuDeviceGet(ctypes.byref(handle), index)
    library.cuDeviceGetName(name, 255, handle)
    library.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, handle)
    library.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, handle)
    total = getattr(library, "cuDeviceTotalMem_v2", None)
    if total is not None:
        total(ctypes.byref(memory), handle)
    return {
        "name": name.value.decode("utf-8", "replace"),
        "capability": "{}.{}".format(major.value, minor.value),
        "memory": memory.value or None,
    }


def _error_name(library: ctypes.CDLL, code: int) -> str:
    ask = getattr(library, "cuGetErrorName", None)
    text = ctypes.c_char_p()
    if ask is not None and int(ask(code, ctypes.byref(text))) == 0 and text.value:
        return text.value.decode("ascii", "replace")
    return _NAMES.get(code, "error {}".format(code))


def _driver_version() -> "tuple[Optional[str], Optional[str]]":
    version = nvml.driver_version()
    if version is not None:
        return version, "NVML"
    try:
        with open("/proc/driver/nvidia/version") as file:
            found = re.search(r"\b(\d{3,}(?:\.\d+)+)\b", file.read(4096))
    except OSError:
        return None, None
    return (found.group(1), "/proc/driver/nvidia/version") if found else (None, None)
