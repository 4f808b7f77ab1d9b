"""The proof of JAX: jax.numpy and jax.lax alone, with Adam written out."""

import os
from importlib import import_module
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Tuple

from cudaforge.verifier.probes import forward
from cudaforge.verifier.probes.libraries import decode_cudnn
from cudaforge.verifier.probes.samples import CLASSES, SIDE, Samples
from cudaforge.verifier.probes.software import list_distributions

# Without it JAX takes three quarters of the GPU's memory at once.
ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
PACKAGE = r"jax"
ROOTS = (
    "jaxlib/_jax.so",
    "jaxlib/xla_extension.so",
    "jaxlib/cuda/_*.so",
    "jax_plugins/xla_cuda*/xla_cuda_plugin.so",
    "jax_cuda*_plugin/_*.so",
)
KERNELS = ("jax_plugins/xla_cuda*/xla_cuda_plugin.so", "jaxlib/cuda/_*.so")
COMPILES = True

_LIBRARIES = {
    "CUDA": "cuda_runtime",
    "cuDNN": "cudnn",
    "cuBLAS": "cublas",
    "cuFFT": "cufft",
    "cuSPARSE": "cusparse",
}

_Array = Any
_Weights = Any
_Type = Any
_Place = Any
_Parameters = List[Any]


def load() -> ModuleType:
    """Import it."""
    return import_module("jax")


def describe(jax: ModuleType) -> Dict[str, object]:
    """Versions of JAX, its library and its CUDA plugin."""
    installed = list_distributions()
    library = str(import_module("jaxlib").__version__)
    plugins = {name: version for name, version in installed.items() if name.startswith("jax-cuda")}
    return {
        "version": str(jax.__version__),
        "jaxlib": library,
        "plugins": plugins,
        "cuda_build": bool(plugins) or "+cuda" in installed.get("jaxlib", library),
        "cuda": None,
        "cudnn": None,
        "cudnn_compiled": _cudnn_compiled(),
        "unloadable": _find_unloadable() if plugins else {},
        "nccl": None,
        "architectures": [],
    }


def find_devices(jax: ModuleType) -> Dict[str, object]:
    """The GPUs that JAX lists, or its reason for listing none."""
    try:
        gpus = jax.devices("gpu")
    except RuntimeError as error:
        return {"devices": [], "reason": str(error)[:500]}
    return {
        "devices": [
            {"name": str(gpu.device_kind), "capability": getattr(gpu, "compute_capability", None)}
            for gpu in gpus
        ],
        "reason": None,
    }


def differentiate(jax: ModuleType, network: forward.Network, device: str) -> Dict[str, object]:
    """What the network answers, and the gradient of its loss, in 32 bits."""
    numpy = jax.numpy

    def measure(weights: _Weights, pixels: _Array) -> Tuple[_Array, _Array]:
        logarithms = jax.nn.log_softmax(_scores(jax, weights, pixels))
        chosen = logarithms[numpy.arange(forward.COUNT), numpy.asarray(forward.LABELS)]
        return -numpy.mean(chosen), numpy.exp(logarithms)

    place = jax.devices(device)[0]
    with jax.default_device(place):
        pixels, weights = _tensors(jax, network, place)
        (loss, answer), gradients = jax.jit(jax.value_and_grad(measure, has_aux=True))(weights, pixels)
    return {
        "outputs": _numbers(answer),
        "loss": float(loss),
        "gradients": dict(zip(("kernels", "matrix", "bias"), map(_numbers, gradients))),
        "placed": _places([answer, *gradients]),
        "api": "jax.grad",
    }


def train(jax: ModuleType, samples: Samples, device: str, steps: int, seed: int) -> Dict[str, object]:
    """Train for `steps` steps; the loss before each step and after the last."""
    return _train(jax, samples, device, steps, seed, None)


def mix(jax: ModuleType, samples: Samples, device: str, steps: int, seed: int) -> Dict[str, object]:
    """Train with convolutions and products in bfloat16, which XLA computes on every GPU."""
    return dict(_train(jax, samples, device, steps, seed, jax.numpy.bfloat16), numbers="bfloat16")


def reduce(jax: ModuleType) -> Dict[str, object]:
    """Sum what every GPU holds, the first 1, the second 2; XLA has NCCL do it."""
    gpus = jax.local_devices(backend="gpu")
    held = jax.numpy.ones((len(gpus), 1024)) * (1.0 + jax.numpy.arange(len(gpus)))[:, None]
    add = jax.pmap(lambda numbers: jax.lax.psum(numbers, "gpus"), axis_name="gpus", devices=gpus)
    result = add(held)
    return {"sums": [float(row.mean()) for row in result], "placed": _places([result]), "api": "jax.lax.psum"}


def measure_memory(jax: ModuleType) -> Dict[str, object]:
    """How much GPU memory was taken at most, in bytes, and what held it back."""
    told = jax.devices("gpu")[0].memory_stats() or {}
    taken = told.get("pool_bytes", told.get("peak_bytes_in_use"))
    return {
        "taken": None if taken is None else max(int(taken), int(told.get("peak_bytes_in_use", 0))),
        "total": None,
        "is_held": os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE") == "false",
        "rule": "no preallocation",
    }


