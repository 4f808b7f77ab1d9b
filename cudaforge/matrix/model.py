"""The rows of the matrix: facts about what exists and what works with what.

Every row names its source. A fact of strength `inferred` never makes a yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from cudaforge.matrix.sources import Source
from cudaforge.records import made, record
from cudaforge.versions import Version, VersionWish


class CudaProvider(str, Enum):
    """Who brings the CUDA and cuDNN libraries that are loaded."""

    WHEELS = "wheels"
    SYSTEM = "system"
    NONE = "none"


@record()
class Framework:
    """A framework as a whole."""

    name: str
    title: str
    aliases: tuple[str, ...]
    proof: str
    """The probe that proves an image of it: `cudaforge/verifier/probes/<proof>.py`."""
    template: str
    """The install partial: `templates/frameworks/<template>.j2`."""
    facts_only: bool = False
    """Whether there is neither: it is shown and audited, and never chosen."""
    ignored: Mapping[Version, str] = made(default_factory=dict)
    """Releases on its index that shall have no row, each with the reason."""
    source: Source


@record()
class FrameworkBuild:
    """One build of one release of a framework for one set of platforms."""

    framework: str
    version: Version
    build: str
    """`cu128`, `cuda12`, `cpu`."""
    platforms: tuple[str, ...]
    released: str | None
    pythons: tuple[str, ...]
    """Minor versions, `3.12`; free-threaded ones as `3.13t`."""
    glibc: Version
    """The oldest glibc that its binaries load on."""
    provider: CudaProvider
    cuda: VersionWish | None
    """The CUDA releases whose libraries it can load; None for CPU builds."""
    cudnn: VersionWish | None
    nccl: Version | None
    cubins: tuple[Version, ...] | None
    """Compute capabilities compiled in. None where `compiler` makes the code at run time, so that the
    toolkit's range holds; without a `compiler` it means that nobody has looked: no GPU is a yes."""
    ptx: tuple[Version, ...]
    compiler: str | None = None
    """Where the ptxas comes from that compiles its kernels at run time: a wheel package
    (`nvidia-cuda-nvcc-cu12`), or `toolkit` (the image's)."""
    index: str
    """Name of the package index that serves it; `default` is the site's own."""
    requires: tuple[str, ...]
    """PEP 508 requirements that install it, exactly pinned."""
    toolkit_extras: tuple[str, ...]
    """Extras of the CUDA toolkit metapackage that pin its CUDA wheels, where `cuda` is a range."""
    cudnn_package: str | None
    nccl_package: str | None = None
    """Wheel package that `nccl` is a version of, where the build's wheels name one."""
    reported: str
    """What the framework says of its own version, `2.8.0+cu128`."""
    env: Mapping[str, str]
    size: int | None
    installed: int | None = None
    """Bytes of its wheels and of those that they require, as the index serves them and when unpacked."""
    cuda_size: int | None = None
    cuda_installed: int | None = None
    """What NVIDIA's wheels have of both: frameworks share these."""
    own_base: bool = False
    """Whether no published base image has the CUDA and cuDNN that it loads; the user's own may."""
    source: Source
    constraints: tuple[str, ...] = ()
    """PEP 508 limits that its dependencies need and its own metadata does not state (`numpy<2`)."""


@record()
class CudaRelease:
    """One CUDA toolkit release, `12.8.1`."""

    version: Version
    driver: Version | None
    """The native Linux driver: full function, PTX included."""
    minor_driver: Version | None
    """The oldest driver under minor-version compatibility (cubins only)."""
    capabilities: tuple[Version, ...]
    """Compute capabilities that its compiler and libraries cover."""
    metapackage: str | None
    """Exact requirement of the wheel metapackage that pins its libraries, `cuda-toolkit==12.8.1`."""
    released: str | None = None
    gcc: Version | None = None
    """The newest GCC that its compiler accepts as the host's."""
    clang: Version | None = None
    """The newest Clang that its compiler accepts as the host's."""
    systems: tuple[str, ...] = ()
    """Operating systems that NVIDIA has packages of it for, as `[[systems]]` names them."""
    compat_package: str | None = None
    """The OS package that brings its user-mode driver to older kernel drivers, `cuda-compat-12-8`."""
    compat_branches: tuple[int, ...] = ()
    """Driver branches older than its own that the package runs on: data-centre GPUs alone."""
    source: Source


