"""Which driver a CUDA needs, which one the text names, and what lies between."""

from __future__ import annotations

import re

from cudaforge.codes import Code
from cudaforge.explainer.named import named_gpu
from cudaforge.explainer.scene import Ruling, Scene, newest
from cudaforge.matrix.model import CudaRelease, DriverBranch
from cudaforge.resolver.drivers import native_cuda
from cudaforge.versions import Version, find_version

_CONDITION = re.compile(r"cuda ?>=? ?(\d{1,2}\.\d{1,2})")
_CODED = 1000
"""CUDA gives its version as 1000 times the major and 10 times the minor."""
_LABEL = re.compile(r"(\d{1,2})(\d)")


def floor_rule(scene: Scene) -> tuple[Ruling, ...]:
    """Is the driver older than CUDA needs (minor-version compatibility), or than the image's gate says?"""
    condition = _CONDITION.match(scene.match.groups.get("condition", ""))
    if condition is not None:
        return _gate(scene, Version(condition[1]))
    return _floor(scene, needs_native=False)


def native_rule(scene: Scene) -> tuple[Ruling, ...]:
    """Is the driver older than the CUDA that made the PTX?"""
    return _floor(scene, needs_native=True)


def forward_rule(scene: Scene) -> tuple[Ruling, ...]:
    """Is the GPU one that forward compatibility is for?"""
    gpu = named_gpu(scene)
    if gpu is None or not gpu.gpus:
        return ()
    kinds = {one.kind for one in gpu.gpus}
    source = gpu.gpus[0].source.citation()
    if kinds == {"datacenter"}:
        text = (
            f"{gpu.name} is a data-centre GPU, for which forward compatibility is allowed: the driver's "
            "kernel module and its libraries are of different releases, or the compat package does not know "
            "its branch"
        )
        return (
            Ruling(
                code=Code.DRIVER_TOO_OLD,
                text=text,
                remedy="reboot the host after a driver update; else install one as new as the image's CUDA",
                source=source,
            ),
        )
    if "datacenter" in kinds:
        return ()
    text = (
        f"the image's cuda-compat libcuda is loaded in place of the driver's, and {gpu.name} is no "
        "data-centre GPU: forward compatibility is for these alone"
    )
    return (Ruling(code=Code.COMPAT_LIB_ON_PATH, text=text, source=source),)


def _gate(scene: Scene, cuda: Version) -> tuple[Ruling, ...]:
    branch = next((row for row in scene.matrix.driver_branches if row.cuda >= cuda), None)
    if branch is None:
        return ()
    driver, runs = _driver(scene)
    floor = _minor_floor(scene, cuda)
    text = f"the image's gate wants CUDA {cuda}, which drivers of branch {branch.branch} or newer run"
    if driver is not None:
        text += f"; the driver of the host is {driver}" + (f" (CUDA {runs})" if runs is not None else "")
    remedy = f"install a driver of branch {branch.branch} or newer"
    if floor is not None and (driver is None or driver >= floor):
        what = "the driver is" if driver is not None else f"drivers >= {floor} are"
        remedy += (
            f"; or relax the gate, since {what} enough for CUDA {cuda} without PTX: "
            'require_cuda = "relax", or NVIDIA_DISABLE_REQUIRE=1'
        )
    return (Ruling(code=Code.DRIVER_TOO_OLD, text=text, remedy=remedy, source=branch.source.citation()),)


def _floor(scene: Scene, *, needs_native: bool) -> tuple[Ruling, ...]:
    driver, runs = _driver(scene)
    release = _release(scene, needs_native=needs_native)
    floor = (
        None if release is None else release.driver if needs_native else _minor_floor(scene, release.version)
    )
    if release is not None and floor is not None:
        return _compared(scene, release, floor, driver, runs)
    if runs is None:
        return ()
    named = f"the driver of the host, {driver}, runs" if driver is not None else "the driver of the host runs"
    branch = _branch(scene, driver)
    text = f"{named} CUDA up to {runs} in full, and the CUDA of this build is newer"
    wish = _wish(driver, runs)
    remedy = f"install a newer driver, or take a build for this one: cudaforge resolve FRAMEWORK {wish}"
    return (
        Ruling(
            code=Code.DRIVER_TOO_OLD,
            text=text,
            remedy=remedy,
            source=branch.source.citation() if branch else "",
        ),
    )


