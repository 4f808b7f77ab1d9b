"""The driver: what CUDA asks of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cudaforge.matrix.model import CudaRelease, DriverBranch
from cudaforge.versions import Version


def native_cuda(driver: Version, branches: Sequence[DriverBranch]) -> Version | None:
    """The newest CUDA that the driver runs natively: that of the newest branch not above it."""
    known = [row for row in branches if row.branch <= driver.major]
    return known[-1].cuda if known else None


def runs_forward(release: CudaRelease, driver: Version) -> bool:
    """Whether its forward-compatibility package works on that kernel driver, or is not needed there."""
    is_newer = release.driver is not None and driver >= release.driver
    return is_newer or driver.major in release.compat_branches


def forward_floor(
    release: CudaRelease, *, first_driver: Version | None, passes: Callable[[Version], bool]
) -> Version | None:
    """The oldest driver, not older than the GPUs' first, that the package works on and the gate lets
    pass."""
    branches = [Version(str(branch)) for branch in sorted(release.compat_branches)]
    for branch in branches:
        oldest = branch
        if first_driver is not None and first_driver > branch:
            oldest = first_driver
        if oldest.major == branch.major and passes(oldest):
            return oldest
    return release.driver


def cuda_floor(release: CudaRelease, *, needs_native: bool) -> Version | None:
    """The oldest driver for code of that CUDA: PTX needs the native one, cubins any of its major."""
    if needs_native or release.minor_driver is None:
        return release.driver
    return release.minor_driver
