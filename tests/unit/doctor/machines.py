"""Machines made of a directory: their files, their programs' answers, their engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cudaforge.doctor import Finding, Host, Situation, diagnose
from cudaforge.doctor.cdi import read_specs
from cudaforge.doctor.host import Disk
from cudaforge.doctor.look import see_logins, see_network, spec_directories
from cudaforge.doctor.nvidia import read_nvidia
from cudaforge.doctor.situation import Expected, SeenEngine
from cudaforge.engine import GpuMethod, GpuOffer, GpuRequest
from cudaforge.errors import Problem
from cudaforge.lockfile.model import LockedImage
from cudaforge.matrix import load_matrix
from cudaforge.packages.site import Site
from cudaforge.process import Completed, ProgramNotFound, ProgramTimeout

HANGS = "hangs"
DRIVER = "570.124.06"
H100 = {"name": "NVIDIA H100 80GB HBM3", "capability": "9.0", "memory": 85520809984, "mig": False}
SITE = Site(named_indexes={}, proxies={}, registries={}, origins={})
GB = 10**9
BY_CDI = GpuOffer(
    request=GpuRequest(method=GpuMethod.CDI, devices=("nvidia.com/gpu=all",)),
    cdi_devices=("nvidia.com/gpu=all",),
)
BY_RUNTIME = GpuOffer(request=GpuRequest(method=GpuMethod.RUNTIME), has_runtime=True)
NO_OFFER = GpuOffer(request=None)


def nvml(*gpus: Mapping[str, object], driver: str = DRIVER, cuda: str = "12.8") -> str:
    """What the probe prints on a healthy machine."""
    return json.dumps({"error": 0, "driver": driver, "cuda": cuda, "gpus": list(gpus)})


def nvml_error(number: int, text: str) -> str:
    return json.dumps({"error": number, "text": text})


class Machine:
    """Fill it, then `findings()`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ: dict[str, str] = {"PATH": "/usr/bin"}
        self.answers: dict[str, str | Completed] = {}
        self.uid = 0
        self.groups: frozenset[int] = frozenset({0})
        self.disk = Disk(free=500 * GB, total=1000 * GB)
        self.info: dict[str, object] = {
            "Architecture": "x86_64",
            "CgroupDriver": "cgroupfs",
            "CgroupVersion": "2",
            "DockerRootDir": "/var/lib/docker",
        }
        self.offer = NO_OFFER
        self.is_podman = False
        self.engine: SeenEngine | None = None
        self.buildx: Problem | None = None
        self.expected: tuple[Expected, ...] = ()
        self.registries: tuple[str, ...] = ()
        self.present: frozenset[str] = frozenset()
        self.site = SITE
        self.image: LockedImage | None = None
        self.file("/var/run/docker.sock")
        self.nvml(nvml_error(12, "NVML Shared Library Not Found"))

    def file(self, path: str, text: str = "") -> Path:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def program(self, name: str, answer: str | Completed = "") -> None:
        self.file(f"/usr/bin/{name}").chmod(0o755)
        self.answers[name] = answer

    def nvml(self, answer: str | Completed) -> None:
        self.answers[Path(sys.executable).name] = answer

    def gpu(
        self, *, driver: str = DRIVER, cuda: str = "12.8", gpus: Sequence[Mapping[str, object]] = (H100,)
    ) -> None:
        """A machine with GPUs and a driver that works."""
        for number, _ in enumerate(gpus):
            self.file(f"/sys/bus/pci/devices/0000:0{number}:00.0/vendor", "0x10de\n")
            self.file(f"/sys/bus/pci/devices/0000:0{number}:00.0/class", "0x030200\n")
            self.file(f"/dev/nvidia{number}")
        for name in ("nvidiactl", "nvidia-uvm"):
            self.file(f"/dev/{name}")
        self.kernel(driver)
        self.nvml(nvml(*gpus, driver=driver, cuda=cuda))

    def kernel(self, version: str) -> None:
        self.file(
            "/proc/driver/nvidia/version",
            f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build\n",
        )

    def host(self) -> Host:
        return Host(
            root=self.root,
            environ=self.environ,
            run=self._run,
            uid=self.uid,
            groups=self.groups,
            disk=lambda _: self.disk,
        )

    def _run(self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str]) -> Completed:  # noqa: ARG002 -- as programs are started
        assert timeout <= 15
        name = Path(argv[0]).name
        answer = self.answers.get(" ".join((name, *argv[1:])), self.answers.get(name))
        if answer is None:
            raise ProgramNotFound(Problem(what=f"cannot start {name}"))
        if answer == HANGS:
            raise ProgramTimeout(Problem(what=f"{name} did not end within {timeout:g} s and was stopped"))
        if isinstance(answer, Completed):
            return answer
        return Completed(argv=tuple(argv), returncode=0, stdout=answer, stderr="")

    def situation(self) -> Situation:
        host = self.host()
        engine = self.engine or SeenEngine(
            socket="/var/run/docker.sock",
            version="28.0.1",
            info=self.info,
            offer=self.offer,
            is_podman=self.is_podman,
            buildx=self.buildx,
            disk=self.disk,
            present=self.present,
        )
        directories = spec_directories(engine.info)
        return Situation(
            host=host,
            engine=engine,
            nvidia=read_nvidia(host),
            specs=read_specs(host, directories),
            spec_directories=directories,
            logins=see_logins(host, Path("/root/.docker/config.json")),
            network=see_network(lambda: self.site),
            matrix=load_matrix(),
            expected=self.expected,
            registries=self.registries,
            image=self.image,
        )

    def findings(self) -> dict[str, Finding]:
        return {finding.id: finding for finding in diagnose(self.situation())}


def failing(text: str, status: int = 9) -> Completed:
    return Completed(argv=("x",), returncode=status, stdout=text, stderr="")
