"""The proof of PyTorch. Needs torch alone: no torchvision, no NumPy."""

import contextlib
from importlib import import_module
from types import ModuleType
from typing import Any, Dict, List, Optional

from cudaforge.verifier.probes import forward
from cudaforge.verifier.probes.libraries import decode_cudnn, decode_nccl
from cudaforge.verifier.probes.samples import CLASSES, SIDE, Samples

ENVIRONMENT: Dict[str, str] = {}
PACKAGE = r"torch"
ROOTS = ("torch/_C.*.so", "torch/_C.so", "torch/lib/libtorch_python.so")
KERNELS = ("torch/lib/libtorch_cuda.so", "torch/lib/libtorch_cuda_*.so", "torch/lib/libcaffe2_gpu.so")

_Tensor = Any
_Model = Any
_Place = Any
_Type = Any
_Context = Any


def load() -> ModuleType:
    """Import it."""
    return import_module("torch")


def describe(torch: ModuleType) -> Dict[str, object]:
    """Version, build and the CUDA libraries that it was built for and has loaded."""
    cuda = torch.version.cuda
    return {
        "version": str(torch.__version__),
        "cuda_build": cuda is not None,
        "cuda": cuda,
        "cudnn": _cudnn(torch) if cuda else None,
        "cudnn_compiled": _cudnn_compiled(torch) if cuda else None,
        "nccl": _nccl(torch) if cuda else None,
        "architectures": _architectures(torch) if cuda else [],
    }


def find_devices(torch: ModuleType) -> Dict[str, object]:
    """The GPUs that PyTorch lists, or its reason for listing none."""
    reason = None
    if not torch.cuda.is_available():
        try:
            torch.cuda.init()
        except Exception as error:
            reason = str(error)[:500]
        return {"devices": [], "reason": reason}
    return {
        "devices": [
            {
                "name": torch.cuda.get_device_name(index),
                "capability": "{}.{}".format(*torch.cuda.get_device_capability(index)),
            }
            for index in range(torch.cuda.device_count())
        ],
        "reason": None,
    }


def differentiate(torch: ModuleType, network: forward.Network, device: str) -> Dict[str, object]:
    """What the network answers, and the gradient of its loss, in 32 bits."""
    place = _place(torch, device)
    pixels, kernels, matrix, bias = _tensors(torch, network, place)
    weights = [kernels, matrix, bias]
    for weight in weights:
        weight.requires_grad_()
    with _exactly(torch, device):
        scores = _scores(torch, pixels, *weights)
        labels = torch.tensor(forward.LABELS, device=place)
        loss = torch.nn.functional.cross_entropy(scores, labels)
        loss.backward()
    answer = torch.softmax(scores, dim=1)
    gradients = [weight.grad for weight in weights]
    return {
        "outputs": answer.flatten().tolist(),
        "loss": float(loss.item()),
        "gradients": {
            name: gradient.flatten().tolist()
            for name, gradient in zip(("kernels", "matrix", "bias"), gradients)
        },
        "placed": sorted({str(tensor.device) for tensor in [answer, *gradients]}),
        "api": "torch.autograd",
    }


def train(torch: ModuleType, samples: Samples, device: str, steps: int, seed: int) -> Dict[str, object]:
    """Train for `steps` steps; the loss before each step and after the last."""
    return _train(torch, samples, device, steps, seed, None)


def mix(torch: ModuleType, samples: Samples, device: str, steps: int, seed: int) -> Dict[str, object]:
    """Train under autocast, in bfloat16 where the GPU has it, else in float16 with a scaled loss."""
    is_wide = device == "cpu" or torch.cuda.is_bf16_supported()
    return _train(torch, samples, device, steps, seed, torch.bfloat16 if is_wide else torch.float16)


def run_compiled(torch: ModuleType, network: forward.Network, device: str) -> Dict[str, object]:
    """What the network answers through torch.compile."""
    tensors = _tensors(torch, network, _place(torch, device))
    run = torch.compile(lambda *given: torch.softmax(_scores(torch, *given), dim=1))
    with torch.no_grad(), _exactly(torch, device):
        answer = run(*tensors)
    return {"outputs": answer.flatten().tolist(), "placed": [str(answer.device)], "api": "torch.compile"}


def reduce(torch: ModuleType) -> Dict[str, object]:
    """Sum what every GPU holds, the first 1, the second 2, with NCCL."""
    tensors = [
        torch.full((1024,), float(index + 1), device="cuda:{}".format(index))
        for index in range(torch.cuda.device_count())
    ]
    torch.cuda.nccl.all_reduce(tensors)
    for tensor in tensors:
        torch.cuda.synchronize(tensor.device)
    return {
        "sums": [float(tensor.sum().item()) / 1024 for tensor in tensors],
        "placed": [str(tensor.device) for tensor in tensors],
        "api": "torch.cuda.nccl",
    }


