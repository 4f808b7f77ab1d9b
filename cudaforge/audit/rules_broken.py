"""Findings about combinations that the facts know not to work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cudaforge.audit.outcome import Installed
from cudaforge.audit.scene import Scene, title, where
from cudaforge.codes import Code
from cudaforge.matrix.model import Broken, CudaProvider, FrameworkBuild
from cudaforge.versions import Version, VersionWish


def check(scene: Scene, installed: Installed, build: FrameworkBuild, better: Mapping[str, object]) -> None:
    """All of them; `better` is the base with development files that would do, as a fix or in words."""
    for row in scene.matrix.broken:
        if "capability" in row.when or not _speaks(scene, row, build, installed):
            continue
        if row.code is not None:
            _particular(scene, row, installed, better)
        elif row.is_fatal and row.when.get("provider") == CudaProvider.WHEELS.value:
            line, file = where(installed.install, scene)
            scene.error(
                Code.FRAMEWORK_BROKEN,
                line,
                f"{title(installed, scene)}: {row.effect}",
                row.source.citation(),
                file=file,
            )


def _speaks(scene: Scene, row: Broken, build: FrameworkBuild, installed: Installed) -> bool:
    when = row.when
    framework = scene.matrix.frameworks[build.framework]
    if when.get("framework", framework.name) not in (framework.name, *framework.aliases):
        return False
    python = installed.python.minor if installed.python is not None else None
    facts: Iterable[tuple[str, Version | None]] = (
        ("version", build.version),
        ("cuda", scene.system.cuda if build.provider is CudaProvider.SYSTEM else _exact(build.cuda)),
        ("cudnn", scene.system.cudnn if build.provider is CudaProvider.SYSTEM else _exact(build.cudnn)),
        ("python", Version(python) if python else None),
    )
    for key, value in facts:
        if key in when and (value is None or not VersionWish(when[key]).allows(value)):
            return False
    return (
        when.get("provider", build.provider.value) == build.provider.value
        and when.get("build", build.build) == build.build
        and when.get("platform", scene.asked.platform) == scene.asked.platform
    )


def _exact(wish: VersionWish | None) -> Version | None:
    return wish.prefix if wish is not None else None


def _particular(scene: Scene, row: Broken, installed: Installed, better: Mapping[str, object]) -> None:
    """What only the development files of CUDA or cuDNN mend."""
    system = scene.system
    if row.code == Code.CUDNN_DEV_SYMLINK_MISSING.value:
        is_there = system.has_cudnn_dev or any(name.endswith("libcudnn.so") for name in scene.image.links)
        if is_there or system.cudnn is None:
            return
    if system.flavor in ("devel", None) or not scene.wants_gpu or system.flavor == "base":
        return
    line, file = where(installed.install, scene)
    scene.warn(
        Code(row.code),
        line,
        f"{title(installed, scene)}: {row.effect}",
        row.source.citation(),
        file=file,
        **better,
    )
