"""What the image is made of: Python, C library, operating system, installed distributions."""

import os
import platform
import pwd
import re
import resource
import subprocess
import sys
from typing import Dict, Optional, Sequence

_SHOWN = (
    "CUDA_VERSION",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_REQUIRE_CUDA",
    "CUDA_VISIBLE_DEVICES",
    "JAX_PLATFORMS",
    "JAX_PLATFORM_NAME",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
)
_LISTED = 2000


def describe_system() -> Dict[str, object]:
    """Python, C library, operating system, user and limits of this process."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "free_threaded": not getattr(sys, "_is_gil_enabled", lambda: True)(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "glibc": _glibc(),
        "os": _os_release(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "user": _user_name(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_limit": memory_limit(),
        "shared_memory": shared_memory(),
        "env": {name: os.environ[name] for name in _SHOWN if name in os.environ},
    }


def list_distributions(directories: Optional[Sequence[str]] = None) -> Dict[str, str]:
    """Name (normalised) to version of every distribution on a path, `sys.path` without one; the first counts.

    Read from directory names, which needs no importlib.metadata (Python 3.8) and takes milliseconds.
    """
    found: Dict[str, str] = {}
    for directory in sys.path if directories is None else directories:
        try:
            names = sorted(os.listdir(directory or "."))
        except OSError:
            continue
        for name in names:
            match = re.match(r"(.+?)-([^-]+)(?:-py\d[^-]*)?\.(?:dist|egg)-info$", name)
            if match and len(found) < _LISTED:
                found.setdefault(re.sub(r"[-_.]+", "-", match.group(1)).lower(), match.group(2))
    return found


def find_toolkit() -> Dict[str, object]:
    """The CUDA compiler, if the image carries one."""
    for compiler in ("/usr/local/cuda/bin/nvcc", "nvcc"):
        try:
            said = subprocess.run(
                [compiler, "--version"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=20,
                check=False,
            ).stdout.decode("utf-8", "replace")
        except (OSError, subprocess.SubprocessError):
            continue
        release = re.search(r"\bV(\d+\.\d+\.\d+)", said) or re.search(r"release (\d+\.\d+)", said)
        return {"path": compiler, "version": release.group(1) if release else None}
    return {"path": None, "version": None}


def memory_limit() -> Optional[int]:
    """Bytes that the container may use, where it is limited."""
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = _read(file).strip()
        if text.isdigit() and int(text) < 1 << 60:
            return int(text)
    return None


def shared_memory() -> Optional[int]:
    """Bytes that still fit into /dev/shm; None where it is not there or not writable."""
    try:
        status = os.statvfs("/dev/shm")  # noqa: S108 -- the container's own, and only looked at
    except OSError:
        return None
    return status.f_bavail * status.f_frsize if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def memory_kills() -> int:
    """How often the kernel killed a process of this container for memory."""
    for file in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        found = re.search(r"^oom_kill (\d+)$", _read(file), re.MULTILINE)
        if found:
            return int(found.group(1))
    return 0


def peak_memory() -> int:
    """The largest resident size, in bytes, of any finished child."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _glibc() -> Optional[str]:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):
        return None
    return version if name == "glibc" else None


def _os_release() -> Dict[str, str]:
    pairs = re.findall(
        r'^(ID|VERSION_ID|VERSION_CODENAME|PRETTY_NAME)="?([^"\n]*)"?$', _read("/etc/os-release"), re.M
    )
    return {key.lower(): value for key, value in pairs}


def _user_name() -> Optional[str]:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(65536).decode("utf-8", "replace")
    except OSError:
        return ""
