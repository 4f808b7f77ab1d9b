"""The CUDA and cuDNN that the operating system of an image has: from its base, and from its archive."""

from __future__ import annotations

import re

from cudaforge.audit.state import Image
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record
from cudaforge.versions import Version, find_version

_CUDA = re.compile(
    r"cuda-(?P<part>toolkit|libraries|runtime|cudart|minimal-build|compiler|nvcc|libraries-dev)?-?"
    r"(?P<major>\d{1,2})-(?P<minor>\d)"
)
_CUDNN = re.compile(r"(?:lib)?cudnn(?P<major>\d)(?:-dev)?(?:-cuda-(?P<cuda>\d+))?(?:-dev)?")
_DEBIAN_VERSION = re.compile(r"(\d+(?:\.\d+)+)")


@record()
class SystemCuda:
    """What of CUDA the system brings."""

    cuda: Version | None = None
    cudnn: Version | None = None
    flavor: str | None = None
    source: str = ""
    line: int = 1
    is_installed: bool = False
    """Whether packages of the archive, and not the base, bring it."""
    is_open: bool = False
    """Whether something brings CUDA or cuDNN of a version that is not known."""
    cudnn_major: int | None = None
    has_cudnn_dev: bool = False


def system_cuda(image: Image, matrix: Matrix) -> SystemCuda:
    """What of CUDA the system of the image brings."""
    base = image.base
    found = SystemCuda(
        cuda=base.cuda if base else None,
        cudnn=base.cudnn if base else None,
        flavor=base.flavor if base else None,
        source=base.source if base else "",
        line=base.line if base else 1,
        is_open=base is not None
        and (not base.is_known or (base.framework_image is not None and base.cudnn is None)),
        cudnn_major=base.cudnn.major if base and base.cudnn else None,
        has_cudnn_dev=bool(base and base.cudnn and base.flavor == "devel"),
    )
    for package in image.apt:
        found = _with(found, package.name, package.version, package.line, matrix)
    for loose in image.loose:
        if loose.kind == "conda" and loose.text in ("cudatoolkit", "cuda-toolkit", "cuda-runtime", "cudnn"):
            found = _replaced(found, is_open=True, is_installed=True)
        if loose.kind == "conda" and loose.text in ("pytorch-cuda", "cuda"):
            found = _replaced(found, is_open=True, is_installed=True)
    return found


def _with(found: SystemCuda, name: str, version: str | None, line: int, matrix: Matrix) -> SystemCuda:
    if name in ("nvidia-cuda-toolkit", "nvidia-cudnn", "cuda", "cuda-toolkit", "cuda-drivers"):
        return _replaced(found, is_open=True, is_installed=True)
    match = _CUDA.fullmatch(name)
    if match is not None:
        return _cuda(found, match, line, matrix)
    match = _CUDNN.fullmatch(name)
    if match is not None:
        return _cudnn(found, match, name, version, line)
    return found


def _cuda(found: SystemCuda, match: re.Match[str], line: int, matrix: Matrix) -> SystemCuda:
    minor = Version(f"{match['major']}.{match['minor']}")
    part = match["part"]
    if part not in (None, "toolkit", "libraries", "runtime"):
        return _replaced(found, is_open=found.cuda is None)
    rows = [row for row in matrix.cuda_releases if row.version.minor() == minor]
    flavor = "devel" if part in (None, "toolkit") else "runtime"
    return _replaced(
        found,
        cuda=rows[-1].version if rows else minor,
        flavor=flavor,
        line=line,
        is_installed=True,
        source="the package's name",
    )


def _cudnn(found: SystemCuda, match: re.Match[str], name: str, version: str | None, line: int) -> SystemCuda:
    is_dev = "-dev" in name
    parsed = _DEBIAN_VERSION.match(version or "")
    exact = find_version(parsed[1]) if parsed else None
    major = int(match["major"])
    if exact is None:
        is_same = found.cudnn is not None and found.cudnn.major == major
        return _replaced(
            found,
            cudnn=found.cudnn if is_same else None,
            cudnn_major=major,
            is_open=found.is_open or not is_same,
            is_installed=True,
            has_cudnn_dev=found.has_cudnn_dev or is_dev,
        )
    return _replaced(
        found,
        cudnn=exact,
        cudnn_major=major,
        is_installed=True,
        has_cudnn_dev=found.has_cudnn_dev or is_dev,
        line=line,
    )


def _replaced(found: SystemCuda, **changes: object) -> SystemCuda:
    from cudaforge.records import replace

    return replace(found, **changes)
