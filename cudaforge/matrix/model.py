"""The rows of the matrix: facts about what exists and what works with what.

Every row names its source. A fact of strength `inferred` never makes a yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from cudaforge.versions import Version, VersionWish


class Strength(str, Enum):
    """How a fact is known, strongest first."""

    MEASURED = "measured"
    """Read out of the artefact itself."""
    INDEX = "index"
    """The package index's own metadata."""
    VENDOR = "vendor"
    """A vendor's document."""
    INFERRED = "inferred"
    """Derived or recalled; used to warn, never to say yes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a fact comes from. `checked` is an ISO date."""

    id: str
    text: str
    checked: str
    strength: Strength
    file: str
    """The matrix file, relative to `matrices/`."""

    def citation(self) -> str:
        """The source as messages name it: `[frameworks/pytorch.toml: wheel-2.6, checked 2026-11-22]`."""
        return f"[{self.file}: {self.id}, checked {self.checked}]"


class CudaProvider(str, Enum):
    """Who brings the CUDA and cuDNN libraries that are loaded."""

    WHEELS = "wheels"
    SYSTEM = "system"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """A framework as a whole."""

    name: str
    title: str
    aliases: tuple[str, ...]
    proof: str
    """The probe that proves an image of it: `cudaforge/verifier/probes/<proof>.py`."""
    template: str
    """The install partial: `templates/frameworks/<template>.j2`."""
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """Compute capabilities compiled in; None where code is compiled at run time with the CUDA
    toolkit's own compiler, so that the toolkit's range holds."""
    ptx: tuple[Version, ...]
    index: str
    """Name of the package index that serves it; `default` is the site's own."""
    requires: tuple[str, ...]
    """PEP 508 requirements that install it, exactly pinned."""
    toolkit_extras: tuple[str, ...]
    """Extras of the CUDA toolkit metapackage that pin its CUDA wheels, where `cuda` is a range."""
    cudnn_package: str | None
    nccl_package: str | None = None
    """Wheel package that `nccl` is a version of, where the build's wheels name one."""
    companions: Mapping[str, str]
    """Packages that belong to it, name to exact version (`torchvision`: `0.23.0`)."""
    reported: str
    """What the framework says of its own version, `2.8.0+cu128`."""
    env: Mapping[str, str]
    size: int | None
    """Compressed bytes of its wheels, where known."""
    source: Source
    constraints: tuple[str, ...] = ()
    """PEP 508 limits that its dependencies need and its own metadata does not state (`numpy<2`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
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
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class CudnnRelease:
    """One cuDNN release, `9.10.2.21`."""

    version: Version
    packages: Mapping[str, str]
    """CUDA major (`12`) to wheel package (`nvidia-cudnn-cu12`); only where a wheel exists."""
    capability_min: Mapping[str, Version]
    """CUDA major to the oldest compute capability it supports."""
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
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
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
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
    user: str | None = None
    """The account with uid 1000 that its images bring (`ubuntu` on ubuntu24.04)."""
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """Its `NVIDIA_REQUIRE_CUDA`."""
    python: str | None
    """The Python minor that the image itself brings (`python:*` images)."""
    removed: str | None
    """Since when the tag is gone (ISO date, or `unknown`); None while it exists."""
    replaced_by: str | None
    size: int | None
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverBranch:
    """One NVIDIA driver branch."""

    branch: int
    cuda: Version
    """Newest CUDA that it runs natively."""
    eol: str | None
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageIndex:
    """A package index that the matrix names. The site's own is called `default` and has no row."""

    name: str
    url: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A combination known not to work, matched by one generic rule.

    `when` maps a field of the answer (`framework`, `version`, `build`, `cuda`, `capability`,
    `python`, `provider`, `platform`) to a wish on it; all must hold.
    """

    when: Mapping[str, str]
    effect: str
    source: Source
