"""Rules between tables: platforms, and the base images that builds need."""

from __future__ import annotations

from collections.abc import Iterator

from cudaforge.matrix.judged import Join, is_confirmed, toolkits
from cudaforge.matrix.model import BaseImage, CudaProvider, FrameworkBuild, FrameworkImage
from cudaforge.matrix.tables import Matrix

_PLATFORMS = ("linux/amd64", "linux/arm64")


def _platforms(_: Matrix, row: BaseImage | FrameworkImage | FrameworkBuild) -> Iterator[str]:
    unknown = [word for word in row.platforms if word not in _PLATFORMS]
    if unknown or not row.platforms:
        yield f"platforms: {unknown[0] if unknown else 'none'} is not one of {', '.join(_PLATFORMS)}"
    if isinstance(row, BaseImage):
        beyond = [word for word in row.compat_platforms if word not in row.platforms]
        if beyond:
            yield f"compat_platforms: {beyond[0]} is not one of its platforms"


def _base(matrix: Matrix, row: FrameworkBuild) -> Iterator[str]:
    """Removed tags count: they are tombstones, and the answer says so."""
    if row.provider is not CudaProvider.SYSTEM or not is_confirmed(row.source) or not toolkits(matrix, row):
        return
    has_base = any(_meets(image, row) for image in matrix.cuda_images)
    wish = f"CUDA {row.cuda}" + (f" and cuDNN {row.cudnn}" if row.cudnn else "")
    if row.own_base and has_base:
        yield f"own_base = true, and there are base images with {wish}"
    if not row.own_base and not has_base:
        yield f"no base image, not even a removed one, has {wish}: own_base = true says so"


def _meets(image: BaseImage, row: FrameworkBuild) -> bool:
    return (
        image.cuda is not None
        and row.cuda is not None
        and row.cuda.allows(image.cuda)
        and (row.cudnn is None or (image.cudnn is not None and row.cudnn.allows(image.cudnn)))
    )


IMAGE_RULES: dict[str, Join] = {
    "unknown-platform": Join(
        subjects=("builds", "base_images", "framework_images"),
        statement="platforms are those that images are built for",
        find=_platforms,
    ),
    "base-for-build": Join(
        subjects=("builds",),
        statement="each build that takes CUDA from the image has a base image, alive or removed",
        find=_base,
    ),
}
"""Rules on images, by name."""
