"""The proof of PyTorch. Needs torch alone: no torchvision, no NumPy."""

from importlib import import_module
from types import ModuleType
from typing import Dict, List, Optional

from cudaforge.verifier.probes.libraries import decode_cudnn, decode_nccl
from cudaforge.verifier.probes.samples import CLASSES, SIDE, Samples

ENVIRONMENT: Dict[str, str] = {}
PACKAGE = r"torch"
ROOTS = ("torch/_C.*.so", "torch/_C.so", "torch/lib/libtorch_python.so")
KERNELS = ("torch/lib/libtorch_cuda.so", "torch/lib/libtorch_cuda_*.so", "torch/lib/libcaffe2_gpu.so")


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


def train(torch: ModuleType, samples: Samples, device: str, steps: int, seed: int) -> Dict[str, object]:
    """Train for `steps` steps; the loss before each step and after the last."""
    torch.manual_seed(seed)
    place = torch.device("cuda:0" if device == "gpu" else "cpu")
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
    losses: List[float] = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.item()))
    output = model(images)
    losses.append(float(cross_entropy(output, labels).item()))
    placed = {str(tensor.device) for tensor in [*model.parameters(), output]}
    return {"losses": losses, "placed": sorted(placed), "api": "torch.nn"}


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
