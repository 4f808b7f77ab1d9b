"""GPUs that are not there: a fake NVIDIA driver that a real engine injects into real containers through CDI.

The driver answers questions (how many devices, which, what can they do); it computes nothing.
"""

import fcntl
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine import Engine, NotReachable
from tests.support.fakegpu.libraries import SOURCES, make_libraries

KIND = "nvidia.com/gpu"
ALL_GPUS = f"{KIND}=all"
SPEC_NAME = "cudaforge-fake-gpu.json"
NOTICE_SECONDS = 10.0
MISMATCH = 803
"""CUDA_ERROR_SYSTEM_DRIVER_MISMATCH."""
INSUFFICIENT = 35
"""CUDA_ERROR_INSUFFICIENT_DRIVER."""
NO_SUCH_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeGpus:
    """What the fake driver says."""

    count: int = 1
    name: str = "NVIDIA H100 80GB HBM3"
    compute_capability: str = "9.0"
    memory_mib: int = 81559
    driver: str = "570.124.06"
    cuda: str = "12.8"
    init_error: int = 0
    """What cuInit returns, where it is not to succeed."""
    nvml_error: int = 0
    """What nvmlInit returns, where it is not to succeed."""
    is_cut: bool = False
    """Whether MIG is on: the devices are then instances of one GPU, `0:0`, `0:1` and their UUIDs."""
    node_mode: int | None = None
    """Of the device nodes, where not everybody may open them."""
    lacks: tuple[str, ...] = ()
    """Libraries that the host's driver does not have."""

    def environment(self) -> dict[str, str]:
        """The variables that the fake libraries read."""
        cuda_major, cuda_minor = self.cuda.split(".")
        return {
            "FAKE_GPU_NAME": self.name,
            "FAKE_COMPUTE_CAPABILITY": self.compute_capability.replace(".", ""),
            "FAKE_GPU_MEMORY_MIB": str(self.memory_mib),
            "FAKE_DRIVER_VERSION": self.driver,
            "FAKE_CUDA_VERSION": str(1000 * int(cuda_major) + 10 * int(cuda_minor)),
            "FAKE_INIT_ERROR": str(self.init_error),
            "FAKE_NVML_ERROR": str(self.nvml_error),
            "FAKE_MIG": str(int(self.is_cut)),
        }


HEALTHY = FakeGpus()
TWO_GPUS = FakeGpus(count=2)
OLD_DRIVER = FakeGpus(driver="450.80.02", cuda="11.0")
OLD_GPU = FakeGpus(name="Tesla V100-SXM2-32GB", compute_capability="7.0", memory_mib=32768)
NO_DEVICE = FakeGpus(count=0)
BROKEN_DRIVER = FakeGpus(init_error=MISMATCH)
RTX_5090 = FakeGpus(name="NVIDIA GeForce RTX 5090", compute_capability="12.0", memory_mib=32607, cuda="12.9")
EIGHT_GPUS = FakeGpus(count=8)
INSUFFICIENT_DRIVER = FakeGpus(driver="450.80.02", cuda="11.0", init_error=INSUFFICIENT)
NO_LIBRARY = FakeGpus(lacks=("libcuda.so.1",))
FORBIDDEN = FakeGpus(node_mode=0o600, init_error=NO_SUCH_DEVICE)
NVML_MISMATCH = FakeGpus(nvml_error=18, init_error=MISMATCH)
"""NVML_ERROR_LIB_RM_VERSION_MISMATCH: the driver was updated, and the host not restarted."""
CUT_GPU = FakeGpus(count=2, name="NVIDIA H100 80GB HBM3 MIG 1g.10gb", memory_mib=9984, is_cut=True)


def dump_spec(gpus: FakeGpus, libraries: Path) -> str:
    """A CDI spec that injects the fake driver; its devices are `0`, `1`, ... and `all`."""
    numbers = list(range(gpus.count))
    named = [(name, number) for number in numbers for name in _names(gpus, number)]
    libraries_there = [name for name in ("libcuda.so.1", "libnvidia-ml.so.1") if name not in gpus.lacks]
    spec = {
        "cdiVersion": "0.5.0",
        "kind": KIND,
        "containerEdits": {
            "env": [f"{name}={value}" for name, value in gpus.environment().items()],
            "deviceNodes": [_node(gpus, "nvidiactl"), _node(gpus, "nvidia-uvm")],
            "mounts": [
                *(_mount(libraries / name, f"{_library_directory()}/{name}") for name in libraries_there),
                _mount(libraries / "nvidia-smi", "/usr/bin/nvidia-smi"),
            ],
        },
        "devices": [
            *(_device(gpus, name, [number]) for name, number in named),
            _device(gpus, "all", numbers),
        ],
    }
    return json.dumps(spec, indent=2)


