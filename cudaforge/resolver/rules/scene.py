"""What rules look at and what they yield."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from cudaforge.matrix.model import Broken
from cudaforge.records import record
from cudaforge.resolver.candidates import BuildCandidate
from cudaforge.resolver.learnt import Obstacle
from cudaforge.resolver.packages import PackageWish
from cudaforge.resolver.question import GpuWish, Question
from cudaforge.resolver.solver import Blocks, Constraint
from cudaforge.resolver.tables import FrameworkTable, Tables
from cudaforge.versions import Version, VersionWish

CUDA, CUDNN, ENVIRONMENT, FIRST_FRAMEWORK = range(4)
NONE_BIT = 1
"""Value 0 of CUDA and cuDNN: the image loads none."""
DEFAULT_PLATFORM = "linux/amd64"
_PATCH = re.compile(r"\d\.\d+\.\d")


@record(kw_only=False, eq=False)
class Bound:
    """One constraint, the rule that it comes from, and the wishes that it depends on."""

    rule: str
    constraint: Constraint
    needs: int = 0
    """Holds only while all these wishes do."""
    unless: int = 0
    """Does not hold while one of these wishes does."""
    about: GpuWish | Broken | PackageWish | Obstacle | str | None = None
    position: int = 0
    """The framework that it is about."""


@record(kw_only=False, eq=False)
class Scene:
    """What a rule looks at: the question, the compiled matrix, one table per framework."""

    question: Question
    tables: Tables
    frameworks: tuple[FrameworkTable, ...]
    cpu: int
    """Bit of the wish for the CPU twin, 0 if there is none: rules about GPUs do not hold with it."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The frameworks by name, in their places."""
        return tuple(table.framework.name for table in self.frameworks)

    @property
    def embedded(self) -> frozenset[Version]:
        """Compute capabilities of embedded GPUs."""
        return self.tables.embedded_capabilities


def each_framework(scene: Scene) -> Iterator[tuple[int, FrameworkTable, int]]:
    """Each framework of the question: its position, its candidates, the bit of its presence."""
    for position, table in enumerate(scene.frameworks):
        yield position, table, scene.question.presence(position)


def each_platform(scene: Scene) -> Iterator[tuple[str, int, int]]:
    """Each platform: its name, the wishes that it depends on, and those that it does not hold with. Where
    none is asked for, those of the machines that the GPUs are in, else the default one."""
    question = scene.question
    for item in question.items:
        if item.key == "platforms":
            yield item.word.partition("=")[2], item.bit, 0
    asked = question.bit("platforms")
    elsewhere = 0
    for wish in question.gpus:
        platform = wish.named.apart_from(DEFAULT_PLATFORM)
        if platform is not None:
            elsewhere |= wish.item.bit
            yield platform, wish.item.bit, asked
    yield DEFAULT_PLATFORM, 0, asked | elsewhere
    if elsewhere:
        for wish in question.gpus:
            if not wish.item.bit & elsewhere:
                yield DEFAULT_PLATFORM, wish.item.bit, asked


def union(masks: Iterable[int]) -> int:
    """All values of all masks."""
    result = 0
    for mask in masks:
        result |= mask
    return result


def blocks_of(table: FrameworkTable, allowed: Callable[[BuildCandidate], int]) -> Blocks:
    """A relation from a framework's candidates to what each allows."""
    grouped: dict[int, int] = {}
    for index, candidate in enumerate(table.candidates):
        right = allowed(candidate)
        grouped[right] = grouped.get(right, 0) | 1 << index
    return tuple((left, right) for right, left in grouped.items() if right)


def wished_minors(by_python: Mapping[str, int], wish: VersionWish) -> int:
    """The environments whose Python the wish allows, as far as the minor says."""
    return union(mask for python, mask in by_python.items() if wish.allows(Version(python)))


def wished_patches(wish: VersionWish | None) -> tuple[str, ...]:
    """The wish for Python in words, where it tells patches of one minor apart: `3.11.9`."""
    return (wish.text,) if wish is not None and _PATCH.search(wish.text) else ()
