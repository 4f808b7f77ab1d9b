"""Rules about GPUs, their code and their drivers."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import partial

from cudaforge.declaration.model import Gate
from cudaforge.matrix.model import CudaRelease, FrameworkBuild
from cudaforge.resolver.candidates import BuildCandidate, is_confirmed
from cudaforge.resolver.coverage import Coverage, coverage, cudnn_covers, runs
from cudaforge.resolver.drivers import cuda_floor
from cudaforge.resolver.gates import GateKey, gate_key, gate_on, gate_passes
from cudaforge.resolver.question import DATA_CENTRE, GpuWish
from cudaforge.resolver.rules.scene import (
    CUDA,
    CUDNN,
    ENVIRONMENT,
    FIRST_FRAMEWORK,
    NONE_BIT,
    Bound,
    Scene,
    blocks_of,
    each_framework,
    each_platform,
    union,
)
from cudaforge.resolver.solver import Blocks, Relation, Restriction
from cudaforge.resolver.tables import FrameworkTable, Tables
from cudaforge.versions import Version


def known_gpus(scene: Scene) -> Iterator[Bound]:
    """A product whose facts are only inferred makes no yes."""
    for wish in scene.question.gpus:
        products = [gpu for gpu in wish.gpus if is_confirmed(gpu.source)]
        if wish.capability is None and not products:
            yield Bound("gpu-confirmed", Restriction(ENVIRONMENT, 0), wish.item.bit, scene.cpu, wish)


def gpu_platforms(scene: Scene) -> Iterator[Bound]:
    """A GPU that is built into machines of some platforms needs an image that is for one of them, too, if
    only to start it."""
    bits = scene.question.bit("platforms")
    asked = {platform: bit for platform, bit, _ in each_platform(scene) if bit & bits}
    for wish in scene.question.gpus:
        machines = wish.named.platforms
        helping = sum(bit for platform, bit in asked.items() if platform in machines)
        for platform, bit in asked.items():
            if machines and platform not in machines:
                constraint = Restriction(ENVIRONMENT, 0)
                yield Bound("gpu-platform", constraint, bit | wish.item.bit, helping, wish)


def gpu_code(scene: Scene) -> Iterator[Bound]:
    """Each framework has code that runs on each GPU: cubins, PTX, or the toolkit's compiler."""
    for wish in scene.question.gpus:
        for position, table, presence in each_framework(scene):
            blocks = table.keep(("gpu", *_code_key(wish)), partial(_gpu_blocks, scene, table, wish))
            relation = Relation(FIRST_FRAMEWORK + position, CUDA, blocks)
            yield Bound("gpu-code", relation, presence | wish.item.bit, scene.cpu, wish, position)


def _gpu_blocks(scene: Scene, table: FrameworkTable, wish: GpuWish) -> Blocks:
    everything = (1 << len(scene.tables.cuda)) - 1

    def allowed(candidate: BuildCandidate) -> int:
        ways = list(coverages(candidate, wish, scene.embedded))
        if Coverage.NONE in ways:
            return 0
        mask = everything
        if Coverage.COMPILED in ways:
            mask &= _covering(scene, wish)
        return mask

    return blocks_of(table, allowed)


def _code_key(wish: GpuWish) -> tuple[Hashable, ...]:
    """What the ways in which builds reach the GPUs of a wish depend on."""
    return wish.capabilities, wish.named.platforms


def coverages(candidate: BuildCandidate, wish: GpuWish, embedded: frozenset[Version]) -> Iterator[Coverage]:
    """How the build reaches each capability of the wish, on each platform whose machines can have it."""
    for row in candidate.rows:
        yield from row_coverages(row, wish, embedded)


def row_coverages(row: FrameworkBuild, wish: GpuWish, embedded: frozenset[Version]) -> Iterator[Coverage]:
    """How the build reaches them on one platform; nothing where no machine of it can have them."""
    machines = wish.named.platforms
    if not machines or not machines.isdisjoint(row.platforms):
        for capability, is_apart in wish.capabilities:
            yield coverage(row, capability, is_embedded=is_apart, embedded=embedded)


def _covering(scene: Scene, wish: GpuWish) -> int:
    """The CUDA releases whose compiler and libraries cover the GPUs."""
    return scene.tables.cuda_where(
        ("covers", wish.capabilities),
        lambda row: all(
            runs(row.capabilities, capability, is_embedded=is_apart, embedded=scene.embedded)
            for capability, is_apart in wish.capabilities
        ),
    )


def gpu_libraries(scene: Scene) -> Iterator[Bound]:
    """The CUDA and cuDNN libraries cover each GPU."""
    for wish in scene.question.gpus:
        mask = _covering(scene, wish) | NONE_BIT
        yield Bound("gpu-cuda", Restriction(CUDA, mask), wish.item.bit, scene.cpu, wish)
        blocks = scene.tables.keep(("gpu cudnn", wish.capabilities), partial(_gpu_cudnn, scene, wish))
        yield Bound("gpu-cudnn", Relation(CUDA, CUDNN, blocks), wish.item.bit, scene.cpu, wish)


def _gpu_cudnn(scene: Scene, wish: GpuWish) -> Blocks:
    """A cuDNN whose range is not known for a CUDA major is not held against the GPU: the framework's own
    code, which `gpu-code` looks at, was built and tested with it."""
    tables = scene.tables

    def supports(major: str | None) -> int:
        if major is None:
            return (1 << len(tables.cudnn)) - 1
        return NONE_BIT | tables.cudnn_where(
            ("supports", major, wish.capabilities),
            lambda row: all(cudnn_covers(row, major, capability) for capability, _ in wish.capabilities),
        )

    return tuple((mask, supports(major)) for major, mask in tables.cuda_majors.items())


