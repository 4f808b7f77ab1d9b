"""What the rules between tables share: their type, and what they ask of the matrix again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from cudaforge.matrix.model import Broken, CudaProvider, CudaRelease, FrameworkBuild
from cudaforge.matrix.sources import Source, Strength
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record
from cudaforge.versions import Version, VersionWish


@record()
class Join:
    """One rule: what it says, of which rows, and what each row does against it."""

    subjects: tuple[str, ...]
    statement: str
    find: Callable[[Matrix, Any], Iterator[str]]


def is_confirmed(source: Source) -> bool:
    """Whether a rule may be hard on it: what is only inferred makes no yes anyway."""
    return source.strength is not Strength.INFERRED


def is_gpu_build(row: FrameworkBuild) -> bool:
    """Whether it uses CUDA."""
    return row.provider is not CudaProvider.NONE


def toolkits(matrix: Matrix, row: FrameworkBuild) -> list[CudaRelease]:
    """The CUDA releases that a build is made for."""
    return [one for one in matrix.cuda_releases if row.cuda is not None and row.cuda.allows(one.version)]


def concerns(
    matrix: Matrix, row: Broken, build: FrameworkBuild, *, capability: Version | None = None
) -> bool:
    """Whether a build may be what is broken: in some image, on some GPU or on one of that capability."""
    when = row.when
    exact = {"framework": build.framework, "build": build.build, "provider": build.provider.value}
    if any(when.get(key, value) != value for key, value in exact.items()):
        return False
    if "platform" in when and when["platform"] not in build.platforms:
        return False
    if not is_gpu_build(build) and any(key in when for key in ("cuda", "cudnn", "capability")):
        return False
    met = {
        "version": (build.version,),
        "python": tuple(Version(one.removesuffix("t")) for one in build.pythons),
        "cuda": tuple(one.version for one in toolkits(matrix, build)),
        "cudnn": tuple(
            one.version for one in matrix.cudnn_releases if build.cudnn and build.cudnn.allows(one.version)
        ),
        "capability": (capability,) if capability is not None else (),
    }
    return all(
        any(VersionWish(when[key]).allows(value) for value in values)
        for key, values in met.items()
        if key in when and values
    )


@lru_cache(maxsize=4)
def all_builds(matrix: Matrix) -> tuple[FrameworkBuild, ...]:
    """The builds of all frameworks."""
    return tuple(row for name in matrix.frameworks for row in matrix.builds(name))


@lru_cache(maxsize=4)
def cuda_by_version(matrix: Matrix) -> dict[Version, CudaRelease]:
    """The CUDA releases."""
    return {one.version: one for one in matrix.cuda_releases}


@lru_cache(maxsize=4)
def branches(matrix: Matrix) -> frozenset[int]:
    """The driver branches."""
    return frozenset(one.branch for one in matrix.driver_branches)


@lru_cache(maxsize=4)
def capabilities(matrix: Matrix) -> frozenset[Version]:
    """The compute capabilities that some CUDA compiles for."""
    return frozenset(capability for row in matrix.cuda_releases for capability in row.capabilities)


@lru_cache(maxsize=4)
def families(matrix: Matrix) -> dict[Version, str]:
    """The family of each compute capability, by the first product that names one."""
    found: dict[Version, str] = {}
    for gpu in matrix.gpus:
        if gpu.family is not None:
            found.setdefault(gpu.capability, gpu.family)
    return found


@lru_cache(maxsize=4)
def existing_images(matrix: Matrix) -> frozenset[str]:
    """The base images that nobody has removed."""
    return frozenset(image.reference for image in matrix.base_images if image.removed is None)
