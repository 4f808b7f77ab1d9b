"""Rules between tables: windows of GPUs, drivers and dates are sane."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from cudaforge.matrix.judged import Join, is_confirmed, is_gpu_build, toolkits
from cudaforge.matrix.model import CudaRelease, CudnnRelease, DriverBranch, FrameworkBuild, Gpu, PythonRelease
from cudaforge.matrix.tables import Matrix
from cudaforge.versions import Version


def _order(_: Matrix, row: FrameworkBuild | CudaRelease) -> Iterator[str]:
    if isinstance(row, CudaRelease):
        yield from _disorder("capabilities", row.capabilities)
        return
    yield from _disorder("cubins", row.cubins or ())
    yield from _disorder("ptx", row.ptx)


def _disorder(key: str, window: Iterable[Version]) -> Iterator[str]:
    for before, after in pairwise(window):
        if after <= before:
            yield f"{key}: {after} stands after {before}"


def _beyond_cuda(matrix: Matrix, row: FrameworkBuild) -> Iterator[str]:
    releases = toolkits(matrix, row)
    known = {capability for one in releases for capability in one.capabilities}
    for key, window in (("cubins", row.cubins or ()), ("ptx", row.ptx)):
        beyond = [str(one) for one in window if releases and one not in known]
        if beyond:
            yield f"{key}: no CUDA that it is made for compiles for {', '.join(beyond)}"


def _ptx(_: Matrix, row: FrameworkBuild) -> Iterator[str]:
    """PTX is compiled for what is newer than itself: below all cubins it is a mistake for a cubin."""
    if row.cubins and row.ptx and row.ptx[-1] < row.cubins[0]:
        yield f"ptx: {row.ptx[-1]} is older than every cubin"
    if not is_gpu_build(row) and (row.ptx or row.compiler is not None):
        yield "ptx or compiler, and provider = 'none'"


def _cudnn_range(_: Matrix, row: CudnnRelease) -> Iterator[str]:
    for major, newest in row.capability_max.items():
        oldest = row.capability_min.get(major)
        if oldest is None or newest < oldest:
            yield f"capability_max of CUDA {major} is {newest}, and capability_min {oldest}"


def _cudnn_gpus(matrix: Matrix, row: CudnnRelease) -> Iterator[str]:
    """Nothing said means that every GPU will do, which no release has meant since the first that says it."""
    first = min((one.version for one in matrix.cudnn_releases if one.capability_min), default=row.version)
    if row.version <= first or not is_confirmed(row.source):
        return
    unsaid = [major for major in row.packages if major not in row.capability_min]
    if unsaid:
        yield f"capability_min names none of CUDA {' and '.join(unsaid)}, which it has packages for"
    elif not row.capability_min:
        yield "it says of no GPU that it supports it: capability_min is missing"


def _cudnn_cuda(matrix: Matrix, row: CudnnRelease) -> Iterator[str]:
    """Releases of CUDA from before the first row are not told."""
    minors = {str(one.version.minor()) for one in matrix.cuda_releases}
    majors = {str(one.version.major) for one in matrix.cuda_releases}
    for major in {**row.packages, **row.capability_min, **row.capability_max, **row.cuda}:
        if majors and major not in majors:
            yield f"it is for CUDA {major}: cuda.toml has no such release"
    for major, named in row.cuda.items():
        for minor in named.split():
            if not minors or Version(minor) < min(map(Version, minors)):
                continue
            if minor not in minors or minor.split(".")[0] != major:
                yield f"cuda.{major} names {minor}: cuda.toml has no such release of CUDA {major}"


def _drivers(matrix: Matrix, row: CudaRelease | Gpu | DriverBranch) -> Iterator[str]:
    if isinstance(row, CudaRelease):
        own, minor = row.driver, row.minor_driver
        # By branch: 11.0's own driver is a little older than the floor that 11.1 brought.
        if own is not None and minor is not None and own.major < minor.major:
            yield f"minor_driver = {minor}: newer than its own driver {own}"
        older = [one.driver for one in matrix.cuda_releases if one.driver and one.version < row.version]
        if own is not None and older and own < max(older):
            yield f"driver = {own}: older than {max(older)}, which an older CUDA needs"
    elif isinstance(row, DriverBranch):
        beyond = [one for one in matrix.driver_branches if one.branch < row.branch and one.cuda > row.cuda]
        if beyond:
            yield f"cuda = {row.cuda}: older than {beyond[0].cuda}, which branch {beyond[0].branch} runs"
    elif (
        row.first_driver is not None
        and row.last_branch is not None
        and row.first_driver.major > row.last_branch
    ):
        yield f"first_driver = {row.first_driver}: newer than its last branch {row.last_branch}"


def _dates(_: Matrix, row: PythonRelease) -> Iterator[str]:
    if row.released is not None and row.eol is not None and row.eol <= row.released:
        yield f"eol = {row.eol}: not after its release, {row.released}"


WINDOW_RULES: dict[str, Join] = {
    "window-order": Join(
        subjects=("builds", "cuda"), statement="compute capabilities are sorted, each once", find=_order
    ),
    "window-beyond-cuda": Join(
        subjects=("builds",),
        statement="a build has code only for what its CUDA compiles for",
        find=_beyond_cuda,
    ),
    "window-ptx": Join(
        subjects=("builds",), statement="PTX is for GPUs newer than the oldest cubin", find=_ptx
    ),
    "cudnn-range": Join(subjects=("cudnn",), statement="a cuDNN's range of GPUs is one", find=_cudnn_range),
    "cudnn-gpus": Join(
        subjects=("cudnn",),
        statement="a cuDNN says the oldest GPU for each CUDA that it has packages for",
        find=_cudnn_gpus,
    ),
    "cudnn-cuda": Join(subjects=("cudnn",), statement="a cuDNN is for CUDA of the table", find=_cudnn_cuda),
    "driver-order": Join(
        subjects=("cuda", "gpus", "drivers"),
        statement="what a driver begins comes before what it ends, and drivers do not go back",
        find=_drivers,
    ),
    "end-after-beginning": Join(subjects=("pythons",), statement="support ends after it began", find=_dates),
}
"""Rules on windows, by name."""