def driver(scene: Scene) -> Iterator[Bound]:
    """CUDA's floor under minor-version compatibility, and the native one where PTX is compiled."""
    driver = scene.question.driver
    if driver is None:
        return
    bit = scene.question.bit("driver")
    enough = _reached(scene, driver, needs_native=False)
    unless = scene.cpu | scene.question.bit("forward_compat")
    yield Bound("driver-cuda", Restriction(CUDA, enough | NONE_BIT), bit, unless)
    native = _reached(scene, driver, needs_native=True)
    everything = (1 << len(scene.tables.cuda)) - 1
    for wish in scene.question.gpus:
        for position, table, presence in each_framework(scene):
            ptx = table.named(("ptx", *_code_key(wish)), partial(_compiles_ptx, scene, wish))
            blocks = ((ptx, native | NONE_BIT), (table.everything & ~ptx, everything))
            relation = Relation(FIRST_FRAMEWORK + position, CUDA, blocks)
            yield Bound("driver-ptx", relation, presence | bit | wish.item.bit, unless, wish, position)


def is_compiled_from_ptx(scene: Scene, candidate: BuildCandidate, wish: GpuWish) -> bool:
    """Whether the build's code for some of the GPUs is compiled by their driver."""
    key = ("from PTX", candidate, *_code_key(wish))
    return scene.tables.keep(key, partial(_compiles_ptx, scene, wish, candidate))


def _compiles_ptx(scene: Scene, wish: GpuWish, candidate: BuildCandidate) -> bool:
    return Coverage.PTX in coverages(candidate, wish, scene.embedded)


def _reached(scene: Scene, driver: Version, *, needs_native: bool) -> int:
    def is_reached(release: CudaRelease) -> bool:
        floor = cuda_floor(release, needs_native=needs_native)
        return floor is not None and floor <= driver

    return scene.tables.cuda_where(("driver", driver.text, needs_native), is_reached)


def gpu_driver(scene: Scene) -> Iterator[Bound]:
    """A driver branch supports the GPU from its first driver to its last branch."""
    question = scene.question
    for wish in question.gpus:
        last = wish.last_branch
        if last is not None:
            within = scene.tables.cuda_where(("last branch", last), partial(_within, last))
            yield Bound(
                "gpu-last-branch", Restriction(CUDA, within | NONE_BIT), wish.item.bit, scene.cpu, wish
            )
        if question.driver is None:
            continue
        first = wish.first_driver
        is_late = last is not None and question.driver.major > last
        if is_late or (first is not None and question.driver < first):
            needs = wish.item.bit | question.bit("driver")
            yield Bound("gpu-driver", Restriction(ENVIRONMENT, 0), needs, scene.cpu, wish)


def _within(last_branch: int, release: CudaRelease) -> bool:
    floor = cuda_floor(release, needs_native=False)
    return floor is None or floor.major <= last_branch


def gate(scene: Scene) -> Iterator[Bound]:
    """The base image's gate lets the driver pass, on each platform and for each GPU."""
    question, tables = scene.question, scene.tables
    if question.wishes.require_cuda is not Gate.KEEP:
        return
    named = sum(wish.item.bit for wish in question.gpus)
    nobody: frozenset[str] = frozenset()
    forward = question.bit("forward_compat")
    driver = question.driver
    for platform, needs, other in each_platform(scene):
        unless = scene.cpu | other
        if driver is not None:
            bits = needs | question.bit("driver")
            # With no GPU named, only what lets any GPU pass counts, or any of the data centre.
            mask = _passed(tables, platform, nobody, (driver,))
            yield Bound("gate", Restriction(ENVIRONMENT, mask), bits, unless | named | forward)
            if forward:
                mask = _passed(tables, platform, frozenset((DATA_CENTRE,)), (driver,))
                yield Bound("gate", Restriction(ENVIRONMENT, mask), bits | forward, unless | named)
            for wish in question.gpus:
                mask = _passed(tables, platform, wish.kinds, (driver,))
                yield Bound("gate", Restriction(ENVIRONMENT, mask), bits | wish.item.bit, unless, wish)
        for wish in question.gpus:
            drivers = _drivers(tables, wish.last_branch)
            if drivers:
                mask = _passed(tables, platform, wish.kinds, drivers)
                yield Bound("gpu-gate", Restriction(ENVIRONMENT, mask), needs | wish.item.bit, unless, wish)


def _drivers(tables: Tables, last_branch: int | None) -> tuple[Version, ...]:
    """The first driver of each branch that still supports a GPU; none where all do."""
    if last_branch is None:
        return ()
    return tuple(
        Version(str(row.branch)) for row in tables.matrix.driver_branches if row.branch <= last_branch
    )


def _passed(tables: Tables, platform: str, kinds: frozenset[str], drivers: tuple[Version, ...]) -> int:
    """The bases that one of the drivers may start on the platform, with GPUs of those kinds."""
    branches = tables.matrix.driver_branches

    def passes(key: GateKey) -> bool:
        gate = tables.keep(("gate on", platform, key), lambda: gate_on((platform,), *key))
        return gate is None or any(
            gate_passes(gate, driver=one, kinds=kinds, branches=branches) for one in drivers
        )

    return tables.keep(
        ("gate", platform, kinds, drivers),
        lambda: union(mask for key, mask in tables.environments_by("gate", gate_key).items() if passes(key)),
    )
