"""What must hold between the tables of the matrix: each rule by name, with the rows that break it.

Tables that are each right can still not meet: a build whose base image nobody has, code for a GPU that its
toolkit cannot compile for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from cudaforge.matrix.findings import Finding
from cudaforge.matrix.model import (
    BaseImage,
    CudaProvider,
    CudaRelease,
    FrameworkBuild,
    FrameworkImage,
    Gpu,
    Source,
    Strength,
)
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record
from cudaforge.versions import Version

_Broken = Iterator[tuple[str, Source, str]]
"""The rows that break a rule: their name, their source, and how."""


@record()
class Join:
    """One rule between tables."""

    statement: str
    find: Callable[[Matrix], _Broken]


def find_broken_joins(matrix: Matrix) -> tuple[Finding, ...]:
    """Every row that breaks a rule between tables."""
    return tuple(
        Finding(file=source.file, row=row, what=what, rule=name)
        for name, join in JOINS.items()
        for row, source, what in join.find(matrix)
    )


def _builds(matrix: Matrix) -> Iterator[FrameworkBuild]:
    for name in matrix.frameworks:
        yield from matrix.builds(name)


def _name(row: FrameworkBuild) -> str:
    return f"{row.framework} {row.version} {row.build} {', '.join(row.platforms)}"


def _is_confirmed(source: Source) -> bool:
    return source.strength is not Strength.INFERRED


def _toolkits(matrix: Matrix, row: FrameworkBuild) -> list[CudaRelease]:
    return [one for one in matrix.cuda_releases if row.cuda is not None and row.cuda.allows(one.version)]


def _disordered_windows(matrix: Matrix) -> _Broken:
    for row in _builds(matrix):
        for key, window in (("cubins", row.cubins or ()), ("ptx", row.ptx)):
            for before, after in pairwise(window):
                if after <= before:
                    yield _name(row), row.source, f"{key}: {after} stands after {before}"


def _windows_beyond_cuda(matrix: Matrix) -> _Broken:
    for row in _builds(matrix):
        toolkits = _toolkits(matrix, row)
        known = {capability for one in toolkits for capability in one.capabilities}
        for key, window in (("cubins", row.cubins or ()), ("ptx", row.ptx)):
            beyond = [str(one) for one in window if toolkits and one not in known]
            if beyond:
                what = f"{key}: no CUDA that it is made for compiles for {', '.join(beyond)}"
                yield _name(row), row.source, what


def _without_base(matrix: Matrix) -> _Broken:
    """Removed tags count: they are tombstones, and the answer says so."""
    for row in _builds(matrix):
        if (
            row.provider is not CudaProvider.SYSTEM
            or not _is_confirmed(row.source)
            or not _toolkits(matrix, row)
        ):
            continue
        has_base = any(_meets(image, row) for image in matrix.cuda_images)
        wish = f"CUDA {row.cuda}" + (f" and cuDNN {row.cudnn}" if row.cudnn else "")
        if row.own_base and has_base:
            yield _name(row), row.source, f"own_base = true, and there are base images with {wish}"
        if not row.own_base and not has_base:
            what = f"no base image, not even a removed one, has {wish}: own_base = true says so"
            yield _name(row), row.source, what


def _meets(image: BaseImage, row: FrameworkBuild) -> bool:
    return (
        image.cuda is not None
        and row.cuda is not None
        and row.cuda.allows(image.cuda)
        and (row.cudnn is None or (image.cudnn is not None and row.cudnn.allows(image.cudnn)))
    )


def _unknown_parts_of_images(matrix: Matrix) -> _Broken:
    """Tags that are gone may be older than the first release of the tables."""
    known_cuda = {one.version for one in matrix.cuda_releases}
    known_cudnn = {one.version for one in matrix.cudnn_releases}
    images: tuple[BaseImage | FrameworkImage, ...] = (*matrix.cuda_images, *matrix.framework_images)
    for image in images:
        if (
            image.removed is not None
            and image.cuda is not None
            and image.cuda < min(known_cuda, default=image.cuda)
        ):
            continue
        if image.cudnn is not None and image.cudnn not in known_cudnn and _is_confirmed(image.source):
            yield image.reference, image.source, f"cudnn = {image.cudnn}: cudnn.toml has no such release"
        if isinstance(image, BaseImage) and image.cuda is not None and image.cuda not in known_cuda:
            yield image.reference, image.source, f"cuda = {image.cuda}: cuda.toml has no such release"


def _systems_of_framework_images(matrix: Matrix) -> _Broken:
    for image in matrix.framework_images:
        if image.os not in matrix.systems:
            yield image.reference, image.source, f"os = {image.os!r}: no such operating system"


def _drivers_without_branch(matrix: Matrix) -> _Broken:
    branches = {one.branch for one in matrix.driver_branches}
    for row in matrix.cuda_releases:
        major = row.driver.major if row.driver is not None else 0
        # Branches from before the first row are not told.
        if branches and major > min(branches) and major not in branches:
            yield str(row.version), row.source, f"driver = {row.driver}: drivers.toml has no such branch"
    for gpu in matrix.gpus:
        if gpu.last_branch is not None and branches and gpu.last_branch not in branches:
            yield gpu.name, gpu.source, f"last_branch = {gpu.last_branch}: drivers.toml has no such branch"


def _unknown_older_branches(matrix: Matrix) -> _Broken:
    branches = {one.branch for one in matrix.driver_branches}
    if not branches:
        return
    for row in matrix.cuda_releases:
        for branch in row.compat_branches:
            if branch not in branches:
                yield str(row.version), row.source, f"compat_branches: drivers.toml has no branch {branch}"
    for image in matrix.cuda_images:
        for branch in image.gate_branches:
            if branch not in branches:
                yield image.reference, image.source, f"gate_branches: drivers.toml has no branch {branch}"


def _unknown_systems_of_cuda(matrix: Matrix) -> _Broken:
    for row in matrix.cuda_releases:
        for system in row.systems:
            if system not in matrix.systems:
                yield str(row.version), row.source, f"systems: no such operating system {system!r}"


def _split_families(matrix: Matrix) -> _Broken:
    """A capability is one of a family's; only the products of the first row say which."""
    families: dict[Version, str] = {}
    for gpu in matrix.gpus:
        if gpu.family is None:
            continue
        first = families.setdefault(gpu.capability, gpu.family)
        if gpu.family != first:
            yield gpu.name, gpu.source, f"family = {gpu.family!r}: others of {gpu.capability} are {first!r}"


