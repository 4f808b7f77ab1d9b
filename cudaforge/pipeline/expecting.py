"""What the facts say of an image besides its lock entry, for the verifier, which sees no matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem
from cudaforge.lockfile.model import LockedImage
from cudaforge.matrix import Matrix
from cudaforge.matrix.gpu_names import sm
from cudaforge.matrix.model import CudaRelease
from cudaforge.resolver.drivers import cuda_floor
from cudaforge.resolver.named_gpus import named_gpus
from cudaforge.verifier.expected import Expected
from cudaforge.versions import Version, find_version


def expected_of(
    image: LockedImage, matrix: Matrix, *, gpus: Iterable[str] = (), driver: str | None = None
) -> Expected:
    """The GPUs that an image is for, and the drivers that these and its CUDA need.

    Raises InputError for a GPU that the matrix does not know.
    """
    if image.cuda is None:
        return Expected(gpus=capabilities_of(matrix, gpus))
    release = find_release(matrix, image.cuda)
    floor = None if release is None or image.forward_compat else cuda_floor(release, needs_native=False)
    return Expected(
        gpus=capabilities_of(matrix, gpus),
        driver=driver,
        floor=None if floor is None else str(floor),
        gpu_floors=_gpu_floors(matrix),
    )


def find_release(matrix: Matrix, cuda: str) -> CudaRelease | None:
    """The release of a version, of a minor its first; None where none is known."""
    version = find_version(cuda)
    if version is None:
        return None
    known = [row for row in matrix.cuda_releases if row.version.has_prefix(version) or row.version == version]
    return known[0] if known else None


def capabilities_of(matrix: Matrix, names: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """GPUs by name with their compute capabilities. Raises InputError for names that nobody knows."""
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        named = named_gpus(matrix, name)
        if not named.capabilities:
            raise InputError(
                Problem(
                    what=f"no GPU is known as {show(name)}",
                    where=Location(file="command line", key=f"gpu={name}"),
                    remedy="name a product (gpu=H100) or a compute capability (gpu=sm_90)",
                )
            )
        found[name] = tuple(str(capability) for capability, _ in named.capabilities)
    return found


def _gpu_floors(matrix: Matrix) -> Mapping[str, str]:
    floors: dict[str, Version] = {}
    for gpu in matrix.gpus:
        if gpu.first_driver is not None:
            name = sm(gpu.capability)
            floors[name] = min(floors.get(name, gpu.first_driver), gpu.first_driver)
    return {name: str(floor) for name, floor in floors.items()}