@record()
class CudnnRelease:
    """One cuDNN release, `9.10.2.21`."""

    version: Version
    packages: Mapping[str, str]
    """CUDA major (`12`) to wheel package (`nvidia-cudnn-cu12`); only where a wheel exists."""
    capability_min: Mapping[str, Version]
    """CUDA major to the oldest compute capability it supports."""
    capability_max: Mapping[str, Version] = made(default_factory=dict)
    """CUDA major to the newest compute capability it supports, where its support matrix says one."""
    cuda: Mapping[str, str] = made(default_factory=dict)
    """CUDA major to the minors that it is supported with, `11.0 11.1`; a major with an empty text, or
    one that `capability_min` alone names, is supported without saying which."""
    released: str | None = None
    source: Source


@record()
class Gpu:
    """One GPU product."""

    name: str
    aliases: tuple[str, ...]
    capability: Version
    kind: str
    """`datacenter`, `workstation`, `consumer`, `embedded`, `laptop`."""
    first_driver: Version | None
    """Oldest driver that knows it."""
    last_branch: int | None
    """Last driver branch that still supports it; None while it is supported."""
    family: str | None = None
    """The architecture that NVIDIA names it after: `Hopper`, `Ada Lovelace`."""
    platforms: tuple[str, ...] = ()
    """Platforms of the machines that it is built into; empty where it is a card for any of them."""
    source: Source


@record()
class OperatingSystem:
    """One release of an operating system that images are made of."""

    id: str
    """`ubuntu22.04`, `debian12`."""
    family: str
    codename: str
    glibc: Version
    image: str
    """Its plain public image, `debian:12-slim`."""
    python: str | None
    """The Python minor in its archive."""
    python_packages: tuple[str, ...]
    """OS packages that bring that Python, with what wheels need at run time."""
    library_packages: tuple[str, ...]
    """OS packages that framework wheels need with any Python (`libgomp1`, CA certificates)."""
    bootstrap_packages: tuple[str, ...]
    """Packages of a bootstrapped base; empty where it cannot be bootstrapped."""
    eol: str | None
    """The end of regular support."""
    lts: str | None = None
    """Until when its archive still gets security updates after that (Debian LTS)."""
    archive_python: str | None = None
    """The Python minor of its archive where images that are made do not use it (too old for uv)."""
    pip: Version | None = None
    """The pip of its archive."""
    externally_managed: bool = False
    """Whether pip refuses to install into its Python outside of virtual environments (PEP 668)."""
    user: str | None = None
    """The account with uid 1000 that its images bring (`ubuntu` on ubuntu24.04)."""
    size: int | None = None
    installed: int | None = None
    """Bytes of its plain public image, as a registry serves it and when unpacked."""
    python_size: int | None = None
    python_installed: int | None = None
    """What `python_packages` and `library_packages` add to it."""
    library_size: int | None = None
    library_installed: int | None = None
    """What `library_packages` add to an image that has the certificates of its Python already."""
    bootstrap_size: int | None = None
    bootstrap_installed: int | None = None
    """Bytes of the base made of `bootstrap_packages`."""
    source: Source


@record()
class BaseImage:
    """One image tag that an image can start from."""

    reference: str
    """`nvidia/cuda:12.8.1-base-ubuntu22.04`."""
    os: str
    platforms: tuple[str, ...]
    flavor: str | None
    """`base`, `runtime`, `devel` for CUDA images, else None."""
    cuda: Version | None
    cudnn: Version | None
    gate: str | None
    """Its `NVIDIA_REQUIRE_CUDA`, or the CUDA part of it."""
    python: str | None
    """The Python minor that the image itself brings (`python:*` images)."""
    removed: str | None
    """Since when the tag is gone (ISO date, or `unknown`); None while it exists."""
    replaced_by: str | None
    size: int | None
    installed: int | None = None
    """Bytes of its layers, as a registry serves them and when unpacked."""
    compat_platforms: tuple[str, ...] = ()
    """The platforms on which it carries the `compat_package` of its CUDA release."""
    gate_branches: tuple[int, ...] = ()
    """Older driver branches that its gate lets pass there, on GPUs of `gate_brands`:
    `brand=tesla,driver>=535,driver<536` for each of them."""
    gate_brands: tuple[str, ...] = ()
    source: Source