def _drivers_in_disorder(matrix: Matrix) -> _Broken:
    for row in matrix.cuda_releases:
        own, minor = row.driver, row.minor_driver
        # By branch: 11.0's own driver is a little older than the floor that 11.1 brought.
        if own is not None and minor is not None and own.major < minor.major:
            what = f"minor_driver = {minor}: newer than its own driver {own}"
            yield str(row.version), row.source, what
    for gpu in matrix.gpus:
        first, last = gpu.first_driver, gpu.last_branch
        if first is not None and last is not None and first.major > last:
            yield gpu.name, gpu.source, f"first_driver = {first}: newer than its last branch {last}"


def _gpus_without_cuda(matrix: Matrix) -> _Broken:
    """GPUs older than every CUDA of the table are only too old."""
    known = {capability for row in matrix.cuda_releases for capability in row.capabilities}
    for gpu in matrix.gpus:
        is_judged = known and _is_confirmed(gpu.source) and gpu.capability >= min(known)
        if is_judged and not any(_runs(one, gpu) for one in known):
            yield gpu.name, gpu.source, f"capability = {gpu.capability}: no CUDA has code for it"


def _runs(code: Version, gpu: Gpu) -> bool:
    return code.major == gpu.capability.major and code <= gpu.capability


def _companions_of_nothing(matrix: Matrix) -> _Broken:
    for name in matrix.frameworks:
        versions = {row.version for row in matrix.builds(name)}
        for row in matrix.companions(name):
            if versions and not any(row.needs.allows(version) for version in versions):
                label = f"{name} {row.package} {row.version}"
                yield label, row.source, f"needs = {str(row.needs)!r}: {name} has no such release"


def _ends_before_beginning(matrix: Matrix) -> _Broken:
    for row in matrix.pythons.values():
        if row.released is not None and row.eol is not None and row.eol <= row.released:
            yield row.version, row.source, f"eol = {row.eol}: not after its release, {row.released}"


def _cudnn_ranges(matrix: Matrix) -> _Broken:
    for row in matrix.cudnn_releases:
        for major, newest in row.capability_max.items():
            oldest = row.capability_min.get(major)
            if oldest is None or newest < oldest:
                what = f"capability_max of CUDA {major} is {newest}, and capability_min {oldest}"
                yield str(row.version), row.source, what


JOINS: dict[str, Join] = {
    "window-order": Join(statement="cubins and PTX are sorted", find=_disordered_windows),
    "window-beyond-cuda": Join(
        statement="a build has code only for what its CUDA compiles for", find=_windows_beyond_cuda
    ),
    "base-for-build": Join(
        statement="each build that takes CUDA from the image has a base image, alive or removed",
        find=_without_base,
    ),
    "parts-of-images": Join(
        statement="the CUDA and the cuDNN in an image are releases of the tables",
        find=_unknown_parts_of_images,
    ),
    "systems-of-images": Join(
        statement="published images are made of systems of the table", find=_systems_of_framework_images
    ),
    "driver-branch": Join(statement="every driver belongs to a branch", find=_drivers_without_branch),
    "older-branch": Join(
        statement="forward compatibility and gates name driver branches of the table",
        find=_unknown_older_branches,
    ),
    "systems-of-cuda": Join(statement="CUDA is for systems of the table", find=_unknown_systems_of_cuda),
    "family": Join(statement="GPUs of one compute capability are of one family", find=_split_families),
    "driver-order": Join(
        statement="what a driver begins comes before what it ends", find=_drivers_in_disorder
    ),
    "cuda-for-gpu": Join(statement="some CUDA has code for each GPU", find=_gpus_without_cuda),
    "release-for-companion": Join(
        statement="a companion goes with some release of its framework", find=_companions_of_nothing
    ),
    "end-after-beginning": Join(statement="support ends after it began", find=_ends_before_beginning),
    "cudnn-range": Join(statement="a cuDNN's range of GPUs is one", find=_cudnn_ranges),
}
"""Every rule between tables, by name."""
