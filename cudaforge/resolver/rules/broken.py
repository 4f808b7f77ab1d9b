"""The one rule that reads combinations known not to work."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from cudaforge.matrix.model import Broken
from cudaforge.resolver.candidates import BuildCandidate, is_confirmed
from cudaforge.resolver.question import GpuWish
from cudaforge.resolver.rules.scene import (
    CUDA,
    CUDNN,
    ENVIRONMENT,
    FIRST_FRAMEWORK,
    Bound,
    Scene,
    each_framework,
    wished_minors,
)
from cudaforge.resolver.solver import Blocks, Exclusion
from cudaforge.resolver.tables import FrameworkTable, Tables
from cudaforge.versions import VersionWish


def broken(scene: Scene) -> Iterator[Bound]:
    """No combination that is known not to work; what works after all is only warned of."""
    for row, position, presence in _fatal(scene):
        if "capability" not in row.when:
            yield Bound("broken", _exclusion(scene, row, position), presence, 0, row, position)


def broken_on_gpus(scene: Scene) -> Iterator[Bound]:
    """The same for what does not work on some GPUs."""
    for gpu in scene.question.gpus:
        parts = scene.tables.keep(("broken", scene.asked, gpu.capabilities), partial(_broken_on, scene, gpu))
        for row, position, exclusion in parts:
            needs = scene.question.presence(position) | gpu.item.bit
            yield Bound("broken", exclusion, needs, scene.cpu, row, position)


def _broken_on(scene: Scene, gpu: GpuWish) -> tuple[tuple[Broken, int, Exclusion], ...]:
    return tuple(
        (row, position, _exclusion(scene, row, position))
        for row, position, _ in _fatal(scene)
        if "capability" in row.when and is_on(VersionWish(row.when["capability"]), gpu)
    )


def _fatal(scene: Scene) -> Iterator[tuple[Broken, int, int]]:
    for row in scene.tables.matrix.broken:
        if row.is_fatal and is_confirmed(row.source):
            for position, table, presence in each_framework(scene):
                if is_about(row, table):
                    yield row, position, presence


def _exclusion(scene: Scene, row: Broken, position: int) -> Exclusion:
    return Exclusion(broken_parts(scene.tables, scene.frameworks[position], row, position))


def is_about(row: Broken, table: FrameworkTable) -> bool:
    """Whether the row speaks of this framework, or of any."""
    framework = table.framework
    return row.when.get("framework", framework.name) in (framework.name, *framework.aliases)


def is_on(capability: VersionWish, gpu: GpuWish) -> bool:
    """Whether a condition on the compute capability speaks of the GPU."""
    return any(capability.allows(one) for one, _ in gpu.capabilities)


def broken_parts(tables: Tables, table: FrameworkTable, row: Broken, position: int) -> Blocks:
    """The values of each variable that a combination known not to work is made of."""

    when = row.when
    wish = VersionWish(when["version"]) if "version" in when else None
    build, provider, platform = (when.get(key) for key in ("build", "provider", "platform"))

    def is_meant(one: BuildCandidate) -> bool:
        return (
            (build is None or one.row.build == build)
            and (provider is None or one.row.provider == provider)
            and (platform is None or platform in one.platforms)
            and (wish is None or wish.allows(one.version))
        )

    builds = table.named(("broken", tuple(row.when.items())), is_meant)
    parts = [(FIRST_FRAMEWORK + position, builds)]
    if "cuda" in row.when:
        parts.append((CUDA, tables.cuda_wished(VersionWish(row.when["cuda"]))))
    if "cudnn" in row.when:
        parts.append((CUDNN, tables.cudnn_wished(VersionWish(row.when["cudnn"]))))
    environment = -1
    if "python" in row.when:
        environment &= wished_minors(tables.by_python, VersionWish(row.when["python"]))
    if "os" in row.when:
        environment &= tables.by_os.get(row.when["os"], 0)
    if environment != -1:
        parts.append((ENVIRONMENT, environment))
    return tuple(parts)
