"""What package indexes told of packages, as rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from cudaforge.resolver.candidates import BuildCandidate
from cudaforge.resolver.learnt import Obstacle, is_allowed
from cudaforge.resolver.rules.scene import CUDNN, ENVIRONMENT, FIRST_FRAMEWORK, Bound, Scene
from cudaforge.resolver.solver import Exclusion
from cudaforge.versions import Version

_Part = tuple[int, int]


def learnt(scene: Scene) -> Iterator[Bound]:
    """The combinations that the packages asked for were found not to go with."""
    for obstacle in scene.question.learnt:
        bits = scene.question.package_bits(obstacle.packages)
        if obstacle.needs is not None:
            yield from _needs(scene, obstacle, obstacle.needs, bits)
        elif obstacle.excluded is not None:
            yield from _excluded(scene, obstacle, bits)
        else:
            parts = [_environment(scene, obstacle)]
            for position, table in enumerate(scene.frameworks):
                wanted = obstacle.tried.get(table.framework.name)
                if wanted is not None:
                    bits |= scene.question.presence(position)
                    mask = table.named(("tried", wanted), partial(_is_tried, wanted))
                    parts.append((FIRST_FRAMEWORK + position, mask))
            yield Bound("package-index", Exclusion(tuple(parts)), bits, about=obstacle)


def _needs(scene: Scene, obstacle: Obstacle, needs: tuple[str, str], bits: int) -> Iterator[Bound]:
    """The builds that pin another version; for cuDNN those that leave it open, next to that version."""
    package, allowed = needs
    tables, environment = scene.tables, _environment(scene, obstacle)
    is_asked_for = any(wish.package == package for wish in scene.question.packages)
    others = tables.cudnn_where(("excluded", needs), lambda row: not is_allowed(row.version.text, allowed))
    for position, table in enumerate(scene.frameworks):
        variable, own = FIRST_FRAMEWORK + position, bits | scene.question.presence(position)
        excluded: list[tuple[_Part, ...]] = [
            ((variable, table.named(("excluded", needs), partial(_is_excluded, obstacle))),),
            ((variable, table.where(partial(_leaves_cudnn_open, package))), (CUDNN, others)),
        ]
        if not is_asked_for:  # else the answer has the companion that is asked for
            companions = partial(tables.companions, table.framework.name, python=obstacle.python)
            excluded.append(((variable, table.where(partial(_is_other, companions, needs))),))
        for parts in excluded:
            if all(mask for _, mask in parts):
                constraint = Exclusion((environment, *parts))
                yield Bound("package-index", constraint, own, about=obstacle, position=position)


def _excluded(scene: Scene, obstacle: Obstacle, bits: int) -> Iterator[Bound]:
    """The builds of the index that was asked whose release is one of the excluded."""
    environment = _environment(scene, obstacle)
    for position, table in enumerate(scene.frameworks):
        mask = table.named(("span", obstacle.excluded, obstacle.index), partial(_is_served, obstacle))
        if mask:
            constraint = Exclusion((environment, (FIRST_FRAMEWORK + position, mask)))
            own = bits | scene.question.presence(position)
            yield Bound("package-index", constraint, own, about=obstacle, position=position)


def _environment(scene: Scene, obstacle: Obstacle) -> _Part:
    tables = scene.tables
    mask = (1 << len(tables.environments)) - 1
    if obstacle.python is not None:
        mask = tables.by_python.get(obstacle.python, 0)
    if obstacle.glibc is not None:
        glibc = obstacle.glibc
        mask &= tables.environments_where(("glibc", glibc), lambda one: str(one.os.glibc) == glibc)
    return ENVIRONMENT, mask


def _is_tried(wanted: str, candidate: BuildCandidate) -> bool:
    return wanted in (candidate.version.text, candidate.label.text)


def _is_served(obstacle: Obstacle, candidate: BuildCandidate) -> bool:
    return candidate.row.index == obstacle.index and obstacle.excludes(candidate.row.requires)


def _is_excluded(obstacle: Obstacle, candidate: BuildCandidate) -> bool:
    row = candidate.row
    nccl = (f"{row.nccl_package}=={row.nccl}",) if row.nccl_package and row.nccl else ()
    return obstacle.excludes((*row.requires, *row.constraints, *nccl))


def _leaves_cudnn_open(package: str, candidate: BuildCandidate) -> bool:
    return candidate.row.cudnn_package == package


def _is_other(
    companions: Callable[[Version], Mapping[str, str]], needs: tuple[str, str], candidate: BuildCandidate
) -> bool:
    """Whether the companion of that name is another one than what is needed."""
    package, allowed = needs
    pin = companions(candidate.version).get(package)
    return pin is not None and not is_allowed(pin, allowed)
