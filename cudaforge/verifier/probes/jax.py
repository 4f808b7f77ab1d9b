"""The proof of JAX: jax.numpy and jax.lax alone, with Adam written out."""

from importlib import import_module
from types import ModuleType
from typing import Any, Callable, Dict, List, Tuple

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

_Array = Any
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


def train(jax: ModuleType, samples: Samples, device: str, steps: int, seed: int) -> Dict[str, object]:
    """Train for `steps` steps; the loss before each step and after the last."""
    numpy = jax.numpy
    place = jax.devices(device)[0]
    with jax.default_device(place):
        images = numpy.asarray(samples.pixels, numpy.float32).reshape(samples.size, SIDE, SIDE, 1)
        labels = numpy.asarray(samples.labels)
        parameters = _initial(jax, seed)
        measure = jax.jit(_loss_function(jax))
        step = jax.jit(_step_function(jax))
        zeros = jax.tree_util.tree_map(numpy.zeros_like, parameters)
        state = (parameters, zeros, zeros)
        losses: List[float] = []
        for number in range(1, steps + 1):
            loss, state = step(state, images, labels, float(number))
            losses.append(float(loss))
        last = measure(state[0], images, labels)
        losses.append(float(last))
    placed = {
        "{}:{}".format(where.platform, where.id) for tensor in [*state[0], last] for where in tensor.devices()
    }
    return {"losses": losses, "placed": sorted(placed), "api": "jax.numpy"}


def _initial(jax: ModuleType, seed: int) -> _Parameters:
    numpy = jax.numpy
    first, second = jax.random.split(jax.random.PRNGKey(seed))
    kernel = jax.random.normal(first, (3, 3, 1, 32)) * 0.1
    matrix = jax.random.normal(second, (13 * 13 * 32, CLASSES)) * 0.02
    return [kernel, numpy.zeros(32), matrix, numpy.zeros(CLASSES)]


def _loss_function(jax: ModuleType) -> Callable[..., Any]:
    numpy, lax = jax.numpy, jax.lax

    def loss(parameters: _Parameters, images: _Array, labels: _Array) -> _Array:
        kernel, shift, matrix, bias = parameters
        features = lax.conv_general_dilated(
            images, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        features = numpy.maximum(features + shift, 0.0)
        pooled = lax.reduce_window(features, -numpy.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        scores = pooled.reshape(images.shape[0], -1) @ matrix + bias
        logarithms = jax.nn.log_softmax(scores)
        return -numpy.mean(numpy.take_along_axis(logarithms, labels[:, None], axis=1))

    return loss


def _step_function(jax: ModuleType) -> Callable[..., Any]:
    numpy, each = jax.numpy, jax.tree_util.tree_map
    with_gradient = jax.value_and_grad(_loss_function(jax))

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