def _compared(
    scene: Scene, release: CudaRelease, floor: Version, driver: Version | None, runs: Version | None
) -> tuple[Ruling, ...]:
    cuda, source = release.version.minor(), release.source.citation()
    if driver is None and runs is None:
        text = f"the driver of the host is too old for CUDA {cuda}, which needs {floor} or newer"
        return (Ruling(code=Code.DRIVER_TOO_OLD, text=text, source=source),)
    is_older = driver < floor if driver is not None else runs is not None and runs.major < cuda.major
    named = (
        f"the driver of the host, {driver},"
        if driver is not None
        else f"the driver of the host (CUDA {runs})"
    )
    if is_older:
        text = f"{named} is too old for CUDA {cuda}, which needs {floor} or newer"
        if release.driver is not None and release.driver > floor:
            text += f" ({release.driver} where PTX is compiled)"
        if driver is not None and runs is not None:
            text += f"; it runs CUDA up to {runs}"
        remedy = (
            f"install driver {floor} or newer, or take a build for the old one: "
            f"cudaforge resolve FRAMEWORK {_wish(driver, runs)}"
        )
        return (Ruling(code=Code.DRIVER_TOO_OLD, text=text, remedy=remedy, source=source),)
    other = next((cause for cause in scene.causes if cause.code is not Code.DRIVER_TOO_OLD), None)
    if other is None:
        return ()
    text = f"{named} is new enough for CUDA {cuda} ({floor}): so {_plainly(other.text)}"
    return (Ruling(code=other.code, text=text, source=source),)


def _driver(scene: Scene) -> tuple[Version | None, Version | None]:
    """The driver that the text names, and the newest CUDA that it runs in full."""
    branches = scene.matrix.driver_branches
    named = [found for text in scene.facts.drivers if (found := find_version(text)) is not None]
    known = [one for one in named if branches and branches[0].branch <= one.major <= branches[-1].branch + 50]
    if known:
        return known[0], native_cuda(known[0], branches)
    for text in scene.facts.driver_cuda:
        number = find_version(text)
        if number is not None and number.major >= _CODED:
            return None, Version(f"{number.major // _CODED}.{number.major % _CODED // 10}")
        if number is not None:
            return None, number
    return None, None


def _branch(scene: Scene, driver: Version | None) -> DriverBranch | None:
    known = [row for row in scene.matrix.driver_branches if driver is not None and row.branch <= driver.major]
    return known[-1] if known else None


def _release(scene: Scene, *, needs_native: bool) -> CudaRelease | None:
    """The CUDA release that the text speaks of: the newest it names, of that minor the least demanding."""
    images = (
        text.partition(":")[2].partition("-")[0]
        for text in scene.facts.images
        if text.startswith("nvidia/cuda:")
    )
    labels = (
        f"{match[1]}.{match[2]}" if (match := _LABEL.fullmatch(text)) else text for text in scene.facts.cuda
    )
    wanted = newest((*labels, *images))
    rows = [
        one
        for one in scene.matrix.cuda_releases
        if wanted is not None and one.version.minor() == wanted.minor()
    ]
    known = [
        one for one in rows if (one.driver if needs_native else one.minor_driver or one.driver) is not None
    ]
    return known[0] if known else None


def _minor_floor(scene: Scene, cuda: Version) -> Version | None:
    rows = [one for one in scene.matrix.cuda_releases if one.version.minor() == cuda.minor()]
    return min((floor for one in rows if (floor := one.minor_driver or one.driver) is not None), default=None)


def _plainly(text: str) -> str:
    """A cause without the condition that it was told with."""
    return text.partition(": ")[2] if text.startswith("if ") else text


def _wish(driver: Version | None, runs: Version | None) -> str:
    return f"driver={driver}" if driver is not None else f"cuda={runs}"
