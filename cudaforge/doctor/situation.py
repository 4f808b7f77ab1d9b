"""Everything that checks judge, gathered once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from cudaforge.doctor.cdi import CdiSpec
from cudaforge.doctor.host import Disk, Host
from cudaforge.doctor.nvidia import Nvidia, Trouble
from cudaforge.engine import EngineWords, GpuOffer, words_of
from cudaforge.errors import Problem
from cudaforge.lockfile.model import LockedImage
from cudaforge.matrix import Matrix
from cudaforge.packages.site import Site
from cudaforge.records import made, record


class EngineTrouble(str, Enum):
    """Why an engine cannot be used."""

    ABSENT = "absent"
    DENIED = "denied"
    TOO_OLD = "too-old"
    SILENT = "silent"
    OTHER = "other"


@record()
class SeenEngine:
    """The container engine, or why there is none."""

    socket: str | None = None
    """Of an engine on this machine."""
    is_local: bool = True
    version: str = ""
    info: Mapping[str, object] = made(default_factory=dict)
    offer: GpuOffer | None = None
    trouble: EngineTrouble | None = None
    problem: Problem | None = None
    is_podman: bool = False
    """Of one that does not answer: whether it should be Podman."""
    buildx: Problem | None = None
    """Why buildx, or this machine's Podman where that is the engine, cannot build."""
    disk: Disk | None = None
    """Where it keeps images."""
    present: frozenset[str] = frozenset()
    """Names of the expected images that it has already."""

    @property
    def words(self) -> EngineWords:
        """What people type to mend it."""
        return words_of(is_podman=self.is_podman)


@record()
class Expected:
    """An image that is to be built here."""

    name: str
    reference: str
    compressed: int | None
    """Bytes to download; None where nobody knows."""
    installed: int | None
    is_lower_bound: bool
    has_cuda: bool


@record()
class Logins:
    """Docker's client configuration, without a secret in it."""

    file: str | None
    """None where there is none."""
    error: str | None = None
    missing_helpers: tuple[str, ...] = ()
    """Programs that it names and that are not installed."""
    known: frozenset[str] = frozenset()
    """Registries that it has a login for."""
    has_store: bool = False
    """Whether one store has them all, so that nobody but it knows which there are."""
    is_readable_by_others: bool = False
    """Whether others can read passwords in it."""


@record()
class SeenNetwork:
    """How this site reaches the network."""

    site: Site | None
    problem: Problem | None = None
    """Why its settings cannot be used."""
    certificates: str | None = None
    """What is wrong with the CA bundle."""
    silent_proxies: tuple[str, ...] = ()
    """Addresses of proxies, without passwords, that take no connection."""


@record()
class Situation:
    """One host, as it was seen, and what it is to do."""

    host: Host
    engine: SeenEngine
    nvidia: Nvidia
    specs: tuple[CdiSpec, ...] = ()
    spec_directories: tuple[str, ...] = ()
    logins: Logins
    network: SeenNetwork
    matrix: Matrix
    expected: tuple[Expected, ...] = ()
    registries: tuple[str, ...] = ()
    """Where the declaration's images are to be pushed."""
    image: LockedImage | None = None
    """The image that is asked about."""

    @property
    def wants_gpu(self) -> bool:
        """Whether an image is for a GPU."""
        if self.image is not None:
            return self.image.cuda is not None
        return any(one.has_cuda for one in self.expected)

    @property
    def has_gpu(self) -> bool:
        """Whether there is any sign of an NVIDIA GPU or of its driver."""
        seen = self.nvidia
        is_driven = seen.trouble in (Trouble.MISMATCH, Trouble.DENIED, Trouble.SILENT)
        return bool(seen.hardware or seen.driver or seen.kernel or is_driven)
