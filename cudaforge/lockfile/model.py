"""The lock: everything that render, build and verify need, and nothing that only a site knows."""

from __future__ import annotations

from collections.abc import Mapping

from cudaforge.packages.model import LockedPython, LockedWheel, PythonArchive
from cudaforge.records import record

__all__ = [
    "LOCK_SCHEMA",
    "WHEELS_DIRECTORY",
    "Closure",
    "Declared",
    "DroppedPoint",
    "Lock",
    "LockedBase",
    "LockedCopy",
    "LockedFramework",
    "LockedImage",
    "LockedPython",
    "LockedSnapshot",
    "LockedVerify",
    "LockedWheel",
    "OsPackage",
    "PlatformManifest",
    "PythonArchive",
]

LOCK_SCHEMA = 1
USUAL_DECLARATION = "cudaforge.toml"
WHEELS_DIRECTORY = "cudaforge.lock.d/wheels"
"""Where the project's own wheels lie, relative to the lock."""


@record()
class LockedFramework:
    """One framework of a locked image."""

    name: str
    version: str
    build: str
    reported: str
    proof: str
    template: str


@record()
class OsPackage:
    """One package of a bootstrapped base."""

    name: str
    version: str
    architecture: str
    filename: str
    """Path below the archive's root."""
    sha256: str
    size: int


@record()
class PlatformManifest:
    """The part of a base that one platform takes."""

    platform: str
    digest: str


@record()
class LockedBase:
    """What the image starts from."""

    reference: str
    """As declared or chosen: `python:3.11-slim-bookworm`, `bootstrap:debian12`."""
    digest: str | None
    """`sha256:...` of its manifest or index; None only after `--allow-unpinned`."""
    codename: str
    packages: tuple[OsPackage, ...] = ()
    """Contents of a bootstrapped base; empty for images from a registry."""
    manifests: tuple[PlatformManifest, ...] = ()
    """Of an image of several platforms: the manifest of each, which `digest` is the index of."""
    snapshot: str | None = None
    """Of a bootstrapped base that was made from a snapshot of the archive: its timestamp."""

    @property
    def is_bootstrap(self) -> bool:
        """Whether the base is made from the OS archive instead of pulled."""
        return self.reference.startswith("bootstrap:")


@record()
class LockedSnapshot:
    """The state of an OS archive that packages are installed from."""

    service: str
    """The row of the matrix that it comes from: `debian`."""
    timestamp: str
    """`20260601T000000Z`, in UTC."""
    url: str
    """Public; a site may have another one for the same service."""
    keyring: str
    """The file in the base that the archive's signatures are checked by."""
    archives: tuple[str, ...]
    """Path below the address, suite and components: `debian/20260601T000000Z bookworm main`."""


@record()
class Closure:
    """All Python packages of an image: the PEP 751 file, read."""

    file: str
    """Path relative to the lock: `cudaforge.lock.d/pylock.train.toml`."""
    sha256: str
    """Of the file's bytes."""
    wheels: tuple[LockedWheel, ...]
    is_missing: bool = False
    """Whether the file is not there, so that its hash alone is known: only a comparison goes on without."""


@record()
class LockedCopy:
    """Files of the project that go into the image."""

    source: str
    target: str


@record()
class LockedVerify:
    """How the image is proven."""

    gpu: str
    steps: int
    memory_limit: int | None
    timeout: float


@record()
class LockedImage:
    """One image, complete: the same entry always renders to the same bytes."""

    name: str
    image: str
    digest: str
    """SHA-256 over this entry and its closure: the identity that is written into the image."""
    tags: tuple[str, ...]
    """Full references: `ghcr.io/acme/vision:train-py312`."""
    base: LockedBase
    frameworks: tuple[LockedFramework, ...]
    cuda: str | None
    cudnn: str | None
    nccl: str | None
    cuda_provider: str
    toolkit: str | None
    driver_floor: str | None
    gate: str | None
    """Value for `NVIDIA_REQUIRE_CUDA` in the image; None keeps the base's, empty switches it off."""
    forward_compat: bool
    """Whether the base's forward-compatibility package is for use; else the image goes without it."""
    architectures: tuple[str, ...]
    ptx: tuple[str, ...]
    python: str
    python_provider: str
    standalone: LockedPython | None = None
    """The archives that Python comes from, where no base and no OS archive brings it."""
    os: str
    os_family: str
    flavor: str
    platforms: tuple[str, ...]
    os_packages: tuple[str, ...]
    """OS packages to install: Python's, the wheels' needs, then the user's."""
    snapshot: LockedSnapshot | None = None
    """Where they come from; None for what the base's own sources have on the day of building."""
    base_user: str | None
    closure: Closure
    companions: Mapping[str, str]
    copy: tuple[LockedCopy, ...]
    workdir: str
    env: Mapping[str, str]
    command: tuple[str, ...] | None
    entrypoint: tuple[str, ...] | None
    user: str
    labels: Mapping[str, str]
    max_size: int | None
    run: tuple[str, ...]
    secrets: tuple[str, ...]
    ssh: bool
    template: str | None
    verify: LockedVerify


@record()
class DroppedPoint:
    """A matrix point that has no answer, kept so that `build` and reports can say so."""

    name: str
    core: tuple[str, ...]


@record()
class Declared:
    """What was declared alike for some images: for telling what has changed since, and nothing else."""

    images: tuple[str, ...]
    """Names of image tables; an empty one stands for what is no image's."""
    values: Mapping[str, str | int | tuple[str, ...]]
    """By key."""


@record()
class Lock:
    """A whole lock file."""

    project: str
    declaration: str
    """Digest of the declaration that it was made from."""
    matrix: str
    """Revision (SHA-256) of the matrix that it was made from."""
    tools: Mapping[str, str]
    """Versions of cudaforge and uv that made it."""
    as_of: str | None = None
    """The day, as YYYY-MM-DD, that facts and packages were taken from; None for that of locking."""
    images: tuple[LockedImage, ...]
    dropped: tuple[DroppedPoint, ...] = ()
    declared: tuple[Declared, ...] = ()
    """What `declaration` is the digest of, key by key; empty in locks of before, which did not keep it."""
    file: str = USUAL_DECLARATION
    """The name of the declaration's file, which is beside the lock."""
