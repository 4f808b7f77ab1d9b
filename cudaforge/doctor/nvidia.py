"""The NVIDIA driver of a host and its GPUs: by NVIDIA's own library, or else by the text of `nvidia-smi`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path

from cudaforge.doctor.host import Host
from cudaforge.process import ProgramNotFound, ProgramTimeout
from cudaforge.records import record
from cudaforge.versions import Version, find_version

_PROBE = Path(__file__).parent / "probes" / "nvml.py"
_KERNEL_FILE = "/proc/driver/nvidia/version"
_PCI = "/sys/bus/pci/devices"
_NVIDIA_VENDOR = "0x10de"
_DISPLAY_CLASS = "0x03"
_KERNEL = re.compile(r"Kernel Module(?: for \S+)?\s+(?P<version>\d+\.\d+(?:\.\d+)?)")
# Newer ones (seen: 610.43.02) say KMD for the kernel's driver, and UMD for the user-mode driver's CUDA.
_BANNER_DRIVER = re.compile(r"(?:Driver|KMD) Version\s*:\s*(?P<version>\d+\.\d+(?:\.\d+)?)")
_BANNER_CUDA = re.compile(r"CUDA (?:UMD )?Version\s*:\s*(?P<version>\d+\.\d+)")
_LISTED = re.compile(r"^GPU \d+: (?P<name>.+?)(?: \(UUID: [^)]*\))?$", re.MULTILINE)
_QUERY = ("--query-gpu=name,compute_cap,memory.total", "--format=csv,noheader,nounits")
_MISMATCH = re.compile(r"Driver/library version mismatch", re.IGNORECASE)
_NO_DRIVER = re.compile(r"couldn't communicate with the NVIDIA driver|No devices were found", re.IGNORECASE)
_MIB = 2**20


class Trouble(str, Enum):
    """Why the driver does not answer."""

    LIBRARY_MISSING = "library-missing"
    NOT_LOADED = "not-loaded"
    MISMATCH = "mismatch"
    DENIED = "denied"
    SILENT = "silent"
    OTHER = "other"


# NVML's return codes: nvml.h, nvmlReturn_enum.
_TROUBLES = {
    4: Trouble.DENIED,
    9: Trouble.NOT_LOADED,
    12: Trouble.LIBRARY_MISSING,
    18: Trouble.MISMATCH,
}


@record()
class HostGpu:
    """One GPU of the host; None for what nobody says."""

    name: str
    capability: Version | None = None
    memory: int | None = None
    """Bytes."""
    is_divided: bool = False
    """Whether MIG is on."""


@record()
class Nvidia:
    """What is known of the driver and the GPUs."""

    hardware: int = 0
    """NVIDIA's GPUs on the PCI bus."""
    kernel: Version | None = None
    """The version of the loaded kernel module."""
    driver: Version | None = None
    """The driver that answers."""
    cuda: Version | None = None
    """The newest CUDA that it runs natively."""
    gpus: tuple[HostGpu, ...] = ()
    source: str = ""
    """`NVML` or `nvidia-smi`."""
    trouble: Trouble | None = None
    said: str = ""
    """The library's or the program's own words about the trouble."""
    has_nouveau: bool = False
    """Whether the kernel's own driver has the GPUs."""


def read_nvidia(host: Host) -> Nvidia:
    """Driver and GPUs of the host. Never raises: what does not answer is the `trouble`."""
    found = _ask_library(host)
    if found.trouble in (Trouble.LIBRARY_MISSING, Trouble.OTHER):
        by_program = _ask_program(host)
        if by_program is not None:
            found = by_program
    kernel = _KERNEL.search(host.read(_KERNEL_FILE) or "")
    return Nvidia(
        hardware=_count_hardware(host),
        kernel=find_version(kernel["version"]) if kernel else None,
        driver=found.driver,
        cuda=found.cuda,
        gpus=found.gpus,
        source=found.source,
        trouble=found.trouble,
        said=found.said,
        has_nouveau=re.search(r"^nouveau ", host.read("/proc/modules") or "", re.MULTILINE) is not None,
    )