def limit_memory(torch: ModuleType, limit: Optional[int]) -> None:
    """Let no GPU give more than this many bytes."""
    if limit is not None:
        for index in range(torch.cuda.device_count()):
            total = torch.cuda.get_device_properties(index).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total), index)


def measure_memory(torch: ModuleType) -> Dict[str, object]:
    """How much GPU memory was taken at most, in bytes, and what held it back."""
    return {
        "taken": torch.cuda.max_memory_reserved(0),
        "total": torch.cuda.get_device_properties(0).total_memory,
        "is_held": True,
        "rule": "set_per_process_memory_fraction",
    }


def _train(
    torch: ModuleType, samples: Samples, device: str, steps: int, seed: int, precision: _Type
) -> Dict[str, object]:
    torch.manual_seed(seed)
    place = _place(torch, device)
    images = torch.tensor(samples.pixels).view(samples.size, 1, SIDE, SIDE).to(place)
    labels = torch.tensor(samples.labels).to(place)
    layers = torch.nn
    # Softmax and cross-entropy, split where PyTorch splits them.
    model = layers.Sequential(
        layers.Conv2d(1, 32, 3),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Flatten(),
        layers.Linear(32 * 13 * 13, CLASSES),
        layers.LogSoftmax(dim=1),
    ).to(place)
    cross_entropy = layers.NLLLoss()
    optimizer = torch.optim.Adam(model.parameters())
    scaler = torch.cuda.amp.GradScaler() if precision == torch.float16 else None
    losses: List[float] = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = cross_entropy(_run(torch, model, images, precision), labels)
        if scaler is None:
            loss.backward()
            optimizer.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        losses.append(float(loss.item()))
    output = _run(torch, model, images, precision)
    losses.append(float(cross_entropy(output, labels).item()))
    placed = {str(tensor.device) for tensor in [*model.parameters(), output]}
    trained: Dict[str, object] = {"losses": losses, "placed": sorted(placed), "api": "torch.nn"}
    if precision is not None:
        numbers = _run(torch, model[0], images, precision).dtype
        trained.update(api="torch.autocast", numbers=str(numbers).replace("torch.", ""))
    return trained


def _run(torch: ModuleType, model: _Model, images: _Tensor, precision: _Type) -> _Tensor:
    if precision is None:
        return model(images)
    with torch.autocast(images.device.type, dtype=precision):
        return model(images)


def _place(torch: ModuleType, device: str) -> _Place:
    return torch.device("cuda:0" if device == "gpu" else "cpu")


def _tensors(torch: ModuleType, network: forward.Network, place: _Place) -> List[_Tensor]:
    shapes = (
        (forward.COUNT, 1, forward.SIDE, forward.SIDE),
        (forward.FILTERS, 1, forward.KERNEL, forward.KERNEL),
        (forward.FILTERS * forward.POOLED**2, forward.CLASSES),
        (forward.CLASSES,),
    )
    return [torch.tensor(numbers).reshape(shape).to(place) for numbers, shape in zip(network, shapes)]


def _scores(torch: ModuleType, pixels: _Tensor, kernels: _Tensor, matrix: _Tensor, bias: _Tensor) -> _Tensor:
    functions = torch.nn.functional
    pooled = functions.max_pool2d(functions.relu(functions.conv2d(pixels, kernels)), 2)
    return pooled.flatten(1) @ matrix + bias


def _exactly(torch: ModuleType, device: str) -> _Context:
    """No TF32, which multiplies with 10 bits of fraction."""
    if device == "cpu":
        return contextlib.ExitStack()
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _cudnn_compiled(torch: ModuleType) -> Optional[str]:
    try:
        major, minor, patch = torch._C._cudnn.getCompileVersion()  # noqa: SLF001 -- nothing public tells
    except (AttributeError, RuntimeError, ValueError):
        return None
    return "{}.{}.{}".format(major, minor, patch)


def _cudnn(torch: ModuleType) -> Optional[str]:
    number = torch.backends.cudnn.version()
    return decode_cudnn(int(number)) if number else None


def _nccl(torch: ModuleType) -> Optional[str]:
    try:
        version = torch.cuda.nccl.version()
    except Exception:
        return None  # built without it
    return decode_nccl(version) if isinstance(version, int) else ".".join(str(part) for part in version[:3])


def _architectures(torch: ModuleType) -> List[str]:
    try:
        return str(torch._C._cuda_getArchFlags() or "").split()  # noqa: SLF001 -- the public call needs a GPU
    except AttributeError:
        return list(torch.cuda.get_arch_list())
