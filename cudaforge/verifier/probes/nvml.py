"""The GPUs as NVIDIA's management library lists them, where the container has it."""

import ctypes
from typing import Dict, Optional

NVML = "libnvidia-ml.so.1"
_LISTED = 32
_TEXT = 96


def ask_nvml() -> Dict[str, object]:
    """Whether NVML starts, the driver's version, and each GPU: name, UUID, memory in bytes, MIG mode."""
    try:
        library = ctypes.CDLL(NVML)
    except OSError as error:
        return {"error": str(error)[:300]}
    code = int(library.nvmlInit_v2())
    facts: Dict[str, object] = {"error": None, "code": code, "name": _error(library, code), "devices": []}
    if code == 0:
        count = ctypes.c_uint(0)
        library.nvmlDeviceGetCount_v2(ctypes.byref(count))
        facts["driver"] = _text(library, "nvmlSystemGetDriverVersion")
        facts["devices"] = [_device(library, index) for index in range(min(count.value, _LISTED))]
        library.nvmlShutdown()
    return facts


def driver_version() -> Optional[str]:
    """The driver's version, where NVML is there and starts."""
    try:
        library = ctypes.CDLL(NVML)
        return _text(library, "nvmlSystemGetDriverVersion") if library.nvmlInit_v2() == 0 else None
    except (OSError, AttributeError):
        return None


class _Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


def _device(library: ctypes.CDLL, index: int) -> Dict[str, object]:
    device, memory = ctypes.c_void_p(), _Memory()
    code = int(library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(device)))
    if code:
        return {"error": _error(library, code)}
    has_memory = int(library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory))) == 0
    return {
        "error": None,
        "name": _text(library, "nvmlDeviceGetName", device),
        "uuid": _text(library, "nvmlDeviceGetUUID", device),
        "memory": memory.total if has_memory else None,
        "memory_used": memory.used if has_memory else None,
        "mig": _is_mig(library, device),
    }


def _is_mig(library: ctypes.CDLL, device: ctypes.c_void_p) -> Optional[bool]:
    """Whether the GPU is cut into instances; None where it cannot be, or the driver does not know of it."""
    now, later = ctypes.c_uint(0), ctypes.c_uint(0)
    ask = getattr(library, "nvmlDeviceGetMigMode", None)
    if ask is None or int(ask(device, ctypes.byref(now), ctypes.byref(later))):
        return None
    return now.value == 1


def _text(library: ctypes.CDLL, name: str, *given: ctypes.c_void_p) -> Optional[str]:
    answer = ctypes.create_string_buffer(_TEXT)
    ask = getattr(library, name, None)
    if ask is None or int(ask(*given, answer, ctypes.c_uint(_TEXT - 1))):
        return None
    return answer.value.decode("utf-8", "replace")


def _error(library: ctypes.CDLL, code: int) -> str:
    """NVML's own words for one of its codes."""
    ask = getattr(library, "nvmlErrorString", None)
    if ask is None:
        return "error {}".format(code)
    ask.restype = ctypes.c_char_p
    return (ask(code) or b"").decode("utf-8", "replace") or "error {}".format(code)
