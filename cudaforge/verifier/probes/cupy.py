"""The proof of CuPy, which is for GPUs alone: kernels that NVRTC compiles, and cuBLAS.

Without a GPU there is only its import, with the libraries that it would load later.
"""

from importlib import import_module
from types import ModuleType
from typing import Any, Dict, List, Tuple

from cudaforge.verifier.probes.forward import CLASSES, COUNT, FILTERS, KERNEL, POOLED, SIDE, Network

ENVIRONMENT: Dict[str, str] = {}
DEVICES = ("gpu",)
PACKAGE = r"cupy(-cuda\d+x?)?"
ROOTS = (
    "cupy/_core/core.*.so",
    "cupy_backends/cuda/libs/cublas.*.so",
    "cupy_backends/cuda/libs/nvrtc.*.so",
)
KERNELS = ("cupy/cuda/thrust.*.so", "cupy/cuda/cub.*.so")
COMPILES = True

_Array = Any
_MAP = SIDE - KERNEL + 1


def load() -> ModuleType:
    """Import it, and have it load its compiler and cuBLAS, which it does late."""
    cupy = import_module("cupy")
    cupy.cuda.nvrtc.getVersion()
    _ = cupy.cuda.cublas
    return cupy


def describe(cupy: ModuleType) -> Dict[str, object]:
    """Its version, and its compiler's: many a wheel has the CUDA runtime linked in."""
    return {
        "version": str(cupy.__version__),
        "cuda_build": not cupy.cuda.runtime.is_hip,
        "cuda": "{}.{}".format(*cupy.cuda.nvrtc.getVersion()),
        "cudnn": None,
        "nccl": None,
        "architectures": [],
    }


def find_devices(cupy: ModuleType) -> Dict[str, object]:
    """The GPUs that CuPy lists, or its reason for listing none."""
    runtime = cupy.cuda.runtime
    try:
        properties = [runtime.getDeviceProperties(index) for index in range(runtime.getDeviceCount())]
    except Exception as error:
        return {"devices": [], "reason": str(error)[:500]}
    return {
        "devices": [
            {
                "name": one["name"].decode("utf-8", "replace"),
                "capability": "{}.{}".format(one["major"], one["minor"]),
            }
            for one in properties
        ],
        "reason": None,
    }


def compute(cupy: ModuleType, network: Network, device: str) -> Dict[str, object]:
    """What the network answers, and where its tensors were."""
    del device  # there is one kind
    pixels = _tensor(cupy, network.pixels, (COUNT, 1, SIDE, SIDE))
    kernels = _tensor(cupy, network.kernels, (1, FILTERS, KERNEL, KERNEL))
    matrix = _tensor(cupy, network.matrix, (FILTERS * POOLED * POOLED, CLASSES))
    bias = _tensor(cupy, network.bias, (CLASSES,))
    features = cupy.zeros((COUNT, FILTERS, _MAP, _MAP), cupy.float32)
    for down in range(KERNEL):
        for across in range(KERNEL):
            weights = kernels[:, :, down : down + 1, across : across + 1]
            features += weights * pixels[:, :, down : down + _MAP, across : across + _MAP]
    pooled = cupy.maximum(features, 0).reshape(COUNT, FILTERS, POOLED, 2, POOLED, 2).max(axis=(3, 5))
    scores = pooled.reshape(COUNT, -1) @ matrix + bias
    powers = cupy.exp(scores - scores.max(axis=1, keepdims=True))
    answer = powers / powers.sum(axis=1, keepdims=True)
    placed = {"cuda:{}".format(tensor.device.id) for tensor in (pixels, kernels, matrix, bias, answer)}
    return {
        "outputs": [float(number) for number in cupy.asnumpy(answer).ravel()],
        "placed": sorted(placed),
        "api": "NVRTC and cuBLAS",
    }


def _tensor(cupy: ModuleType, numbers: List[float], shape: Tuple[int, ...]) -> _Array:
    return cupy.asarray(numbers, dtype=cupy.float32).reshape(shape)
