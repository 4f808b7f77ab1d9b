"""Checks of whether this host can run one locked image."""

from __future__ import annotations

from collections.abc import Iterable

from cudaforge.codes import Code
from cudaforge.doctor.model import Judgement, good, listed, problem, skipped
from cudaforge.doctor.nvidia import HostGpu
from cudaforge.doctor.situation import Situation
from cudaforge.lockfile.model import LockedImage
from cudaforge.matrix.gpu_names import parse_capability
from cudaforge.matrix.model import CudaRelease, Gpu
from cudaforge.resolver.coverage import runs
from cudaforge.resolver.drivers import native_cuda, runs_forward
from cudaforge.resolver.gates import Gate, gate_on, gate_passes, parse_gate
from cudaforge.resolver.question import DATA_CENTRE
from cudaforge.resolver.tables import tables_of
from cudaforge.versions import Version

_CPU = "a CPU image: it needs none"
_NO_DRIVER = "no driver answers"
_PLATFORMS = {
    "x86_64": "linux/amd64",
    "amd64": "linux/amd64",
    "aarch64": "linux/arm64",
    "arm64": "linux/arm64",
}


def platform(seen: Situation, image: LockedImage) -> Judgement:
    """The image is for this machine's kind of CPU."""
    machine = str(seen.engine.info.get("Architecture", ""))
    if not machine:
        return skipped("no engine answers")
    own = _PLATFORMS.get(machine, f"linux/{machine}")
    if own in image.platforms:
        return good(own)
    return problem(
        f"the image is for {', '.join(image.platforms)}, and this machine is {own}",
        f'declare platforms = ["{own}"], then: cudaforge lock',
        code=Code.WRONG_ARCHITECTURE,
    )


def driver(seen: Situation, image: LockedImage) -> Judgement:
    """The driver is as new as the image asks for."""
    if image.cuda is None:
        return good(_CPU)
    found = _driver(seen)
    if found is None:
        return skipped(_NO_DRIVER)
    if image.driver_floor is None:
        return skipped("the lock names no oldest driver")
    floor = Version(image.driver_floor)
    if found < floor:
        return problem(
            f"driver {found} is too old: the image needs {floor} or newer",
            f'install driver {floor.major} or newer; or declare driver = "{found}", then: cudaforge lock',
            code=Code.DRIVER_TOO_OLD,
        )
    return good(f"driver {found}, {floor} or newer is needed")


def forward(seen: Situation, image: LockedImage) -> Judgement:
    """Forward compatibility works on this driver and these GPUs, where the image relies on it."""
    if not image.forward_compat:
        return skipped("the image does not use it")
    found = _driver(seen)
    if found is None:
        return skipped(_NO_DRIVER)
    release = _release(seen, image)
    if release is None:
        return skipped(f"the facts know no CUDA {image.toolkit or image.cuda}")
    if not runs_forward(release, found):
        branches = ", ".join(str(branch) for branch in sorted(release.compat_branches)) or "none"
        return problem(
            f"{release.compat_package} does not run on driver {found}: on branches {branches}, or from "
            f"{release.driver} on",
            "install a driver of one of these, or declare forward_compat = false, then: cudaforge lock",
            code=Code.DRIVER_TOO_OLD,
        )
    others = [gpu.name for gpu in seen.nvidia.gpus if _kinds(seen, gpu) != {DATA_CENTRE}]
    if others and release.driver is not None and found < release.driver:
        return problem(
            f"{listed(others)} is none of the data centre: forward compatibility is for these alone",
            f"install driver {release.driver} or newer, or declare forward_compat = false, then: "
            "cudaforge lock",
            code=Code.COMPAT_LIB_ON_PATH,
        )
    return good(f"{release.compat_package} runs on driver {found}")


def gpus(seen: Situation, image: LockedImage) -> Judgement:
    """The image has code for every GPU of this host."""
    if image.cuda is None:
        return good(_CPU)
    if not seen.engine.is_local:
        return skipped("the engine is on another machine: run cudaforge doctor there")
    if not seen.nvidia.gpus:
        return problem(
            "this host shows no GPU, and the image is made for one",
            'see the findings above; or build its CPU twin: cuda = "none"',
            code=Code.NO_GPU,
        )
    if not image.architectures and not image.ptx:
        return skipped("the lock does not say which GPUs the image has code for")
    unserved = [(gpu, text) for gpu in seen.nvidia.gpus if (text := _lack(seen, image, gpu)) is not None]
    if unserved:
        gpu, text = unserved[0]
        wish = gpu.name.removeprefix("NVIDIA ")
        return problem(
            "; ".join(text for _, text in unserved),
            f'declare gpus = ["{wish}"], then: cudaforge lock; or a newer driver, where PTX is meant',
            code=Code.ARCH_UNSUPPORTED,
        )
    return good(f"code for {listed(list(dict.fromkeys(gpu.name for gpu in seen.nvidia.gpus)))}")


