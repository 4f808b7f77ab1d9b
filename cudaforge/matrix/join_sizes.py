"""Rules on what builds, images and systems weigh."""

from __future__ import annotations

from collections.abc import Iterator

from cudaforge.matrix.judged import Join
from cudaforge.matrix.model import BaseImage, CudaProvider, FrameworkBuild, OperatingSystem
from cudaforge.matrix.tables import Matrix

_PREFIXES = {
    FrameworkBuild: ("", "cuda_"),
    BaseImage: ("",),
    OperatingSystem: ("", "python_", "library_", "bootstrap_"),
}


def _unpacked(_: Matrix, row: FrameworkBuild | BaseImage | OperatingSystem) -> Iterator[str]:
    """An image may have a size as served and nothing else: registries do not say more."""
    for prefix in _PREFIXES[type(row)]:
        packed, unpacked = getattr(row, f"{prefix}size"), getattr(row, f"{prefix}installed")
        if unpacked is not None and packed is None:
            yield f"{prefix}installed = {unpacked}, and no {prefix}size"
        elif unpacked is not None and unpacked < packed:
            yield f"{prefix}installed = {unpacked} is less than {prefix}size = {packed}"


def _of_nvidia(_: Matrix, row: FrameworkBuild) -> Iterator[str]:
    for key in ("size", "installed"):
        whole, part = getattr(row, key), getattr(row, f"cuda_{key}")
        if part is not None and (whole is None or part > whole):
            yield f"cuda_{key} = {part} is more than {key} = {whole}"
    if row.cuda_installed is not None and row.provider is not CudaProvider.WHEELS:
        yield f"cuda_installed, and its provider is {row.provider.value}"


SIZE_RULES: dict[str, Join] = {
    "unpacked-size": Join(
        subjects=("builds", "base_images", "systems"),
        statement="what is unpacked is at least as large as what is served",
        find=_unpacked,
    ),
    "cuda-size": Join(
        subjects=("builds",),
        statement="NVIDIA's wheels are part of what a build weighs that brings CUDA in wheels",
        find=_of_nvidia,
    ),
}
"""Rules on sizes, by name."""
