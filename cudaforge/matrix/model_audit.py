"""What only audits look at: names on indexes, builds on conda channels, and tags of wheels."""

from __future__ import annotations

from cudaforge.matrix.sources import Source
from cudaforge.records import record
from cudaforge.versions import Version, VersionWish


@record()
class Distribution:
    """A name on the package index, or an extra of it, by which frameworks and what they break on are
    installed, beside what builds require: for audits."""

    name: str
    """Normalised: `tensorflow-gpu`, or with an extra `jax[cuda12]`."""
    framework: str | None = None
    build: str | None = None
    """The build of the framework that it stands for."""
    versions: VersionWish | None = None
    """The releases that it speaks of: those that have the extra, or that the effect holds for."""
    released: str | None = None
    """The day of the first of these releases."""
    retired: str | None = None
    """Since when it is no longer to be used (ISO date)."""
    replaced_by: str | None = None
    effect: str | None = None
    """What is the matter with it."""
    source: Source


@record()
class CondaBuild:
    """A build of some releases of a framework on a conda channel: for audits."""

    channel: str
    framework: str
    package: str
    """Its name on the channel: `pytorch`."""
    build: str
    """`cu121`, `cpu`."""
    versions: tuple[Version, ...]
    platforms: tuple[str, ...]
    selector: str | None = None
    """The package whose version or presence chooses it: `pytorch-cuda`, `cudatoolkit`, `cpuonly`."""
    needs_driver: bool = False
    """Whether it requires the virtual package `__cuda`, which no machine without a driver has."""
    cuda: Version | None = None
    """None for CPU builds."""
    cudnn: Version | None = None
    cubins: tuple[Version, ...] = ()
    ptx: tuple[Version, ...] = ()
    is_last: bool = False
    """Whether the channel ended with these releases."""
    source: Source


@record()
class WheelTag:
    """From which pip on wheels for a glibc are seen at all."""

    glibc: Version
    """The newest glibc of the tag; what is newer belongs to the next row."""
    tag: str
    pip: Version
    source: Source
