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
        }


HEALTHY = FakeGpus()
TWO_GPUS = FakeGpus(count=2)
OLD_DRIVER = FakeGpus(driver="450.80.02", cuda="11.0")
OLD_GPU = FakeGpus(name="Tesla V100-SXM2-32GB", compute_capability="7.0", memory_mib=32768)
NO_DEVICE = FakeGpus(count=0)
BROKEN_DRIVER = FakeGpus(init_error=MISMATCH)


def dump_spec(gpus: FakeGpus, libraries: Path) -> str:
    """A CDI spec that injects the fake driver; its devices are `0`, `1`, ... and `all`."""
    numbers = list(range(gpus.count))
    devices = [_device(str(number), [number]) for number in numbers]
    spec = {
        "cdiVersion": "0.5.0",
        "kind": KIND,
        "containerEdits": {
            "env": [f"{name}={value}" for name, value in gpus.environment().items()],
            "deviceNodes": [_node("nvidiactl"), _node("nvidia-uvm")],
            "mounts": [
                _mount(libraries / "libcuda.so.1", f"{_library_directory()}/libcuda.so.1"),
                _mount(libraries / "libnvidia-ml.so.1", f"{_library_directory()}/libnvidia-ml.so.1"),
                _mount(libraries / "nvidia-smi", "/usr/bin/nvidia-smi"),
            ],
        },
        "devices": [*devices, _device("all", numbers)],
    }
    return json.dumps(spec, indent=2)


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


def _device(name: str, numbers: list[int]) -> dict[str, object]:
    nodes = [_node(f"nvidia{number}") for number in numbers]
    edits = {"env": [f"FAKE_GPU_COUNT={len(numbers)}"], **({"deviceNodes": nodes} if nodes else {})}
    return {"name": name, "containerEdits": edits}


def _node(name: str) -> dict[str, str]:
    # Any character device does: nobody talks to it.
    return {"path": f"/dev/{name}", "hostPath": "/dev/null"}


def _mount(source: Path, target: str) -> dict[str, object]:
    return {"hostPath": str(source), "containerPath": target, "options": ["ro", "nosuid", "nodev", "bind"]}