def parse_program(banner: str, queried: str, listed: str) -> Nvidia:
    """The driver and GPUs in what `nvidia-smi` prints, its query for name, capability and memory, and
    `nvidia-smi -L`. Older ones know no query for the capability."""
    driver, cuda = _BANNER_DRIVER.search(banner), _BANNER_CUDA.search(banner)
    gpus = tuple(_queried(queried)) or tuple(HostGpu(name=one["name"]) for one in _LISTED.finditer(listed))
    return Nvidia(
        driver=find_version(driver["version"]) if driver else None,
        cuda=find_version(cuda["version"]) if cuda else None,
        gpus=gpus,
        source="nvidia-smi",
        trouble=None if driver else _program_trouble(banner),
        said="" if driver else _first_line(banner),
    )


def _ask_library(host: Host) -> Nvidia:
    try:
        done = host.ask([sys.executable, str(_PROBE)])
    except ProgramTimeout as error:
        return Nvidia(trouble=Trouble.SILENT, said=error.problems[0].what)
    except ProgramNotFound as error:
        return Nvidia(trouble=Trouble.OTHER, said=error.problems[0].what)
    try:
        answer = json.loads(done.stdout)
        return _of_library(answer)
    except (ValueError, LookupError, TypeError):
        return Nvidia(trouble=Trouble.OTHER, said=_last_line(done.stderr) or "NVML's answer cannot be read")


def _of_library(answer: Mapping[str, object]) -> Nvidia:
    if answer["error"]:
        number = answer["error"]
        known = _TROUBLES.get(number, Trouble.OTHER) if isinstance(number, int) else Trouble.OTHER
        return Nvidia(trouble=known, said=str(answer["text"]))
    listed = answer["gpus"]
    gpus = tuple(
        HostGpu(
            name=str(gpu["name"]),
            capability=find_version(gpu["capability"]),
            memory=gpu["memory"] if isinstance(gpu["memory"], int) else None,
            is_divided=gpu["mig"] is True,
        )
        for gpu in (listed if isinstance(listed, list) else ())
        if "error" not in gpu
    )
    return Nvidia(
        driver=find_version(answer["driver"]), cuda=find_version(answer["cuda"]), gpus=gpus, source="NVML"
    )


def _ask_program(host: Host) -> Nvidia | None:
    """None where there is no `nvidia-smi`."""
    program = host.find_program("nvidia-smi")
    if program is None:
        return None
    try:
        banner = host.ask([str(program)])
        if banner.returncode != 0:
            said = banner.stdout + banner.stderr
            return Nvidia(source="nvidia-smi", trouble=_program_trouble(said), said=_first_line(said))
        queried = host.ask([str(program), *_QUERY])
        listed = host.ask([str(program), "-L"])
    except ProgramTimeout as error:
        return Nvidia(source="nvidia-smi", trouble=Trouble.SILENT, said=error.problems[0].what)
    except ProgramNotFound:
        return None
    return parse_program(banner.stdout, queried.stdout if queried.returncode == 0 else "", listed.stdout)


def _queried(text: str) -> Iterator[HostGpu]:
    for line in text.splitlines():
        name, _, rest = line.partition(",")
        capability, _, memory = rest.partition(",")
        known = find_version(capability.strip())
        if name.strip() and known is not None:
            memory = memory.strip()
            yield HostGpu(
                name=name.strip(),
                capability=known,
                memory=int(memory) * _MIB if memory.isdecimal() else None,
            )


def _program_trouble(text: str) -> Trouble:
    if _MISMATCH.search(text):
        return Trouble.MISMATCH
    return Trouble.NOT_LOADED if _NO_DRIVER.search(text) else Trouble.OTHER


def _count_hardware(host: Host) -> int:
    count = 0
    for device in host.names(_PCI):
        vendor = (host.read(f"{_PCI}/{device}/vendor") or "").strip()
        kind = (host.read(f"{_PCI}/{device}/class") or "").strip()
        count += vendor == _NVIDIA_VENDOR and kind.startswith(_DISPLAY_CLASS)
    return count


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:300]


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1][:300]
