"""The proof of TensorFlow: with Keras where the image has it, else with TensorFlow's own operations."""

import contextlib
import random
from importlib import import_module
from types import ModuleType
from typing import Any, Dict, List, Optional, Tuple

from cudaforge.verifier.probes import forward
from cudaforge.verifier.probes.samples import CLASSES, SIDE, Samples

_Tensor = Any
_Module = Any
_Device = Any
_Type = Any
# The reasons for not using a GPU are on stderr at the levels that an image may have silenced.
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "0",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "KERAS_BACKEND": "tensorflow",
}
_TENSOR_CORES_WITH_BFLOAT16 = (8, 0)
PACKAGE = r"tensorflow(-cpu|-gpu)?"
ROOTS = (
    "tensorflow/libtensorflow_cc.so.2",
    "tensorflow/python/_pywrap_tensorflow_internal.so",
    "tensorflow_core/python/_pywrap_tensorflow_internal.so",
)
KERNELS = ROOTS


def load() -> ModuleType:
    """Import it, and have it take GPU memory as it needs it."""
    tensorflow = import_module("tensorflow")
    for gpu in tensorflow.config.list_physical_devices("GPU"):
        tensorflow.config.experimental.set_memory_growth(gpu, enable=True)
    return tensorflow


def describe(tensorflow: ModuleType) -> Dict[str, object]:
    """Version, build and the CUDA that it was built for."""
    build = dict(tensorflow.sysconfig.get_build_info())
    is_cuda_build = bool(build.get("is_cuda_build", tensorflow.test.is_built_with_cuda()))
    return {
        "version": str(tensorflow.__version__),
        "cuda_build": is_cuda_build,
        "cuda": None,  # it knows what it was built for, not what it loads
        "cudnn": None,
        "nccl": None,
        "built_for": {
            "CUDA": str(build.get("cuda_version", "")),
            "cuDNN": str(build.get("cudnn_version", "")),
        }
        if is_cuda_build
        else {},
        "architectures": [str(name) for name in build.get("cuda_compute_capabilities") or []],
    }


def find_devices(tensorflow: ModuleType) -> Dict[str, object]:
    """The GPUs that TensorFlow lists. Why it lists none it says on stderr alone."""
    return {
        "devices": [_device(tensorflow, gpu) for gpu in tensorflow.config.list_physical_devices("GPU")],
        "reason": None,
    }


def differentiate(tensorflow: ModuleType, network: forward.Network, device: str) -> Dict[str, object]:
    """What the network answers, and the gradient of its loss, in 32 bits."""
    _forbid_tf32(tensorflow)
    with tensorflow.device(_place(device)):
        pixels, *weights = _tensors(tensorflow, network)
        with tensorflow.GradientTape() as tape:
            for weight in weights:
                tape.watch(weight)
            scores = _scores(tensorflow, pixels, *weights)
            loss = tensorflow.reduce_mean(
                tensorflow.nn.sparse_softmax_cross_entropy_with_logits(
                    labels=tensorflow.constant(forward.LABELS), logits=scores
                )
            )
        gradients = tape.gradient(loss, weights)
        answer = tensorflow.nn.softmax(scores)
    return {
        "outputs": _numbers(answer),
        "loss": float(loss),
        "gradients": dict(zip(("kernels", "matrix", "bias"), map(_numbers, gradients))),
        "placed": _places([answer, *gradients]),
        "api": "GradientTape",
    }


def train(tensorflow: ModuleType, samples: Samples, device: str, steps: int, seed: int) -> Dict[str, object]:
    """Train for `steps` steps; the loss before each step and after the last."""
    _seed(tensorflow, seed)
    with tensorflow.device(_place(device)):
        images = tensorflow.reshape(tensorflow.constant(samples.pixels), (samples.size, SIDE, SIDE, 1))
        labels = tensorflow.constant(samples.labels)
        try:
            keras = tensorflow.keras
            version = str(keras.__version__)
        except (ImportError, AttributeError):
            return _train_plainly(tensorflow, images, labels, steps)
        return dict(_train_keras(keras, images, labels, steps), api="Keras " + version)


