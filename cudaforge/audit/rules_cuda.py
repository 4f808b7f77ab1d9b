"""Findings about the CUDA and cuDNN that frameworks load."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cudaforge.audit import rules_broken
from cudaforge.audit.bases import flavored
from cudaforge.audit.conda_choice import INDEX
from cudaforge.audit.names import normal
from cudaforge.audit.outcome import Installed
from cudaforge.audit.scene import Scene, title, where
from cudaforge.codes import Code
from cudaforge.indexes import DEFAULT_INDEX
from cudaforge.matrix.model import BaseImage, CudaProvider, FrameworkBuild
from cudaforge.versions import Version, VersionWish

_SYSTEM_LIBRARIES = re.compile(r"/usr/lib/(?:x86_64|aarch64)-linux-gnu/?")
_COMPILED = frozenset(("flash-attn", "apex", "causal-conv1d", "mamba-ssm", "detectron2", "deepspeed"))


def check(scene: Scene) -> None:
    """All of them."""
    for installed in scene.installed():
        build = installed.build
        if build is None:
            continue
        if build.provider is CudaProvider.SYSTEM:
            _system(scene, installed, build)
        elif build.provider is CudaProvider.WHEELS:
            _wheels(scene, installed, build)
        else:
            _none(scene, installed, build)
        if build.index != INDEX:
            rules_broken.check(scene, installed, build, _better_base(scene, build, flavor="devel"))


def _system(scene: Scene, installed: Installed, build: FrameworkBuild) -> None:
    line, file = where(installed.install, scene)
    name, citation = title(installed, scene), build.source.citation()
    system = scene.system
    has_libraries = system.cuda is not None and system.flavor != "base"
    if not has_libraries:
        if system.is_open:
            scene.unknown(line, f"{name} loads CUDA {build.cuda} from the system, whose CUDA is not known")
        elif scene.wants_gpu:
            _missing(scene, installed, build)
        elif scene.refuses_gpu is None:
            scene.note(
                Code.CUDA_MISSING,
                line,
                f"{name} finds no CUDA here and runs on the CPU alone",
                citation,
                file=file,
                advice=f"for GPUs it needs CUDA {build.cuda}",
            )
        return
    assert system.cuda is not None  # noqa: S101 -- has_libraries says so
    if build.cuda is not None and not build.cuda.allows(system.cuda):
        _other_cuda(scene, installed, build, system.cuda)
    _cudnn(scene, installed, build)


def _missing(scene: Scene, installed: Installed, build: FrameworkBuild) -> None:
    line, file = where(installed.install, scene)
    what = "only the CUDA runtime" if scene.system.flavor == "base" else "no CUDA"
    scene.error(
        Code.CUDA_MISSING,
        line,
        f"{title(installed, scene)} loads CUDA {build.cuda} from the system, and the image has {what}",
        build.source.citation(),
        file=file,
        **_better_base(scene, build),
    )


def _other_cuda(scene: Scene, installed: Installed, build: FrameworkBuild, cuda: Version) -> None:
    line, file = where(installed.install, scene)
    allowed = [
        row.version for row in scene.matrix.cuda_releases if build.cuda and build.cuda.allows(row.version)
    ]
    same = [version for version in allowed if version.major == cuda.major]
    code = Code.CUDA_TOO_OLD if same and cuda < min(same) else Code.CUDA_MAJOR_MISMATCH
    scene.error(
        code,
        line,
        f"{title(installed, scene)} loads CUDA {build.cuda}, and the image has CUDA {cuda}",
        build.source.citation(),
        file=file,
        **_better_base(scene, build),
    )


def _cudnn(scene: Scene, installed: Installed, build: FrameworkBuild) -> None:
    if build.cudnn is None:
        return
    line, file = where(installed.install, scene)
    system, name, citation = scene.system, title(installed, scene), build.source.citation()
    majors = {row.version.major for row in scene.matrix.cudnn_releases if build.cudnn.allows(row.version)}
    if system.cudnn is None:
        if system.cudnn_major is not None and majors and system.cudnn_major not in majors:
            code = Code.CUDNN_MAJOR_MISMATCH
            has = f"cuDNN {system.cudnn_major}"
        elif system.is_open:
            scene.unknown(line, f"{name} loads cuDNN {build.cudnn}, and the one of the system is not known")
            return
        else:
            code, has = Code.CUDNN_MISSING, "no cuDNN"
    elif build.cudnn.allows(system.cudnn):
        return
    else:
        is_same = system.cudnn.major in majors
        code = Code.CUDNN_TOO_OLD if is_same else Code.CUDNN_MAJOR_MISMATCH
        has = f"cuDNN {system.cudnn}"
    scene.error(
        code,
        line,
        f"{name} loads cuDNN {build.cudnn}, and the image has {has}",
        f"{citation} {scene.base.source}",
        file=file,
        **_better_base(scene, build),
    )


def _better_base(scene: Scene, build: FrameworkBuild, *, flavor: str | None = None) -> dict[str, object]:
    """A base that has what the build loads: the fix, and the advice."""
    row = find_base_for(scene, build, flavor=flavor)
    if row is None or scene.system.is_installed:
        return {"advice": f"the image needs CUDA {build.cuda} and cuDNN {build.cudnn}"}
    advice = f"start from {row.reference}"
    is_cuda = scene.base.cuda is not None and scene.base.framework_image is None
    return {"advice": advice, "fix": scene.base_fix(row.reference) if is_cuda else None}


def find_base_for(scene: Scene, build: FrameworkBuild, *, flavor: str | None = None) -> BaseImage | None:
    """The published image on the same system with the CUDA and cuDNN that a build loads: with the CUDA of the
    base, where it fits; else the oldest that does, as it asks the least of drivers."""
    system = scene.base.os
    wanted = flavor or ("devel" if scene.base.flavor == "devel" else "runtime")
    found = [
        row
        for row in scene.matrix.cuda_images
        if row.flavor == wanted
        and not row.removed
        and (system is None or row.os == system.id)
        and scene.asked.platform in row.platforms
        and _fits(row, build.cuda, build.cudnn)
    ]
    own = scene.system.cuda
    return min(
        found,
        key=lambda row: (row.cuda != own, row.cuda or Version("0"), row.reference),
        default=None,
    )


def _fits(row: BaseImage, cuda: VersionWish | None, cudnn: VersionWish | None) -> bool:
    if cuda is not None and (row.cuda is None or not cuda.allows(row.cuda)):
        return False
    return cudnn is None or (row.cudnn is not None and cudnn.allows(row.cudnn))


def _wheels(scene: Scene, installed: Installed, build: FrameworkBuild) -> None:
    if installed.install is None:
        return
    _unneeded(scene, installed, build)
    _second_copy(scene, installed, build)
    _toolkit(scene, installed, build)
    _shadowed(scene, installed, build)


def _unneeded(scene: Scene, installed: Installed, build: FrameworkBuild) -> None:
    if scene.refuses_gpu is None:
        return
    line, file = where(installed.install, scene)
    size = f", {build.cuda_installed / 1e9:.1f} GB," if build.cuda_installed else ""
    scene.warn(
        Code.CUDA_WHEEL_ON_CPU_IMAGE,
        line,
        f"{title(installed, scene)} brings the CUDA libraries{size} and line {scene.refuses_gpu} hides GPUs",
        build.source.citation(),
        file=file,
        advice=_cpu_advice(scene, build),
    )


def _cpu_advice(scene: Scene, build: FrameworkBuild) -> str:
    for other in scene.matrix.builds(build.framework):
        if (other.version, other.provider) == (build.version, CudaProvider.NONE) and (
            scene.asked.platform in other.platforms
        ):
            index = scene.matrix.indexes.get(other.index)
            where_from = f" from {index.url}" if index else ""
            return f"install {other.requires[0].replace('===', '==')}{where_from}"
    return "install a CPU build"


def _others_load_system(scene: Scene) -> bool:
    """Whether another framework loads CUDA from the system, or may: of some nothing is known."""
    return bool(scene.outcome.unresolved) or any(
        one.build is not None and one.build.provider is CudaProvider.SYSTEM for one in scene.installed()
    )


def _second_copy(scene: Scene, installed: Installed, build: FrameworkBuild) -> None:
    base = scene.base
    if base.image is None or base.cuda is None or base.flavor == "base" or _others_load_system(scene):
        return
    if scene.refuses_gpu is not None:
        return
    better = flavored(scene.matrix, base.image, "base")
    message = (
        f"{title(installed, scene)} brings its own CUDA and cuDNN: those of {base.text} are a second copy "
        "that nothing loads"
    )
    if base.flavor == "devel":
        scene.note(
            Code.DUPLICATE_CUDA_LIBS,
            base.line,
            message,
            build.source.citation(),
            advice="fine where the image compiles CUDA code; else start from the base flavor",
        )
        return
    scene.warn(
        Code.DUPLICATE_CUDA_LIBS,
        base.line,
        message,
        build.source.citation(),
        fix=scene.base_fix(better.reference) if better else None,
        advice=f"start from {better.reference}" if better else "start from a plain system image",
    )


def _toolkit(scene: Scene, installed: Installed, build: FrameworkBuild) -> None:
    cuda, major = scene.system.cuda, wheel_major(scene, build)
    if scene.system.flavor != "devel" or cuda is None or major is None or major == cuda.major:
        return
    line, file = where(installed.install, scene)
    compiled = sorted(_COMPILED & {normal(one.requirement.name) for one in scene.image.installs})
    tell = scene.error if compiled else scene.warn
    more = (
        f": {', '.join(compiled)} cannot be compiled"
        if compiled
        else ", as what compiles against it will see"
    )
    other = _toolkit_base(scene, build, major)
    tell(
        Code.WHEEL_CUDA_DIFFERS_FROM_BASE,
        line,
        f"{title(installed, scene)} was built with CUDA {build.cuda}, and the toolkit here is {cuda}{more}",
        f"{build.source.citation()} PyTorch, C++ extensions: CUDA version check",
        file=file,
        fix=scene.base_fix(other.reference) if other else None,
        advice=f"start from {other.reference}" if other else f"start from a devel image of CUDA {major}",
    )


def _toolkit_base(scene: Scene, build: FrameworkBuild, major: int) -> BaseImage | None:
    system = scene.base.os
    rows = [
        row
        for row in scene.matrix.cuda_images
        if row.flavor == "devel"
        and not row.removed
        and row.cuda is not None
        and row.cuda.major == major
        and (system is None or row.os == system.id)
        and (row.cudnn is not None) == (scene.base.cudnn is not None)
    ]
    return max(
        rows,
        key=lambda row: (_is_minor_of(row, build), row.cuda or Version("0")),
        default=None,
    )


def _is_minor_of(row: BaseImage, build: FrameworkBuild) -> bool:
    return row.cuda is not None and build.cuda is not None and build.cuda.allows(row.cuda)


def wheel_major(scene: Scene, build: FrameworkBuild) -> int | None:
    """The CUDA major that a build loads, where it is one."""
    if build.cuda is None:
        return None
    majors = {row.version.major for row in scene.matrix.cuda_releases if build.cuda.allows(row.version)}
    return majors.pop() if len(majors) == 1 else None


def _shadowed(scene: Scene, installed: Installed, build: FrameworkBuild) -> None:
    path = scene.image.env.get("LD_LIBRARY_PATH", "")
    if build.cudnn is None or scene.base.cudnn is None or not _SYSTEM_LIBRARIES.search(path):
        return
    if build.index == INDEX or build.cudnn.allows(scene.base.cudnn):
        return
    line = scene.image.env_lines.get("LD_LIBRARY_PATH", 1)
    is_major = build.cudnn.prefix is not None and build.cudnn.prefix.major != scene.base.cudnn.major
    (scene.error if is_major else scene.warn)(
        Code.CUDNN_SHADOWED,
        line,
        f"LD_LIBRARY_PATH puts the system's cuDNN {scene.base.cudnn} before the {build.cudnn} that "
        f"{title(installed, scene)} brings",
        f"{build.source.citation()} {scene.base.source} ld.so(8): LD_LIBRARY_PATH comes before RUNPATH",
        advice="take the system's library directory out of LD_LIBRARY_PATH",
    )


def _none(scene: Scene, installed: Installed, build: FrameworkBuild) -> None:
    if not scene.wants_gpu or installed.install is None or installed.install.conda is not None:
        return
    is_explicit = build.framework != "pytorch" and "cpu" in normal(installed.install.requirement.name)
    others = [
        one
        for one in scene.installed()
        if one is not installed and (one.build is None or one.build.provider is not CudaProvider.NONE)
    ]
    if others and (is_explicit or not scene.asked.gpus):
        return
    line, file = where(installed.install, scene)
    better = _gpu_requirement(scene, build)
    tell = scene.error if scene.asked.gpus or scene.asked.driver is not None else scene.warn
    tell(
        Code.CPU_ONLY_BUILD,
        line,
        f"{title(installed, scene)} is a CPU build, and the image is meant for GPUs",
        build.source.citation(),
        file=file,
        fix=scene.mend_install(installed.install, better) if better and file is None else None,
        advice=f"install {better}" if better else _other_index(scene, build),
    )


def _other_index(scene: Scene, build: FrameworkBuild) -> str:
    """Where a build of the release with CUDA is, if in another index than the usual one."""
    for other in _gpu_builds(scene, build):
        index = scene.matrix.indexes.get(other.index)
        if index is not None:
            return f"install it as {other.build} from an index of its own: --index-url {index.url}"
    return "no build of that release for this platform uses a GPU"


def _gpu_requirement(scene: Scene, build: FrameworkBuild) -> str | None:
    """What to install instead for the same release with CUDA."""
    for other in _gpu_builds(scene, build):
        if other.index == DEFAULT_INDEX:
            row = next(
                (
                    one
                    for one in scene.matrix.distributions
                    if one.framework == other.framework
                    and one.build == other.build
                    and not one.replaced_by
                    and one.name.endswith(f"[{other.build}]")
                ),
                None,
            )
            name = row.name if row else other.requires[0].partition("===")[0]
            return f"{name}=={build.version}"
    return None


def _gpu_builds(scene: Scene, build: FrameworkBuild) -> Iterator[FrameworkBuild]:
    """The builds of the same release that use CUDA on this platform, the newest CUDA first."""
    for other in reversed(scene.matrix.builds(build.framework)):
        is_gpu = other.version == build.version and other.provider is not CudaProvider.NONE
        if is_gpu and scene.asked.platform in other.platforms:
            yield other
