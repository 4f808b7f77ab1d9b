"""What is asked of a container engine, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from cudaforge.records import made, record

RUN_LABEL = "io.cudaforge.run"
"""On every container that cudaforge starts: the id of the run that has to remove it."""


class GpuMethod(str, Enum):
    """How an engine is asked for GPUs."""

    CDI = "cdi"
    """Container Device Interface: `--device nvidia.com/gpu=all`."""
    RUNTIME = "runtime"
    """The registered `nvidia` runtime: `--runtime nvidia`, with NVIDIA_VISIBLE_DEVICES."""
    DEVICE_REQUEST = "device-request"
    """`--gpus all`: the engine finds NVIDIA's hook by itself, or refuses at the start."""
    SCHEDULER = "scheduler"
    """A cluster gave them: Kubernetes' device plugin, or Slurm with a runtime that takes what it may see."""


@record()
class GpuRequest:
    """GPUs for a container."""

    method: GpuMethod
    devices: tuple[str, ...] = ("all",)
    """CDI names (`nvidia.com/gpu=all`) with CDI, else `all` or indexes and UUIDs."""


@record()
class GpuOffer:
    """How this engine can give GPUs to a container.

    `request` asks for all of them; None where the engine offers none. An offer is no proof: the start
    can still be refused (`ContainerOutcome.start_error`).
    """

    request: GpuRequest | None
    cdi_devices: tuple[str, ...] = ()
    """`nvidia.com/gpu=0`, `nvidia.com/gpu=all`: what the engine's CDI specs name."""
    has_runtime: bool = False
    """Whether a runtime called `nvidia` is registered."""
    host_devices: tuple[str, ...] = ()
    """`/dev/nvidia0`, ...: what this host shows, for an engine on this host."""
    has_hardware: bool = False
    """Whether a GPU of NVIDIA's is on this host's PCI bus, driver or not; for an engine on this host."""
    is_podman: bool = False
    """Whether Podman answers: it gives GPUs by CDI alone."""
    is_local: bool = False
    """Whether the engine runs on this host, so that what the host shows counts."""


@record()
class Mount:
    """A directory or file of the engine's host in a container."""

    source: str
    target: str
    read_only: bool = True


@record()
class ContainerSpec:
    """One container to run to its end. The defaults are the careful ones."""

    image: str
    """A reference or an image id. It is never pulled."""
    run_id: str
    argv: tuple[str, ...] | None = None
    """None runs the image's own command."""
    entrypoint: tuple[str, ...] | None = None
    """None keeps the image's; empty switches it off."""
    env: Mapping[str, str] = made(default_factory=dict)
    stdin: bytes | None = None
    """Fed to the container, then closed. Works where files cannot be mounted: remote engines."""
    user: str | None = None
    workdir: str | None = None
    memory: int | None = None
    """Bytes, swap included."""
    pids: int | None = None
    cpus: float | None = None
    shared_memory: int | None = None
    """Bytes of /dev/shm."""
    tmpfs: Mapping[str, str] = made(default_factory=dict)
    """Mount point to options: `{"/tmp": "size=256m"}`."""
    mounts: tuple[Mount, ...] = ()
    read_only: bool = False
    drop_capabilities: bool = False
    """Take every Linux capability away."""
    has_network: bool = False
    gpu: GpuRequest | None = None
    log_limit: int = 4 * 1024 * 1024
    """Bytes kept of each of stdout and stderr: the last ones."""


@record()
class ContainerOutcome:
    """How a container ended. The container itself is gone."""

    exit_status: int | None
    """None where it never started, or was stopped at the deadline."""
    stdout: str
    stderr: str
    seconds: float
    dropped: int = 0
    """Bytes of output that `log_limit` cut off."""
    oom_killed: bool = False
    timed_out: bool = False
    start_error: str | None = None
    """What the engine said when it refused to create or start the container."""


@record()
class ImageFacts:
    """An image that the engine has."""

    id: str
    tags: tuple[str, ...]
    size: int
    """Bytes of its unpacked layers, the same with every image store."""
    labels: Mapping[str, str]
    architecture: str
    created: str
    layers: tuple[int, ...] = ()
    """Bytes of its unpacked layers that are not empty, the largest first."""
    env: Mapping[str, str] = made(default_factory=dict)
    """The environment that its containers begin with."""
    digests: tuple[str, ...] = ()
    """Of its manifests, as far as the engine knows them: `sha256:...`."""