def mix(tensorflow: ModuleType, samples: Samples, device: str, steps: int, seed: int) -> Dict[str, object]:
    """Train with convolutions and products in bfloat16 where the GPU has it, else in float16."""
    _seed(tensorflow, seed)
    is_wide = device == "cpu" or _capability(tensorflow) >= _TENSOR_CORES_WITH_BFLOAT16
    numbers = tensorflow.bfloat16 if is_wide else tensorflow.float16
    with tensorflow.device(_place(device)):
        images = tensorflow.reshape(tensorflow.constant(samples.pixels), (samples.size, SIDE, SIDE, 1))
        labels = tensorflow.constant(samples.labels)
        return dict(_train_plainly(tensorflow, images, labels, steps, numbers), numbers=numbers.name)


def run_compiled(tensorflow: ModuleType, network: forward.Network, device: str) -> Dict[str, object]:
    """What the network answers through XLA."""
    _forbid_tf32(tensorflow)
    with tensorflow.device(_place(device)):
        tensors = _tensors(tensorflow, network)
        run = tensorflow.function(
            lambda *given: tensorflow.nn.softmax(_scores(tensorflow, *given)), jit_compile=True
        )
        answer = run(*tensors)
    return {"outputs": _numbers(answer), "placed": _places([answer]), "api": "tf.function with XLA"}


def reduce(tensorflow: ModuleType) -> Dict[str, object]:
    """Sum what every GPU holds, the first 1, the second 2, with NCCL."""
    across = tensorflow.distribute.NcclAllReduce()
    strategy = tensorflow.distribute.MirroredStrategy(cross_device_ops=across)

    def add() -> _Tensor:
        context = tensorflow.distribute.get_replica_context()
        number = tensorflow.cast(context.replica_id_in_sync_group + 1, tensorflow.float32)
        return context.all_reduce("SUM", tensorflow.fill((1024,), number))

    results = strategy.experimental_local_results(strategy.run(tensorflow.function(add)))
    return {
        "sums": [float(tensorflow.reduce_mean(result)) for result in results],
        "placed": sorted(_short_place(device) for device in strategy.extended.worker_devices),
        "api": "NcclAllReduce",
    }


def measure_memory(tensorflow: ModuleType) -> Dict[str, object]:
    """How much GPU memory was taken at most, in bytes, and what held it back."""
    (gpu, *_) = tensorflow.config.list_physical_devices("GPU")
    settings = tensorflow.config.experimental
    return {
        "taken": int(settings.get_memory_info("GPU:0")["peak"]),
        "total": None,
        "is_held": bool(settings.get_memory_growth(gpu)),
        "rule": "memory growth",
    }


def _place(device: str) -> str:
    return "/GPU:0" if device == "gpu" else "/CPU:0"


def _forbid_tf32(tensorflow: ModuleType) -> None:
    """TF32 multiplies with 10 bits of fraction."""
    with contextlib.suppress(AttributeError):  # it came with TensorFlow 2.4
        tensorflow.config.experimental.enable_tensor_float_32_execution(False)  # noqa: FBT003


def _tensors(tensorflow: ModuleType, network: forward.Network) -> List[_Tensor]:
    shapes = (
        (forward.COUNT, forward.SIDE, forward.SIDE, 1),
        (forward.FILTERS, 1, forward.KERNEL, forward.KERNEL),
        (forward.FILTERS * forward.POOLED**2, forward.CLASSES),
        (forward.CLASSES,),
    )
    return [
        tensorflow.reshape(tensorflow.constant(numbers), shape) for numbers, shape in zip(network, shapes)
    ]


def _scores(
    tensorflow: ModuleType, pixels: _Tensor, kernels: _Tensor, matrix: _Tensor, bias: _Tensor
) -> _Tensor:
    operations = tensorflow.nn
    features = operations.conv2d(pixels, tensorflow.transpose(kernels, (2, 3, 1, 0)), 1, "VALID")
    pooled = operations.max_pool2d(operations.relu(features), 2, 2, "VALID")
    # The network's planes are one after the other, and TensorFlow's lie in one another.
    return tensorflow.reshape(tensorflow.transpose(pooled, (0, 3, 1, 2)), (forward.COUNT, -1)) @ matrix + bias


