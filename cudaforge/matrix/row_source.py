"""What a matrix reads its rows from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cudaforge.matrix.companion import Companion, CompanionRole
from cudaforge.matrix.model import (
    BaseImage,
    Broken,
    CudaRelease,
    CudnnRelease,
    DriverBranch,
    Feed,
    Framework,
    FrameworkBuild,
    FrameworkImage,
    Gpu,
    Maker,
    OperatingSystem,
    PackageIndex,
    PythonRelease,
    SnapshotService,
    StandalonePython,
)
from cudaforge.matrix.model_audit import CondaBuild, Distribution, WheelTag


class RowSource(Protocol):
    """What a matrix reads its rows from: the compiled form, or rows made in a test."""

    @property
    def revision(self) -> str:
        """SHA-256 over all rows."""

    @property
    def as_of(self) -> str:
        """The ISO date up to which the rows reach."""

    def frameworks(self) -> Sequence[Framework]:
        """All frameworks."""

    def builds(self, framework: str) -> Sequence[FrameworkBuild]:
        """All builds of one framework, by its canonical name."""

    def cuda_releases(self) -> Sequence[CudaRelease]:
        """All CUDA toolkit releases."""

    def cudnn_releases(self) -> Sequence[CudnnRelease]:
        """All cuDNN releases."""

    def gpus(self) -> Sequence[Gpu]:
        """All GPU products."""

    def systems(self) -> Sequence[OperatingSystem]:
        """All operating systems."""

    def plain_images(self) -> Sequence[BaseImage]:
        """The base images without CUDA."""

    def cuda_images(self) -> Sequence[BaseImage]:
        """The base images that bring CUDA."""

    def driver_branches(self) -> Sequence[DriverBranch]:
        """All driver branches."""

    def indexes(self) -> Sequence[PackageIndex]:
        """All named package indexes."""

    def feeds(self) -> Sequence[Feed]:
        """All directories that vendors list releases in."""

    def snapshots(self) -> Sequence[SnapshotService]:
        """All services that have OS archives as they were."""

    def companions(self, framework: str, role: CompanionRole | None = None) -> Sequence[Companion]:
        """The packages that go with one framework, by its canonical name: all, or those of one role."""

    def framework_images(self) -> Sequence[FrameworkImage]:
        """All published images with frameworks in them."""

    def pythons(self) -> Sequence[PythonRelease]:
        """All minor versions of Python."""

    def standalone_pythons(self) -> Sequence[StandalonePython]:
        """All releases of standalone Pythons."""

    def distributions(self) -> Sequence[Distribution]:
        """All names that frameworks are installed by, beside what builds require."""

    def makers(self) -> Sequence[Maker]:
        """Who else makes accelerators."""

    def conda_builds(self) -> Sequence[CondaBuild]:
        """All builds of frameworks on conda channels."""

    def wheel_tags(self) -> Sequence[WheelTag]:
        """From which pip on wheels for a glibc are seen."""

    def broken(self) -> Sequence[Broken]:
        """All combinations known not to work."""
