"""Findings about the machines that the image shall run on: GPUs and drivers, in builds, too."""

from __future__ import annotations

import re

from cudaforge.audit.outcome import Installed
from cudaforge.audit.scene import Scene, title, where
from cudaforge.codes import Code
from cudaforge.matrix.gpu_names import sm
from cudaforge.matrix.model import CudaProvider, CudaRelease, FrameworkBuild
from cudaforge.matrix.sources import Strength
from cudaforge.resolver.coverage import Coverage, coverage
from cudaforge.resolver.drivers import cuda_floor
from cudaforge.resolver.gates import gate_on, gate_passes
from cudaforge.resolver.named_gpus import NamedGpus
from cudaforge.versions import Version, VersionWish

_NEEDS_GPU = re.compile(
    r"assert\s+torch\.cuda\.is_available\(\)|torch\.cuda\.(?:get_device_name|current_device|get_device_properties)\("
    r"|assert\s+(?:len\()?tf\.config\.(?:list_physical_devices|experimental\.list_physical_devices)\(['\"]GPU"
    r"|\.to\(['\"]cuda|\.cuda\(\)|jax\.devices\(['\"](?:gpu|cuda)"
)
_STUBS = re.compile(r"/usr/local/cuda[^:]*/(?:lib64/)?stubs")


def check(scene: Scene) -> None:
    """All of them."""
    for name, gpus in scene.asked.gpus:
        _machines(scene, name, gpus)
    for installed in scene.installed():
        if installed.build is not None and installed.build.provider is not CudaProvider.NONE:
            for name, gpus in scene.asked.gpus:
                _gpu(scene, installed, installed.build, name, gpus)
            _driver(scene, installed, installed.build)
    _gate(scene)
    _at_build(scene)


def _machines(scene: Scene, name: str, gpus: NamedGpus) -> None:
    asked = scene.asked.platform
    platform = gpus.apart_from(asked)
    if platform is not None:
        scene.error(
            Code.ARCH_UNSUPPORTED,
            scene.base.line,
            f"{name} is built into machines of {platform}: an image for {asked} does not start there",
            gpus.gpus[0].source.citation(),
            advice=f"build it for {platform}, and audit it so: platform={platform}",
        )


def _gpu(
    scene: Scene,
    installed: Installed,
    build: FrameworkBuild,
    name: str,
    gpus: NamedGpus,
) -> None:
    line, file = where(installed.install, scene)
    if build.cubins is None and build.compiler is None:
        scene.unknown(line, f"nobody has looked which GPUs {title(installed, scene)} has code for")
        return
    for capability, is_apart in gpus.capabilities:
        way = coverage(build, capability, is_embedded=is_apart, embedded=scene.embedded)
        told = sm(capability)
        if way is Coverage.NONE:
            have = " ".join(map(sm, build.cubins or ()))
            better = supporting(scene, build, capability, is_apart=is_apart)
            scene.error(
                Code.ARCH_UNSUPPORTED,
                line,
                f"{title(installed, scene)} has no code for {name} ({told}): it has {have}",
                build.source.citation(),
                file=file,
                advice=better or "no known release has code for it",
            )
        for row in scene.matrix.broken:
            is_about = (
                row.is_fatal
                and "capability" in row.when
                and row.when.get("framework") == build.framework
                and VersionWish(row.when["capability"]).allows(capability)
                and VersionWish(row.when.get("version", ">=0")).allows(build.version)
            )
            if is_about:
                scene.error(
                    Code.ARCH_UNSUPPORTED,
                    line,
                    f"{title(installed, scene)} on {name}: {row.effect}",
                    row.source.citation(),
                    file=file,
                )


def supporting(scene: Scene, build: FrameworkBuild, capability: Version, *, is_apart: bool) -> str | None:
    """The release that has code for a GPU, from the build's own on, in words."""
    for other in scene.matrix.builds(build.framework):
        if (
            other.version >= build.version
            and other.source.strength is not Strength.INFERRED
            and scene.asked.platform in other.platforms
            and other.provider is not CudaProvider.NONE
            and coverage(other, capability, is_embedded=is_apart, embedded=scene.embedded) is Coverage.CUBIN
        ):
            index = scene.matrix.indexes.get(other.index)
            return f"{other.framework} {other.reported}" + (f" from {index.url}" if index else "") + " has it"
    return None


