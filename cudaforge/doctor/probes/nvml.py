"""Asks NVIDIA's management library and prints its answers as one line of JSON.

Runs in a process of its own: a broken driver makes the library wait without end, or crash.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pynvml


def answer() -> dict[str, object]:
    """`error` and `text` of what failed, or driver, cuda and the GPUs."""
    try:
        pynvml.nvmlInit()
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError as error:
        return {"error": error.value, "text": str(error)}
    cuda = _ask(pynvml.nvmlSystemGetCudaDriverVersion_v2)
    return {
        "error": 0,
        "driver": driver,
        "cuda": None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        "gpus": [_gpu(index) for index in range(_ask(pynvml.nvmlDeviceGetCount) or 0)],
    }


def _gpu(index: int) -> dict[str, object]:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    except pynvml.NVMLError as error:
        return {"error": str(error)}
    capability = _ask(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    mig = _ask(pynvml.nvmlDeviceGetMigMode, handle)
    return {
        "name": _text(_ask(pynvml.nvmlDeviceGetName, handle) or ""),
        "capability": None if capability is None else ".".join(map(str, capability)),
        "memory": None if memory is None else memory.total,
        "mig": bool(mig and mig[0]),
    }


def _ask(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 -- whatever NVML gives
    """The answer, or None: older drivers lack some functions, and some GPUs some answers."""
    try:
        return function(*arguments)
    except pynvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer()) + "\n")