def _numbers(tensor: _Tensor) -> List[float]:
    return [float(number) for number in tensor.numpy().ravel()]


def _capability(tensorflow: ModuleType) -> Tuple[int, ...]:
    (gpu, *_) = tensorflow.config.list_physical_devices("GPU")
    return tuple(tensorflow.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)))


def _seed(tensorflow: ModuleType, seed: int) -> None:
    """Keras seeds its initial weights from Python's generator, in its newer releases from its own."""
    random.seed(seed)
    tensorflow.random.set_seed(seed)
    with contextlib.suppress(ImportError, AttributeError):
        tensorflow.keras.utils.set_random_seed(seed)


def _train_keras(keras: _Module, images: _Tensor, labels: _Tensor, steps: int) -> Dict[str, object]:
    model = keras.Sequential(
        [
            keras.Input(shape=(SIDE, SIDE, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    # The whole batch is one step, so that an epoch is a step.
    count = len(images)
    history = model.fit(images, labels, batch_size=count, epochs=steps, shuffle=False, verbose=0)
    losses = [float(loss) for loss in history.history["loss"]]
    losses.append(float(model.evaluate(images, labels, batch_size=count, verbose=0)))
    tensors = [getattr(weight, "value", weight) for weight in model.weights]
    tensors = [tensor() if callable(tensor) else tensor for tensor in tensors]
    return {"losses": losses, "placed": _places([*tensors, model(images)])}


def _train_plainly(
    tensorflow: ModuleType, images: _Tensor, labels: _Tensor, steps: int, numbers: Optional[_Type] = None
) -> Dict[str, object]:
    """With weights of 32 bits. Convolution and product are computed in `numbers`, if they are given."""
    numbers = tensorflow.float32 if numbers is None else numbers
    shapes = ((3, 3, 1, 32), (32,), (13 * 13 * 32, CLASSES), (CLASSES,))
    weights = [tensorflow.Variable(tensorflow.random.normal(shape, stddev=0.05)) for shape in shapes]
    moments = [[tensorflow.zeros(shape) for shape in shapes] for _ in range(2)]
    images = tensorflow.cast(images, numbers)
    losses: List[float] = []
    for step in range(1, steps + 2):
        with tensorflow.GradientTape() as tape:
            kernel, shift, matrix, bias = [tensorflow.cast(weight, numbers) for weight in weights]
            features = tensorflow.nn.relu(tensorflow.nn.conv2d(images, kernel, 1, "VALID") + shift)
            pooled = tensorflow.nn.max_pool2d(features, 2, 2, "VALID")
            scores = tensorflow.reshape(pooled, (len(images), -1)) @ matrix + bias
            loss = tensorflow.reduce_mean(
                tensorflow.nn.sparse_softmax_cross_entropy_with_logits(
                    labels=labels, logits=tensorflow.cast(scores, tensorflow.float32)
                )
            )
        losses.append(float(loss))
        if step > steps:
            break
        for index, gradient in enumerate(tape.gradient(loss, weights)):
            first = moments[0][index] = 0.9 * moments[0][index] + 0.1 * gradient
            second = moments[1][index] = 0.999 * moments[1][index] + 0.001 * gradient * gradient
            scaled = tensorflow.sqrt(second / (1 - 0.999**step)) + 1e-8
            weights[index].assign_sub(0.001 * first / (1 - 0.9**step) / scaled)
    return {"losses": losses, "placed": _places([*weights, scores]), "api": "TensorFlow operations"}


def _places(tensors: List[_Tensor]) -> List[str]:
    """`GPU:0`, `CPU:0`: where the tensors really are, whatever was asked for."""
    return sorted({_short_place(tensor.device) for tensor in tensors})


def _short_place(device: str) -> str:
    return ":".join(str(device).split(":")[-2:])


def _device(tensorflow: ModuleType, gpu: _Device) -> Dict[str, object]:
    details = tensorflow.config.experimental.get_device_details(gpu)
    capability = details.get("compute_capability")
    return {
        "name": str(details.get("device_name", gpu.name)),
        "capability": "{}.{}".format(*capability) if capability else None,
    }