def _train(
    jax: ModuleType, samples: Samples, device: str, steps: int, seed: int, precision: _Type
) -> Dict[str, object]:
    numpy = jax.numpy
    place = jax.devices(device)[0]
    with jax.default_device(place):
        images = numpy.asarray(samples.pixels, numpy.float32).reshape(samples.size, SIDE, SIDE, 1)
        labels = numpy.asarray(samples.labels)
        parameters = _initial(jax, seed)
        step = jax.jit(_step_function(jax, precision))
        zeros = jax.tree_util.tree_map(numpy.zeros_like, parameters)
        state = (parameters, zeros, zeros)
        losses: List[float] = []
        # One step more tells the loss after the last, and needs nothing compiled besides.
        for number in range(1, steps + 2):
            loss, state = step(state, images, labels, float(number))
            losses.append(float(loss))
    return {"losses": losses, "placed": _places([*state[0], loss]), "api": "jax.numpy"}


def _find_unloadable() -> Dict[str, str]:
    """CUDA's libraries that JAX would fall back to the CPU for, with no more than a line on stderr."""
    try:
        versions: Any = import_module("jax._src.lib").cuda_versions
    except (ImportError, AttributeError):
        return {}
    errors = {
        name: _ask(getattr(versions, library + "_get_version", None)) for name, library in _LIBRARIES.items()
    }
    return {name: error for name, error in errors.items() if error}


def _ask(version: Optional[Callable[[], int]]) -> Optional[str]:
    """Why a library did not say its version."""
    try:
        if version is not None:
            version()
    except Exception as error:
        return str(error)[:300]
    return None


def _cudnn_compiled() -> Optional[str]:
    """The cuDNN that the CUDA plugin was made with."""
    try:
        return decode_cudnn(int(import_module("jax._src.lib").cuda_versions.cudnn_build_version()))
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError):
        return None


def _tensors(jax: ModuleType, network: forward.Network, place: _Place) -> Tuple[_Array, _Weights]:
    shapes = (
        (forward.COUNT, 1, forward.SIDE, forward.SIDE),
        (forward.FILTERS, 1, forward.KERNEL, forward.KERNEL),
        (forward.FILTERS * forward.POOLED**2, forward.CLASSES),
        (forward.CLASSES,),
    )
    # NumPy's: of JAX's own operations each would be compiled by itself.
    numpy = import_module("numpy")
    pixels, *weights = [
        jax.device_put(numpy.asarray(numbers, "float32").reshape(shape), place)
        for numbers, shape in zip(network, shapes)
    ]
    return pixels, weights


def _scores(jax: ModuleType, weights: _Weights, pixels: _Array) -> _Array:
    numpy, lax = jax.numpy, jax.lax
    kernels, matrix, bias = weights
    exactly = lax.Precision.HIGHEST  # no TF32, which multiplies with 10 bits of fraction
    features = lax.conv_general_dilated(
        pixels, kernels, (1, 1), "VALID", dimension_numbers=("NCHW", "OIHW", "NCHW"), precision=exactly
    )
    positive = numpy.maximum(features, 0.0)
    # The training pools with windows. This compiles in half the time, gradient included.
    sides = (forward.COUNT, forward.FILTERS, forward.POOLED, 2, forward.POOLED, 2)
    pooled = positive.reshape(sides).max(axis=(3, 5))
    return numpy.dot(pooled.reshape(forward.COUNT, -1), matrix, precision=exactly) + bias


def _numbers(tensor: _Array) -> List[float]:
    # NumPy's: JAX would compile `ravel` for each shape.
    return [float(number) for number in import_module("numpy").asarray(tensor).ravel().tolist()]


def _places(tensors: List[_Array]) -> List[str]:
    return sorted(
        {"{}:{}".format(where.platform, where.id) for tensor in tensors for where in tensor.devices()}
    )


def _initial(jax: ModuleType, seed: int) -> _Parameters:
    numpy = jax.numpy
    first, second = jax.random.split(jax.random.PRNGKey(seed))
    kernel = jax.random.normal(first, (3, 3, 1, 32)) * 0.1
    matrix = jax.random.normal(second, (13 * 13 * 32, CLASSES)) * 0.02
    return [kernel, numpy.zeros(32), matrix, numpy.zeros(CLASSES)]


def _loss_function(jax: ModuleType, precision: _Type = None) -> Callable[..., Any]:
    numpy, lax = jax.numpy, jax.lax

    def loss(parameters: _Parameters, images: _Array, labels: _Array) -> _Array:
        if precision is not None:
            images, parameters = images.astype(precision), [one.astype(precision) for one in parameters]
        kernel, shift, matrix, bias = parameters
        features = lax.conv_general_dilated(
            images, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        features = numpy.maximum(features + shift, 0.0)
        pooled = lax.reduce_window(features, -numpy.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        scores = (pooled.reshape(images.shape[0], -1) @ matrix + bias).astype(numpy.float32)
        logarithms = jax.nn.log_softmax(scores)
        return -numpy.mean(numpy.take_along_axis(logarithms, labels[:, None], axis=1))

    return loss


def _step_function(jax: ModuleType, precision: _Type = None) -> Callable[..., Any]:
    numpy, each = jax.numpy, jax.tree_util.tree_map
    with_gradient = jax.value_and_grad(_loss_function(jax, precision))

    def step(
        state: Tuple[_Parameters, _Parameters, _Parameters], images: _Array, labels: _Array, number: _Array
    ) -> Tuple[Any, Tuple[_Parameters, _Parameters, _Parameters]]:
        parameters, first, second = state
        loss, gradients = with_gradient(parameters, images, labels)
        first = each(lambda old, new: 0.9 * old + 0.1 * new, first, gradients)
        second = each(lambda old, new: 0.999 * old + 0.001 * new * new, second, gradients)
        parameters = each(
            lambda value, mean, square: (
                value - 0.001 * (mean / (1 - 0.9**number)) / (numpy.sqrt(square / (1 - 0.999**number)) + 1e-8)
            ),
            parameters,
            first,
            second,
        )
        return loss, (parameters, first, second)

    return step
