"""The matrix as one value: every subject a tuple of rows, read when it is first asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

from cudaforge.matrix.companion import Companion, CompanionRole, dated
from cudaforge.matrix.gpu_names import GpuNames
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
from cudaforge.matrix.row_source import RowSource
from cudaforge.records import record


@record()
class Rows:
    """Rows held in memory: what tests make a matrix of."""

    revision: str
    as_of: str
    all_frameworks: tuple[Framework, ...] = ()
    all_builds: tuple[FrameworkBuild, ...] = ()
    all_cuda_releases: tuple[CudaRelease, ...] = ()
    all_cudnn_releases: tuple[CudnnRelease, ...] = ()
    all_gpus: tuple[Gpu, ...] = ()
    all_systems: tuple[OperatingSystem, ...] = ()
    all_base_images: tuple[BaseImage, ...] = ()
    all_driver_branches: tuple[DriverBranch, ...] = ()
    all_indexes: tuple[PackageIndex, ...] = ()
    all_feeds: tuple[Feed, ...] = ()
    all_snapshots: tuple[SnapshotService, ...] = ()
    all_companions: tuple[Companion, ...] = ()
    all_framework_images: tuple[FrameworkImage, ...] = ()
    all_pythons: tuple[PythonRelease, ...] = ()
    all_standalone_pythons: tuple[StandalonePython, ...] = ()
    all_distributions: tuple[Distribution, ...] = ()
    all_conda_builds: tuple[CondaBuild, ...] = ()
    all_wheel_tags: tuple[WheelTag, ...] = ()
    all_makers: tuple[Maker, ...] = ()
    all_broken: tuple[Broken, ...] = ()

    def frameworks(self) -> Sequence[Framework]:
        """See RowSource."""
        return self.all_frameworks

    def builds(self, framework: str) -> Sequence[FrameworkBuild]:
        """See RowSource."""
        return [row for row in self.all_builds if row.framework == framework]

    def cuda_releases(self) -> Sequence[CudaRelease]:
        """See RowSource."""
        return self.all_cuda_releases

    def cudnn_releases(self) -> Sequence[CudnnRelease]:
        """See RowSource."""
        return self.all_cudnn_releases

    def gpus(self) -> Sequence[Gpu]:
        """See RowSource."""
        return self.all_gpus

    def systems(self) -> Sequence[OperatingSystem]:
        """See RowSource."""
        return self.all_systems

    def plain_images(self) -> Sequence[BaseImage]:
        """See RowSource."""
        return [row for row in self.all_base_images if row.cuda is None]

    def cuda_images(self) -> Sequence[BaseImage]:
        """See RowSource."""
        return [row for row in self.all_base_images if row.cuda is not None]

    def driver_branches(self) -> Sequence[DriverBranch]:
        """See RowSource."""
        return self.all_driver_branches

    def indexes(self) -> Sequence[PackageIndex]:
        """See RowSource."""
        return self.all_indexes

    def feeds(self) -> Sequence[Feed]:
        """See RowSource."""
        return self.all_feeds

    def snapshots(self) -> Sequence[SnapshotService]:
        """See RowSource."""
        return self.all_snapshots

    def companions(self, framework: str, role: CompanionRole | None = None) -> Sequence[Companion]:
        """See RowSource."""
        return [row for row in self.all_companions if row.framework == framework and role in (None, row.role)]

    def framework_images(self) -> Sequence[FrameworkImage]:
        """See RowSource."""
        return self.all_framework_images

    def pythons(self) -> Sequence[PythonRelease]:
        """See RowSource."""
        return self.all_pythons

    def standalone_pythons(self) -> Sequence[StandalonePython]:
        """See RowSource."""
        return self.all_standalone_pythons

    def distributions(self) -> Sequence[Distribution]:
        """See RowSource."""
        return self.all_distributions

    def makers(self) -> Sequence[Maker]:
        """Given when made."""
        return self.all_makers

    def conda_builds(self) -> Sequence[CondaBuild]:
        """See RowSource."""
        return self.all_conda_builds

    def wheel_tags(self) -> Sequence[WheelTag]:
        """See RowSource."""
        return self.all_wheel_tags

    def broken(self) -> Sequence[Broken]:
        """See RowSource."""
        return self.all_broken


class Matrix:
    """The facts. A subject is read when first asked for and kept; the object never changes otherwise."""

    day: str | None = None
    """The day, as YYYY-MM-DD, that they are taken from; None for what there is today."""

    def __init__(self, rows: RowSource) -> None:
        self._rows = rows
        self._builds: dict[str, tuple[FrameworkBuild, ...]] = {}
        self._companions: dict[tuple[str, CompanionRole | None], tuple[Companion, ...]] = {}

    @classmethod
    def from_rows(  # noqa: PLR0913 -- one argument for each subject
        cls,
        *,
        frameworks: Iterable[Framework] = (),
        builds: Iterable[FrameworkBuild] = (),
        cuda_releases: Iterable[CudaRelease] = (),
        cudnn_releases: Iterable[CudnnRelease] = (),
        gpus: Iterable[Gpu] = (),
        systems: Iterable[OperatingSystem] = (),
        base_images: Iterable[BaseImage] = (),
        driver_branches: Iterable[DriverBranch] = (),
        indexes: Iterable[PackageIndex] = (),
        feeds: Iterable[Feed] = (),
        snapshots: Iterable[SnapshotService] = (),
        companions: Iterable[Companion] = (),
        framework_images: Iterable[FrameworkImage] = (),
        pythons: Iterable[PythonRelease] = (),
        standalone_pythons: Iterable[StandalonePython] = (),
        distributions: Iterable[Distribution] = (),
        conda_builds: Iterable[CondaBuild] = (),
        wheel_tags: Iterable[WheelTag] = (),
        makers: Iterable[Maker] = (),
        broken: Iterable[Broken] = (),
        revision: str = "rows",
        as_of: str = "1970-01-01",
    ) -> Matrix:
        """A matrix of the given rows, in any order."""
        return cls(
            Rows(
                revision=revision,
                as_of=as_of,
                all_frameworks=tuple(frameworks),
                all_builds=tuple(builds),
                all_cuda_releases=tuple(cuda_releases),
                all_cudnn_releases=tuple(cudnn_releases),
                all_gpus=tuple(gpus),
                all_systems=tuple(systems),
                all_base_images=tuple(base_images),
                all_driver_branches=tuple(driver_branches),
                all_indexes=tuple(indexes),
                all_feeds=tuple(feeds),
                all_snapshots=tuple(snapshots),
                all_companions=tuple(companions),
                all_framework_images=tuple(framework_images),
                all_pythons=tuple(pythons),
                all_standalone_pythons=tuple(standalone_pythons),
                all_distributions=tuple(distributions),
                all_conda_builds=tuple(conda_builds),
                all_wheel_tags=tuple(wheel_tags),
                all_makers=tuple(makers),
                all_broken=tuple(broken),
            )
        )

    @property
    def revision(self) -> str:
        """SHA-256 over all facts, overlays included."""
        return self._rows.revision

    @property
    def as_of(self) -> str:
        """The ISO date up to which the facts reach."""
        return self._rows.as_of

    @cached_property
    def frameworks(self) -> Mapping[str, Framework]:
        """Frameworks by canonical name."""
        return MappingProxyType({row.name: row for row in self._rows.frameworks()})

    def find_framework(self, name: str) -> Framework | None:
        """The framework of that name or alias, in any case: `torch`, `PyTorch`, `tf`."""
        return self._framework_names.get(_plain(name))

    def builds(self, framework: str) -> tuple[FrameworkBuild, ...]:
        """All builds of a framework (canonical name or alias), oldest version first."""
        row = self.find_framework(framework)
        if row is None:
            return ()
        if row.name not in self._builds:
            rows = self._rows.builds(row.name)
            self._builds[row.name] = tuple(
                sorted(rows, key=lambda build: (build.version, build.build, build.platforms))
            )
        return self._builds[row.name]

    @cached_property
    def cuda_releases(self) -> tuple[CudaRelease, ...]:
        """CUDA toolkit releases, oldest first."""
        return tuple(sorted(self._rows.cuda_releases(), key=lambda row: row.version))

    @cached_property
    def cudnn_releases(self) -> tuple[CudnnRelease, ...]:
        """The cuDNN releases, oldest first."""
        return tuple(sorted(self._rows.cudnn_releases(), key=lambda row: row.version))

    @cached_property
    def gpus(self) -> tuple[Gpu, ...]:
        """GPU products."""
        return tuple(self._rows.gpus())

    def find_gpus(self, text: str) -> tuple[Gpu, ...]:
        """The products that a person, `nvidia-smi` or a cloud may call so; for a compute capability
        (`sm_90`, `9.0`) all products that have it; for a family (`Hopper`) all of its products but the
        embedded ones. Empty when nothing is known by that name; several where the name is ambiguous."""
        return self._gpu_names.find(text)

    @cached_property
    def systems(self) -> Mapping[str, OperatingSystem]:
        """Operating systems by id."""
        return MappingProxyType({row.id: row for row in self._rows.systems()})

    @cached_property
    def plain_images(self) -> tuple[BaseImage, ...]:
        """Base images without CUDA."""
        return tuple(self._rows.plain_images())

    @cached_property
    def cuda_images(self) -> tuple[BaseImage, ...]:
        """Base images that bring CUDA: ten times as many, and wheels seldom want one."""
        return tuple(self._rows.cuda_images())

    @property
    def base_images(self) -> tuple[BaseImage, ...]:
        """All base images."""
        return (*self.plain_images, *self.cuda_images)

    @cached_property
    def driver_branches(self) -> tuple[DriverBranch, ...]:
        """NVIDIA driver branches, oldest first."""
        return tuple(sorted(self._rows.driver_branches(), key=lambda row: row.branch))

    @cached_property
    def indexes(self) -> Mapping[str, PackageIndex]:
        """Named package indexes; the site's own (`default`) has no row."""
        return MappingProxyType({row.name: row for row in self._rows.indexes()})

    @cached_property
    def feeds(self) -> tuple[Feed, ...]:
        """Directories that vendors list their releases in."""
        return tuple(self._rows.feeds())

    @cached_property
    def snapshots(self) -> tuple[SnapshotService, ...]:
        """Services that have OS archives as they were."""
        return tuple(self._rows.snapshots())

    def companions(self, framework: str, role: CompanionRole | None = None) -> tuple[Companion, ...]:
        """Packages that go with a framework (canonical name or alias), by name, oldest version first; those
        of one role are read without the others."""
        row = self.find_framework(framework)
        if row is None:
            return ()
        key = (row.name, role)
        if key not in self._companions:
            rows = self._rows.companions(row.name, role)
            known = (dated(one, self.builds(row.name)) if one.is_open else one for one in rows)
            self._companions[key] = tuple(sorted(known, key=lambda one: (one.package, one.version)))
        return self._companions[key]

    @cached_property
    def framework_images(self) -> tuple[FrameworkImage, ...]:
        """Published images with frameworks in them."""
        return tuple(self._rows.framework_images())

    @cached_property
    def pythons(self) -> Mapping[str, PythonRelease]:
        """Minor versions of Python, by `3.12`."""
        return MappingProxyType({row.version: row for row in self._rows.pythons()})

    @cached_property
    def standalone_pythons(self) -> tuple[StandalonePython, ...]:
        """Releases of Pythons that no OS and no image has to bring, oldest first."""
        return tuple(sorted(self._rows.standalone_pythons(), key=lambda row: row.version))

    @cached_property
    def distributions(self) -> tuple[Distribution, ...]:
        """Names that frameworks are installed by, beside what builds require."""
        return tuple(self._rows.distributions())

    @cached_property
    def makers(self) -> tuple[Maker, ...]:
        """Who else makes accelerators."""
        return tuple(self._rows.makers())

    @cached_property
    def conda_builds(self) -> tuple[CondaBuild, ...]:
        """Builds of frameworks on conda channels."""
        return tuple(self._rows.conda_builds())

    @cached_property
    def wheel_tags(self) -> tuple[WheelTag, ...]:
        """From which pip on wheels for a glibc are seen, oldest glibc first."""
        return tuple(sorted(self._rows.wheel_tags(), key=lambda row: row.glibc))

    @cached_property
    def broken(self) -> tuple[Broken, ...]:
        """Combinations known not to work."""
        return tuple(self._rows.broken())

    @cached_property
    def _framework_names(self) -> Mapping[str, Framework]:
        return {
            _plain(word): row
            for row in self.frameworks.values()
            for word in (*row.aliases, row.title, row.name)
        }

    @cached_property
    def _gpu_names(self) -> GpuNames:
        return GpuNames(self.gpus)


def _plain(name: str) -> str:
    return re.sub(r"[-_. ]+", "", name.lower())
