"""Findings about a framework of the base image, of which the release is known and the build is not."""

from __future__ import annotations

from cudaforge.audit.outcome import Installed
from cudaforge.audit.rules_hosts import supporting
from cudaforge.audit.scene import Scene, title
from cudaforge.codes import Code
from cudaforge.matrix.gpu_names import sm
from cudaforge.matrix.model import CudaProvider, FrameworkBuild
from cudaforge.matrix.sources import Strength
from cudaforge.records import replace
from cudaforge.resolver.coverage import Coverage, coverage


def check(scene: Scene) -> None:
    """A GPU that no known build of the release has code for: whichever of them it is, it does not run."""
    for installed in scene.installed():
        builds = _known(scene, installed)
        for name, gpus in scene.asked.gpus if builds else ():
            for capability, is_apart in gpus.capabilities:
                ways = {
                    coverage(one, capability, is_embedded=is_apart, embedded=scene.embedded) for one in builds
                }
                if ways == {Coverage.NONE}:
                    told = sm(capability)
                    better = supporting(scene, builds[0], capability, is_apart=is_apart)
                    scene.error(
                        Code.ARCH_UNSUPPORTED,
                        scene.base.line,
                        f"{title(installed, scene)} of {scene.base.text}: no known build of that release has "
                        f"code for {name} ({told})",
                        builds[0].source.citation(),
                        advice=better or "no known release has code for it",
                    )


def _known(scene: Scene, installed: Installed) -> tuple[FrameworkBuild, ...]:
    """All CUDA builds that it may be; none where one of them is not known well enough, or where it may be
    somebody's own: NVIDIA's images call theirs by other versions, or do not say the build."""
    if installed.build is not None or installed.install is not None:
        return ()
    text = installed.version.text
    wheels = [
        one
        for one in scene.matrix.builds(installed.framework)
        if one.provider is not CudaProvider.NONE and text in (one.reported, one.version.text)
    ]
    conda = [
        row
        for row in scene.matrix.conda_builds
        if row.framework == installed.framework and row.cuda is not None and installed.version in row.versions
    ]
    if not wheels or not ("+" in text or conda):
        return ()
    builds = [*wheels, *(replace(wheels[0], cubins=row.cubins, ptx=row.ptx) for row in conda)]
    is_known = all(one.cubins and one.source.strength is not Strength.INFERRED for one in builds)
    return tuple(builds) if is_known else ()
