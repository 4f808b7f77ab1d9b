"""The proof of TensorFlow: with Keras where the image has it, else with TensorFlow's own operations."""

import contextlib
import random
from importlib import import_module
from types import ModuleType
from typing import Any, Dict, List

from cudaforge.verifier.probes.samples import CLASSES, SIDE, Samples

_Tensor = Any
_Module = Any
_Device = Any
# The reasons for not using a GPU are on stderr at the levels that an image may have silenced.
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "0",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "KERAS_BACKEND": "tensorflow",
}
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


def train(tensorflow: ModuleType, samples: Samples, device: str, steps: int, seed: int) -> Dict[str, object]:
    """Train for `steps` steps; the loss before each step and after the last."""
    _seed(tensorflow, seed)
    with tensorflow.device("/GPU:0" if device == "gpu" else "/CPU:0"):
        images = tensorflow.reshape(tensorflow.constant(samples.pixels), (samples.size, SIDE, SIDE, 1))
        labels = tensorflow.constant(samples.labels)
        try:
            keras = tensorflow.keras
            version = str(keras.__version__)
        except (ImportError, AttributeError):
            return _train_plainly(tensorflow, images, labels, steps)
        return dict(_train_keras(keras, images, labels, steps), api="Keras " + version)


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


def _train_plainly(tensorflow: ModuleType, images: _Tensor, labels: _Tensor, steps: int) -> Dict[str, object]:
    shapes = ((3, 3, 1, 32), (32,), (13 * 13 * 32, CLASSES), (CLASSES,))
    weights = [tensorflow.Variable(tensorflow.random.normal(shape, stddev=0.05)) for shape in shapes]
    moments = [[tensorflow.zeros(shape) for shape in shapes] for _ in range(2)]
    losses: List[float] = []
    for step in range(1, steps + 2):
        with tensorflow.GradientTape() as tape:
            features = tensorflow.nn.relu(tensorflow.nn.conv2d(images, weights[0], 1, "VALID") + weights[1])
            pooled = tensorflow.nn.max_pool2d(features, 2, 2, "VALID")
            scores = tensorflow.reshape(pooled, (len(images), -1)) @ weights[2] + weights[3]
            loss = tensorflow.reduce_mean(
                tensorflow.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=scores)
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
    return sorted({":".join(str(tensor.device).split(":")[-2:]) for tensor in tensors})


def _device(tensorflow: ModuleType, gpu: _Device) -> Dict[str, object]:
    details = tensorflow.config.experimental.get_device_details(gpu)
    capability = details.get("compute_capability")
    return {
        "name": str(details.get("device_name", gpu.name)),
        "capability": "{}.{}".format(*capability) if capability else None,
    }
