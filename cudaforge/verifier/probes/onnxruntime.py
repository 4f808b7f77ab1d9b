"""The proof of ONNX Runtime: a model written down byte by byte, so that the image needs no `onnx`.

Which provider ran each node is read out of ONNX Runtime's own profile: it falls back to the CPU
without an error where its CUDA provider cannot be loaded.
"""

import json
import os
import struct
import tempfile
from importlib import import_module
from types import ModuleType
from typing import Any, Dict, List, Sequence, Union

from cudaforge.verifier.probes import hardware, libraries
from cudaforge.verifier.probes.forward import CLASSES, COUNT, FILTERS, KERNEL, POOLED, SIDE, Network

ENVIRONMENT: Dict[str, str] = {}
PACKAGE = r"onnxruntime(-gpu)?"
ROOTS = (
    "onnxruntime/capi/onnxruntime_pybind11_state*.so",
    "onnxruntime/capi/libonnxruntime_providers_cuda.so",
)
KERNELS = ("onnxruntime/capi/libonnxruntime_providers_cuda.so",)

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_OPSET = 12
_IR = 7
_FLOAT = 1
_SEVEN_BITS = 0x7F

_Session = Any


def load() -> ModuleType:
    """Import it; of a CUDA build, the libraries that its CUDA provider will ask the loader for."""
    onnxruntime = import_module("onnxruntime")
    if _CUDA in onnxruntime.get_available_providers():
        (package,) = onnxruntime.__path__
        provider = os.path.join(package, "capi", "libonnxruntime_providers_cuda.so")
        libraries.load_needed(provider, besides=("libcuda.so", "libonnxruntime"))
    return onnxruntime


def describe(onnxruntime: ModuleType) -> Dict[str, object]:
    """Version, build and the CUDA that it was built for."""
    try:
        about: Any = import_module("onnxruntime.capi.build_and_package_info")
    except ImportError:
        about = None  # before 1.21 it did not say
    cuda = str(getattr(about, "cuda_version", None) or "")
    return {
        "version": str(onnxruntime.__version__),
        "cuda_build": _CUDA in onnxruntime.get_available_providers(),
        "cuda": None,  # it knows what it was built for, not what it loads
        "cudnn": None,
        "nccl": None,
        "built_for": {"CUDA": cuda} if cuda else {},
        "architectures": [],
    }


def find_devices(onnxruntime: ModuleType) -> Dict[str, object]:
    """The driver's GPUs, where the CUDA provider comes up on them. Why it does not is on stderr alone."""
    if _CUDA not in onnxruntime.get_available_providers():
        return {"devices": [], "reason": "it is a CPU build"}
    session = _session(onnxruntime, b"".join(_identity()), _CUDA)
    if _CUDA not in session.get_providers():
        return {"devices": [], "reason": None}
    return {"devices": hardware.ask_cuda()["devices"], "reason": None}


def compute(onnxruntime: ModuleType, network: Network, device: str) -> Dict[str, object]:
    """What the network answers, and which provider ran its nodes."""
    numpy = import_module("numpy")
    provider = _CUDA if device == "gpu" else _CPU
    with tempfile.TemporaryDirectory() as directory:
        session = _session(onnxruntime, _model(network), provider, profile=directory)
        pixels = numpy.asarray(network.pixels, "float32").reshape(COUNT, 1, SIDE, SIDE)
        (answer,) = session.run(None, {"pixels": pixels})
        with open(session.end_profiling(), "r") as file:
            ran = {
                event["args"]["provider"] for event in json.load(file) if "provider" in event.get("args", {})
            }
    placed = {{_CUDA: "cuda:0", _CPU: "cpu"}.get(name, name) for name in ran}
    return {
        "outputs": [float(number) for number in answer.ravel()],
        "placed": sorted(placed),
        "api": ", ".join(sorted(ran)),
    }


def _session(onnxruntime: ModuleType, model: bytes, provider: str, *, profile: str = "") -> _Session:
    options = onnxruntime.SessionOptions()
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(profile, "profile")
    # Only `provider`: what it cannot run goes to the CPU all the same, and the profile tells.
    return onnxruntime.InferenceSession(model, options, providers=[provider])


# A model is a protobuf message: for each field its number and wire type in one byte, then its value.
# Field numbers are those of onnx.proto, which never change.


def _model(network: Network) -> bytes:
    dense = (FILTERS * POOLED * POOLED, CLASSES)
    return b"".join(
        _envelope(
            nodes=[
                _node("Conv", ["pixels", "kernels"], "features", kernel_shape=[KERNEL, KERNEL]),
                _node("Relu", ["features"], "positive"),
                _node("MaxPool", ["positive"], "pooled", kernel_shape=[2, 2], strides=[2, 2]),
                _node("Flatten", ["pooled"], "flat"),
                _node("Gemm", ["flat", "matrix", "bias"], "scores"),
                _node("Softmax", ["scores"], "answer", axis=1),
            ],
            tensors=[
                _tensor("kernels", (FILTERS, 1, KERNEL, KERNEL), network.kernels),
                _tensor("matrix", dense, network.matrix),
                _tensor("bias", (CLASSES,), network.bias),
            ],
            input_=_value("pixels", (COUNT, 1, SIDE, SIDE)),
            output=_value("answer", (COUNT, CLASSES)),
        )
    )


def _identity() -> List[bytes]:
    """The smallest model: enough to see which providers come up."""
    return _envelope(
        nodes=[_node("Relu", ["given"], "result")],
        tensors=[],
        input_=_value("given", (1,)),
        output=_value("result", (1,)),
    )


def _envelope(
    *, nodes: Sequence[bytes], tensors: Sequence[bytes], input_: bytes, output: bytes
) -> List[bytes]:
    """ModelProto, around GraphProto."""
    graph = b"".join(
        [
            *(_message(1, node) for node in nodes),
            _message(2, b"proof"),
            *(_message(5, tensor) for tensor in tensors),
            _message(11, input_),
            _message(12, output),
        ]
    )
    return [_number(1, _IR), _message(7, graph), _message(8, _message(1, b"") + _number(2, _OPSET))]


def _node(operator: str, inputs: Sequence[str], output: str, **attributes: Union[int, List[int]]) -> bytes:
    """NodeProto."""
    return b"".join(
        [
            *(_message(1, name.encode()) for name in inputs),
            _message(2, output.encode()),
            _message(4, operator.encode()),
            *(_message(5, _attribute(name, value)) for name, value in attributes.items()),
        ]
    )


def _attribute(name: str, value: Union[int, List[int]]) -> bytes:
    """AttributeProto: one integer (type 2), or several (type 7)."""
    head = _message(1, name.encode())
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, 2)
    return head + b"".join(_number(8, one) for one in value) + _number(20, 7)


def _tensor(name: str, shape: Sequence[int], numbers: Sequence[float]) -> bytes:
    """TensorProto: 32-bit floats, little-endian."""
    return b"".join(
        [
            *(_number(1, size) for size in shape),
            _number(2, _FLOAT),
            _message(8, name.encode()),
            _message(9, struct.pack("<{}f".format(len(numbers)), *numbers)),
        ]
    )


def _value(name: str, shape: Sequence[int]) -> bytes:
    """ValueInfoProto: a tensor of a type and a shape."""
    sizes = b"".join(_message(1, _number(1, size)) for size in shape)
    tensor = _number(1, _FLOAT) + _message(2, sizes)
    return _message(1, name.encode()) + _message(2, _message(1, tensor))


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; the highest bit says that more follow."""
    encoded = bytearray()
    while value > _SEVEN_BITS:
        encoded.append(value & _SEVEN_BITS | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