@record()
class DriverBranch:
    """One NVIDIA driver branch."""

    branch: int
    cuda: Version
    """Newest CUDA that it runs natively."""
    kind: str | None = None
    """`production`, `long-term`, `new-feature`; None where nobody says."""
    eol: str | None
    source: Source


@record()
class PackageIndex:
    """A package index that the matrix names. The site's own is called `default` and has no row."""

    name: str
    url: str
    others: tuple[str, ...] = ()
    """Packages that the channels of its family may show beside the framework; none where that is unknown."""
    source: Source


@record()
class Maker:
    """Somebody else who makes accelerators, of which no facts are known: told apart from a misspelled GPU."""

    name: str
    """`AMD`."""
    words: tuple[str, ...]
    """Words that its names have, in lower case; `*` and `[0-9]` as in file names: `mi[0-9]*`."""
    source: Source


@record()
class Feed:
    """A directory on the web that a vendor has its releases in: asked when facts are refreshed, and for the
    archives of standalone Pythons."""

    name: str
    subject: str
    """What it has releases of: `cuda`, `cudnn`, `python`."""
    url: str
    source: Source


@record()
class SnapshotService:
    """What serves the archive of a family of operating systems as it was at any time since a day."""

    name: str
    family: str
    url: str
    """What the paths of `archives` are below."""
    keyring: str
    """Where images of the family have the keys that the archive is signed with."""
    since: str
    """The first day that is served."""
    archives: tuple[str, ...]
    """Path, suite and components, with `TIMESTAMP` (`20260601T000000Z`) and `CODENAME` to fill in."""
    source: Source


@record()
class FrameworkImage:
    """A published image that already has frameworks in it: for audits, never chosen."""

    reference: str
    """`pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime`."""
    os: str
    platforms: tuple[str, ...]
    python: str | None
    cuda: Version | None
    cudnn: Version | None
    contents: Mapping[str, str]
    """Package to exact version, `torch`: `2.8.0+cu128`."""
    flavor: str | None = None
    driver: Version | None = None
    """The driver that its vendor asks for."""
    released: str | None = None
    removed: str | None = None
    source: Source


@record()
class PythonRelease:
    """One minor version of Python."""

    version: str
    """`3.12`."""
    released: str | None
    eol: str | None
    source: Source


@record()
class StandalonePython:
    """One release of a Python that runs on any OS that has its glibc: an archive for each platform."""

    version: Version
    """`3.11.17`."""
    release: str
    """The tag that it is published under, `20261021`."""
    released: str | None
    glibc: Version
    """The oldest that it runs on."""
    feed: str
    """The directory on the web that has it, as `[[feeds]]` names it."""
    files: Mapping[str, str]
    """Platform to the archive's path below that directory."""
    sha256: Mapping[str, str]
    """Platform to the SHA-256 of the archive, in hexadecimal."""
    source: Source

    @property
    def minor(self) -> str:
        """`3.11`."""
        return str(self.version.minor())


@record()
class Broken:
    """A combination known not to work, matched by one generic rule.

    `when` maps a field of the answer (`framework`, `version`, `build`, `cuda`, `cudnn`, `capability`,
    `python`, `provider`, `platform`, `os`) to a wish on it; all must hold.
    """

    when: Mapping[str, str]
    effect: str
    is_fatal: bool = True
    """False where it works after all, with the `effect` that the answer warns of."""
    code: str | None = None
    """The kind of trouble that it is, as `cudaforge.codes` names it, where it is a particular one."""
    source: Source
