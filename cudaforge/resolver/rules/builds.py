"""Rules about which builds of a framework come into question."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from cudaforge.matrix.model import CudaProvider
from cudaforge.resolver.candidates import BuildCandidate
from cudaforge.resolver.packages import PackageWish
from cudaforge.resolver.rules.scene import (
    ENVIRONMENT,
    FIRST_FRAMEWORK,
    Bound,
    Scene,
    each_framework,
    union,
)
from cudaforge.resolver.solver import Restriction


def known_builds(scene: Scene) -> Iterator[Bound]:
    """Builds whose facts are only inferred are left out."""
    for position, table, presence in each_framework(scene):
        yield _restrict_build("confirmed", position, table.confirmed, presence)


def final_releases(scene: Scene) -> Iterator[Bound]:
    """Pre-releases only where the wish names one."""
    for position, table, presence in each_framework(scene):
        wish = scene.question.wishes.frameworks[position].version
        named = scene.question.version_bit(position) if wish is not None and wish.names_prerelease else 0
        mask = table.named("final", lambda one: not one.version.is_prerelease)
        yield _restrict_build("final-release", position, mask, presence, unless=named)


def wished_versions(scene: Scene) -> Iterator[Bound]:
    """The wish on a release, or on a release with its build label."""
    for position, table, presence in each_framework(scene):
        wish = scene.question.wishes.frameworks[position].version
        if wish is not None:
            needs = presence | scene.question.version_bit(position)
            yield _restrict_build("framework-version", position, table.wished(wish), needs)


def wished_build(scene: Scene) -> Iterator[Bound]:
    """The wish on a build label; it binds the frameworks that have a build of that name."""
    label = scene.question.wishes.build
    if label is None:
        return
    masks = [
        table.by("build", lambda one: one.row.build).get(label, 0) for _, table, _ in each_framework(scene)
    ]
    having = sum(scene.question.presence(position) for position, mask in enumerate(masks) if mask)
    for position, mask in enumerate(masks):
        needs = scene.question.presence(position) | scene.question.bit("build")
        yield _restrict_build("framework-build", position, mask, needs, unless=0 if mask else having)


def packages(scene: Scene) -> Iterator[Bound]:
    """The releases that a pinned package goes with, and the Pythons that it has wheels for."""
    question, tables = scene.question, scene.tables
    for wish in question.packages:
        bit = question.package_bit(wish)
        if not bit:
            continue
        needs = bit | question.presence(wish.position)
        table = scene.frameworks[wish.position]
        mask = table.named(("package", wish.limits, wish.build), partial(_goes_with, wish))
        constraint = Restriction(FIRST_FRAMEWORK + wish.position, mask)
        yield Bound("package-framework", constraint, needs, about=wish, position=wish.position)
        if all(row.pythons for row in wish.rows):
            pythons = {python for row in wish.rows for python in row.pythons}
            able = union(mask for python, mask in tables.by_python.items() if python in pythons)
            yield Bound("package-python", Restriction(ENVIRONMENT, able), needs, about=wish)


def _goes_with(wish: PackageWish, candidate: BuildCandidate) -> bool:
    return wish.allows(candidate.version, candidate.label)


def gpu_or_cpu(scene: Scene) -> Iterator[Bound]:
    """Builds with CUDA, unless the CPU twin is asked for."""
    for position, table, presence in each_framework(scene):
        by_provider = table.by("provider", lambda one: one.row.provider)
        cpu = by_provider.get(CudaProvider.NONE, 0)
        gpu = table.everything & ~cpu
        yield _restrict_build("gpu-build", position, gpu, presence, unless=scene.cpu)
        if scene.cpu:
            yield _restrict_build("cpu-twin", position, cpu, presence | scene.cpu)


def _restrict_build(rule: str, position: int, mask: int, needs: int, *, unless: int = 0) -> Bound:
    constraint = Restriction(FIRST_FRAMEWORK + position, mask)
    return Bound(rule, constraint, needs, unless, position=position)