def uuid_of(gpus: FakeGpus, number: int) -> str:
    """`GPU-...` or `MIG-...`, as the fake NVML says it."""
    return f"{'MIG' if gpus.is_cut else 'GPU'}-00000000-0000-0000-0000-{number:012}"


def install_runtime(directory: Path, gpus: FakeGpus) -> None:
    """Fill a directory for CUDAFORGE_ENGINE_NVIDIA_DIR: fake GPUs by `--runtime nvidia` and `--gpus`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "spec.json").write_text(dump_spec(gpus, make_libraries()))
    for source, name in (("runtime.py", ""), ("hook.py", "-hook")):
        program = directory / f"nvidia-container-runtime{name}"
        program.write_text(f"#!{sys.executable}\n{(SOURCES / source).read_text()}")
        program.chmod(0o755)


@contextmanager
def offer_gpus(engine: Engine, gpus: FakeGpus) -> Iterator[str]:
    """Let the engine offer these GPUs while the block runs; gives the CDI name of all of them.

    One offer at a time per engine: others wait. Raises NotReachable for an engine whose CDI directory
    is not ours to write in: there may be a real GPU behind it.
    """
    directory = _own_directory()
    libraries = make_libraries()
    with (directory.parent / f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        spec = directory / SPEC_NAME
        unfinished = directory / f".{SPEC_NAME}.new"
        unfinished.write_text(dump_spec(gpus, libraries))
        try:
            unfinished.rename(spec)
            _wait_until_noticed(engine, is_offered=True)
            yield ALL_GPUS
        finally:
            spec.unlink(missing_ok=True)
            _wait_until_noticed(engine, is_offered=False)


def _own_directory() -> Path:
    exported = os.environ.get("CUDAFORGE_ENGINE_CDI_DIR")
    if not exported:
        raise NotReachable("fake GPUs need an engine of tools/engine.sh: CUDAFORGE_ENGINE_CDI_DIR is not set")
    directory = Path(exported)
    if not os.access(directory, os.W_OK):
        raise NotReachable(f"the engine's CDI directory {directory} cannot be written")
    return directory


def _wait_until_noticed(engine: Engine, *, is_offered: bool) -> None:
    """The engine watches the directory; only Docker 28 and newer say what they saw there."""
    if int(engine.version.split(".")[0]) < 28:
        time.sleep(0.5)
        return
    end = time.monotonic() + NOTICE_SECONDS
    while (ALL_GPUS in _discovered()) != is_offered:
        if time.monotonic() > end:
            raise NotReachable("the engine does not notice changes in its CDI directory")
        time.sleep(0.05)


def _discovered() -> str:
    argv = ["docker", "info", "--format", "{{json .DiscoveredDevices}}"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True).stdout


def _library_directory() -> str:
    return f"/usr/lib/{platform.machine()}-linux-gnu"


def _names(gpus: FakeGpus, number: int) -> tuple[str, str]:
    return (f"0:{number}" if gpus.is_cut else str(number), uuid_of(gpus, number))


def _device(gpus: FakeGpus, name: str, numbers: list[int]) -> dict[str, object]:
    if gpus.is_cut:
        caps = [f"nvidia-caps/nvidia-cap{21 + number}" for number in numbers]
        names = ["nvidia0", *caps] if numbers else []
    else:
        names = [f"nvidia{number}" for number in numbers]
    nodes = [_node(gpus, node) for node in names]
    counted = [f"FAKE_GPU_COUNT={len(numbers)}", f"FAKE_GPU_FIRST={min(numbers, default=0)}"]
    return {"name": name, "containerEdits": {"env": counted, **({"deviceNodes": nodes} if nodes else {})}}


def _node(gpus: FakeGpus, name: str) -> dict[str, object]:
    # Any character device does: nobody talks to it.
    mode = {} if gpus.node_mode is None else {"fileMode": gpus.node_mode}
    return {"path": f"/dev/{name}", "hostPath": "/dev/null", **mode}


def _mount(source: Path, target: str) -> dict[str, object]:
    return {"hostPath": str(source), "containerPath": target, "options": ["ro", "nosuid", "nodev", "bind"]}
