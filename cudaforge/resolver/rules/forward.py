"""Rules about forward compatibility: the base brings a newer user-mode driver than the host's.

It is used where it is asked for, on data-centre GPUs, with the package in the image. Code then runs as on
the driver that the package was made from, PTX included.
Source: NVIDIA, CUDA Compatibility: Forward Compatibility.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from cudaforge.matrix.model import CudaRelease
from cudaforge.resolver.candidates import Environment, is_confirmed
from cudaforge.resolver.drivers import runs_forward
from cudaforge.resolver.question import DATA_CENTRE
from cudaforge.resolver.rules.scene import (
    CUDA,
    ENVIRONMENT,
    NONE_BIT,
    Bound,
    Scene,
    each_platform,
    union,
)
from cudaforge.resolver.solver import Blocks, Relation, Restriction
from cudaforge.resolver.tables import Tables


def forward_compat(scene: Scene) -> Iterator[Bound]:
    """What holds where forward compatibility is asked for."""
    bit = scene.question.bit("forward_compat")
    if not bit:
        return
    yield from _gpus(scene, bit)
    for platform, needs, unless in each_platform(scene):
        carrying = scene.tables.environments_where(("compat", platform), partial(_carries, platform))
        mask = carrying & _on_toolkits(scene.tables, "compat", _is_known)
        constraint = Restriction(ENVIRONMENT, mask)
        yield Bound("forward-compat-base", constraint, bit | needs, scene.cpu | unless, platform)
    blocks = scene.tables.keep("forward compat", partial(_blocks, scene.tables))
    yield Bound("forward-compat-cuda", Relation(ENVIRONMENT, CUDA, blocks), bit, scene.cpu)
    driver = scene.question.driver
    if driver is not None:
        mask = _on_toolkits(
            scene.tables, ("compat driver", driver.text), lambda row: runs_forward(row, driver)
        )
        needs = bit | scene.question.bit("driver")
        yield Bound("forward-compat-driver", Restriction(ENVIRONMENT, mask), needs, scene.cpu)


def _gpus(scene: Scene, bit: int) -> Iterator[Bound]:
    for wish in scene.question.gpus:
        needs = bit | wish.item.bit
        if wish.kinds != {DATA_CENTRE}:
            yield Bound("forward-compat-gpus", Restriction(ENVIRONMENT, 0), needs, scene.cpu, wish)
        last = wish.last_branch
        if last is not None:
            within = _on_toolkits(scene.tables, ("compat branch", last), partial(_is_within, last))
            yield Bound("forward-compat-branch", Restriction(ENVIRONMENT, within), needs, scene.cpu, wish)


def _carries(platform: str, one: Environment) -> bool:
    return platform in one.compat_platforms


def _is_known(row: CudaRelease) -> bool:
    return bool(row.compat_package and row.compat_branches and row.driver) and is_confirmed(row.source)


def _is_within(last_branch: int, row: CudaRelease) -> bool:
    return row.driver is not None and row.driver.major <= last_branch


def _on_toolkits(tables: Tables, name: object, predicate: Callable[[CudaRelease], bool]) -> int:
    """The environments whose toolkit's release satisfies the predicate, which `name` identifies."""
    return tables.keep(
        ("on toolkits", name),
        lambda: union(
            mask
            for version, mask in tables.by_toolkit.items()
            if version is not None and (row := tables.release(version)) is not None and predicate(row)
        ),
    )


def _blocks(tables: Tables) -> Blocks:
    """The package runs the CUDA releases up to its own."""

    def up_to(row: CudaRelease) -> int:
        minor = row.version.minor()
        return NONE_BIT | tables.cuda_where(("up to", minor), lambda one: one.version.minor() <= minor)

    found = []
    for version, mask in tables.by_toolkit.items():
        row = None if version is None else tables.release(version)
        if row is not None:
            found.append((mask, up_to(row)))
    return tuple(found)