def _lack(seen: Situation, image: LockedImage, gpu: HostGpu) -> str | None:
    """Why the image's code does not run on the GPU; None where it does."""
    capability = _capability(seen, gpu)
    if capability is None:
        return f"the compute capability of {gpu.name} is not known"
    name = f"{gpu.name} (sm_{''.join(map(str, capability.release))})"
    embedded = tables_of(seen.matrix, has_cuda_images=False).embedded_capabilities
    cubins = _capabilities(image.architectures)
    if runs(cubins, capability, is_embedded=capability in embedded, embedded=embedded):
        return None
    has = ", ".join((*image.architectures, *image.ptx))
    if not any(one <= capability for one in _capabilities(image.ptx)):
        return f"the image has code for {has}; none of it runs on {name}"
    native = _native(seen)
    if native is None or image.cuda is None or native >= Version(image.cuda).minor():
        return None
    return (
        f"the image reaches {name} by PTX alone, for which a driver of CUDA {image.cuda} is needed: this one "
        f"is of CUDA {native}"
    )


def gate(seen: Situation, image: LockedImage) -> Judgement:
    """The gate of the image lets this host pass."""
    if image.cuda is None:
        return good(_CPU)
    text, conditions = _gate(seen, image)
    if conditions is None:
        return skipped("the image has no gate")
    found = _driver(seen)
    if found is None:
        return skipped(_NO_DRIVER)
    kinds = frozenset(kind for gpu in seen.nvidia.gpus for kind in _kinds(seen, gpu))
    if gate_passes(conditions, driver=found, kinds=kinds, branches=seen.matrix.driver_branches):
        return good(f"NVIDIA_REQUIRE_CUDA lets driver {found} pass")
    return problem(
        f"NVIDIA_REQUIRE_CUDA={text} stops driver {found}: no container of the image starts with a GPU",
        'install a newer driver, or declare require_cuda = "relax", then: cudaforge lock',
        code=Code.DRIVER_TOO_OLD,
    )


def _gate(seen: Situation, image: LockedImage) -> tuple[str, Gate | None]:
    """The image's own gate, or that of its base."""
    if image.gate is not None:
        return image.gate, parse_gate(image.gate) if image.gate else None
    base = next((row for row in seen.matrix.cuda_images if row.reference == image.base.reference), None)
    if base is None or not base.gate:
        return "", None
    platforms = base.compat_platforms
    return base.gate, gate_on(
        image.platforms, base.gate, base.gate_branches, base.gate_brands, frozenset(platforms)
    )


def _driver(seen: Situation) -> Version | None:
    found = seen.nvidia
    return (found.driver or found.kernel) if found.trouble is None else None


def _native(seen: Situation) -> Version | None:
    """The CUDA of the driver: as it says itself, or by its branch."""
    found = _driver(seen)
    if seen.nvidia.cuda is not None or found is None:
        return seen.nvidia.cuda
    return native_cuda(found, seen.matrix.driver_branches)


def _release(seen: Situation, image: LockedImage) -> CudaRelease | None:
    wanted = image.toolkit or image.cuda
    rows = [row for row in seen.matrix.cuda_releases if wanted and row.version.has_prefix(Version(wanted))]
    return rows[-1] if rows else None


def _products(seen: Situation, gpu: HostGpu) -> tuple[Gpu, ...]:
    return seen.matrix.find_gpus(gpu.name)


def _kinds(seen: Situation, gpu: HostGpu) -> frozenset[str]:
    return frozenset(product.kind for product in _products(seen, gpu))


def _capability(seen: Situation, gpu: HostGpu) -> Version | None:
    if gpu.capability is not None:
        return gpu.capability
    known = {product.capability for product in _products(seen, gpu)}
    return known.pop() if len(known) == 1 else None


def _capabilities(names: Iterable[str]) -> tuple[Version, ...]:
    return tuple(one for one in map(parse_capability, names) if one is not None)