def _loaded_release(scene: Scene, build: FrameworkBuild) -> CudaRelease | None:
    """The CUDA release that is loaded; of a range, the one that asks the least of a driver."""
    if build.provider is CudaProvider.SYSTEM:
        cuda = scene.system.cuda
        rows = [
            row for row in scene.matrix.cuda_releases if cuda is not None and row.version.has_prefix(cuda)
        ]
        return rows[-1] if rows else None
    rows = [
        row for row in scene.matrix.cuda_releases if build.cuda is not None and build.cuda.allows(row.version)
    ]
    return rows[0] if rows else None


def _driver(scene: Scene, installed: Installed, build: FrameworkBuild) -> None:
    driver, release = scene.asked.driver, _loaded_release(scene, build)
    if driver is None or release is None:
        return
    ways = [
        coverage(build, capability, is_embedded=is_apart, embedded=scene.embedded)
        for _, gpus in scene.asked.gpus
        for capability, is_apart in gpus.capabilities
    ]
    floor = cuda_floor(release, needs_native=Coverage.PTX in ways)
    line, file = where(installed.install, scene)
    if floor is None:
        scene.unknown(line, f"the driver that CUDA {release.version} needs is not known")
    elif driver < floor:
        scene.error(
            Code.DRIVER_TOO_OLD,
            line,
            f"{title(installed, scene)} loads CUDA {release.version.minor()}, which needs driver {floor} or "
            f"newer; the hosts have {driver}",
            release.source.citation(),
            file=file,
            advice="install a build for an older CUDA, or update the driver",
        )


def _gate(scene: Scene) -> None:
    driver, image = scene.asked.driver, scene.base.image
    if driver is None or image is None or image.gate is None:
        return
    if scene.image.env.get("NVIDIA_DISABLE_REQUIRE") or "NVIDIA_REQUIRE_CUDA" in scene.image.env:
        return
    gate = gate_on(
        (scene.asked.platform,),
        image.gate,
        image.gate_branches,
        image.gate_brands,
        frozenset(image.compat_platforms),
    )
    kinds = frozenset(kind for _, gpus in scene.asked.gpus for kind in gpus.kinds)
    if gate is None or gate_passes(gate, driver=driver, kinds=kinds, branches=scene.matrix.driver_branches):
        return
    scene.error(
        Code.DRIVER_TOO_OLD,
        scene.base.line,
        f"{scene.base.text} refuses to start on driver {driver}: its NVIDIA_REQUIRE_CUDA is {image.gate}",
        image.source.citation(),
        advice="start from an image of an older CUDA, or update the driver",
    )


def _at_build(scene: Scene) -> None:
    document = (
        "NVIDIA, container toolkit: the driver's libraries are put in when a container starts, not in builds"
    )
    for loose in scene.image.loose:
        if not loose.is_certain:
            continue
        if loose.kind == "driver-program":
            scene.error(
                Code.DRIVER_LIB_AT_BUILD,
                loose.line,
                f"{loose.text} needs the driver, which no build has: this step fails",
                document,
                advice="run it when the container starts",
            )
        elif loose.kind == "python-code" and _NEEDS_GPU.search(loose.text):
            scene.error(
                Code.DRIVER_LIB_AT_BUILD,
                loose.line,
                "this asks for a GPU, which no build has: the step fails",
                document,
                advice="check for the GPU when the container starts, or print instead of asserting",
            )
    path = scene.image.env.get("LD_LIBRARY_PATH", "")
    if _STUBS.search(path):
        scene.warn(
            Code.DRIVER_LIB_AT_BUILD,
            scene.image.env_lines.get("LD_LIBRARY_PATH", 1),
            "LD_LIBRARY_PATH keeps the stub of libcuda: programs may load it instead of the driver",
            document,
            advice="set it in the RUN that links, not with ENV",
        )
