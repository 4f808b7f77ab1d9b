"""What a user may declare. Values as written: nothing chosen is ever filled in here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from cudaforge.records import made, record
from cudaforge.versions import VersionWish


class Flavor(str, Enum):
    """How much of CUDA an image carries."""

    BASE = "base"
    RUNTIME = "runtime"
    DEVEL = "devel"


class Preference(str, Enum):
    """By which policy the best of several answers is chosen."""

    NEWEST = "newest"
    SMALLEST = "smallest"
    STABLE = "stable"


class Gate(str, Enum):
    """What becomes of the base image's `NVIDIA_REQUIRE_CUDA`."""

    KEEP = "keep"
    RELAX = "relax"
    OFF = "off"


SNAPSHOT_OF_LOCK = "lock"
"""`os_snapshot = true`: the archive as it was on the day of locking."""
NO_SNAPSHOT = "none"
"""`os_snapshot = false`: the archive as it is on the day of building, whatever `--as-of` says."""


class OnConflict(str, Enum):
    """What an image without an answer does to the run."""

    ERROR = "error"
    SKIP = "skip"


class GpuDemand(str, Enum):
    """Whether a verification needs a GPU."""

    REQUIRED = "required"
    AUTO = "auto"
    OFF = "off"


@record()
class FrameworkWish:
    """One framework asked for: `pytorch>=2.6,<2.9`. `name` as written, lower case."""

    name: str
    version: VersionWish | None = None

    def __str__(self) -> str:
        if self.version is None:
            return self.name
        text = str(self.version)
        return f"{self.name}=={text}.*" if text[0].isdigit() else f"{self.name}{text}"


@record()
class Wishes:
    """What one image asks of the resolver. None means "not written"."""

    frameworks: tuple[FrameworkWish, ...]
    build: str | None = None
    cuda: VersionWish | None = None
    is_cpu: bool = False
    """`cuda = "none"`: the CPU twin."""
    cudnn: VersionWish | None = None
    python: VersionWish | None = None
    os: str | None = None
    gpus: tuple[str, ...] = ()
    driver: str | None = None
    """The oldest driver in the fleet."""
    flavor: Flavor | None = None
    platforms: tuple[str, ...] = ()
    base: str | None = None
    python_provider: str | None = None
    cuda_provider: str | None = None
    toolkit: VersionWish | None = None
    prefer: Preference = Preference.NEWEST
    prefer_per_field: Mapping[str, Preference]
    forward_compat: bool = False
    require_cuda: Gate = Gate.KEEP
    packages: tuple[str, ...] = ()
    """The packages among the contents: some go with some releases of a framework alone."""
    constraints: tuple[str, ...] = ()
    """The constraints among the contents, which only package indexes can say something of."""
    from_source: tuple[str, ...] = ()
    """Names (PEP 503) of packages that are asked for as source: by a commit, or to be built."""
    wheels: tuple[str, ...] = ()
    """Names (PEP 503) of packages that come as a file of the project."""


@record()
class CopyStep:
    """Files of the project that go into the image. `source` is relative to the project."""

    source: str
    target: str


@record()
class LocalWheel:
    """A wheel of the project. `path` is relative to it."""

    package: str
    version: str
    filename: str
    path: str
    sha256: str


@record()
class Contents:
    """What goes into the image besides the frameworks, and how it runs."""

    packages: tuple[str, ...] = ()
    """PEP 508; those of the `requirements` file are among them."""
    constraints: tuple[str, ...] = ()
    """PEP 508: what that file says of packages that others bring."""
    hashes: Mapping[str, tuple[str, ...]] = made(default_factory=dict)
    """Package to the SHA-256 of the files that may be installed; those without an entry are free."""
    wheels: tuple[LocalWheel, ...] = ()
    """Those of `packages` that are files of the project."""
    from_source: tuple[str, ...] = ()
    """Packages (PEP 503) that may be built from their source, and are."""
    requirements: str | None = None
    """The file that some of `packages` come from, for messages."""
    apt: tuple[str, ...] = ()
    os_snapshot: str | None = None
    """The day, as YYYY-MM-DD, from whose snapshot OS packages come, SNAPSHOT_OF_LOCK or NO_SNAPSHOT."""
    copy: tuple[CopyStep, ...] = ()
    workdir: str | None = None
    env: Mapping[str, str]
    env_overrides: frozenset[str] = frozenset()
    """Names in `env` that are reserved or look like secrets, and are meant nevertheless."""
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    user: str | None = None
    labels: Mapping[str, str]
    tags: tuple[str, ...] = ()
    max_size: int | None = None
    """Bytes."""
    run: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    ssh: bool = False
    template: str | None = None


@record()
class VerifySettings:
    """How an image is proven."""

    gpu: GpuDemand = GpuDemand.AUTO
    steps: int = 20
    memory_limit: int | None = None
    """Bytes."""
    timeout: float = 300.0
    """Seconds."""


@record()
class ImageDeclaration:
    """One image to make: an `[images.NAME]` table, or one point of its matrix.

    `name` is unique and safe as a file name and an image tag. `key` is the dotted key of the table
    that it came from, for messages.
    """

    name: str
    image: str
    key: str
    axes: tuple[tuple[str, str], ...] = ()
    wishes: Wishes
    contents: Contents
    verify: VerifySettings
    on_conflict: OnConflict = OnConflict.ERROR


@record()
class Network:
    """The site's network, where the environment and the tools' own configuration do not say it."""

    ca_bundle: Path | None = None
    http_proxy: str | None = None
    https_proxy: str | None = None
    no_proxy: str | None = None
    index: str | None = None
    """The default package index, instead of the one that pip and uv are configured with."""
    extra_indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    indexes: Mapping[str, str]
    """Addresses for the indexes that the matrix names, such as a mirror of `pytorch-cu128`."""
    python_mirror: str | None = None
    """Where standalone Pythons come from, instead of their public address."""
    os_snapshots: Mapping[str, str] = made(default_factory=dict)
    """Addresses for the snapshot services of OS archives that the matrix names."""


@record()
class FleetNode:
    """Machines of a fleet that are alike: what is in them, and how many of them there are."""

    name: str
    gpus: tuple[str, ...]
    driver: str | None = None
    """The NVIDIA driver; None where any may be."""
    count: int = 1


@record()
class Fleet:
    """The machines that images have to run on. `dumps` are files of the project that tell of more of them."""

    nodes: tuple[FleetNode, ...] = ()
    dumps: tuple[str, ...] = ()


@record()
class Declaration:
    """A whole declaration file, `extends` merged and matrices expanded."""

    path: Path
    """The file; messages name it as the user wrote it."""
    root: Path
    """The project directory: what `copy`, `requirements` and `extends` stay inside."""
    project: str
    registry: str | None = None
    images: tuple[ImageDeclaration, ...]
    registries: Mapping[str, str]
    """Mirror map: registry host to the host (and path) that stands in for it."""
    network: Network
    overlays: tuple[Path, ...] = ()
    fleet: Fleet | None = None
    """Asked about by `resolve` alone: no image, and so no lock, is made from it."""
    as_of: str | None = None
    """The day that facts and packages are taken from, as YYYY-MM-DD: `lock --as-of` says it, and no file."""
    digest: str
    """SHA-256 over what the lock is made from: what the declaration, the files it extends and its
    requirements mean (no comments, no formatting) and the bytes of its overlays. `[network]` and
    `[registries]` only say where a site finds things, and are not in it."""
