"""One image weighed again, with what was learnt of its packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from cudaforge.declaration.model import Wishes
from cudaforge.matrix.tables import Matrix
from cudaforge.resolver.answer import resolution
from cudaforge.resolver.case import Case, open_case
from cudaforge.resolver.conflict import explain_core, minimal_core
from cudaforge.resolver.earlier import Earlier
from cudaforge.resolver.learnt import Obstacle
from cudaforge.resolver.model import Conflict, Resolution
from cudaforge.resolver.question import Item
from cudaforge.resolver.solver import Domains


class Collision:
    """Wishes that have no answer, as far as is known."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._core = minimal_core(case)

    @property
    def is_of_packages(self) -> bool:
        """Whether only packages collide, with whatever frameworks."""
        return all(item.key == "packages" for item in self._items())

    def witnesses(self) -> Iterator[tuple[Resolution, tuple[str, ...]]]:
        """For each wish of the core that is no package: the answer without it, and the packages that have to
        go with that answer. Where one has no closure, the core is smaller than it seems."""
        packages = tuple(item.word for item in self._items() if item.key == "packages")
        for item in self._items():
            if packages and item.key != "packages" and not item.is_presence:
                domains = self._case.best(self._core & ~item.bit | self._case.question.bit("platforms"))
                if domains is not None:
                    yield resolution(self._case, domains), packages

    def conflict(self, proves: Callable[[Wishes, Resolution], bool]) -> Conflict:
        """The conflict, with those of its repairs whose answer `proves` takes."""

        def holds(case: Case, domains: Domains) -> bool:
            return proves(case.question.wishes, resolution(case, domains))

        return explain_core(self._case, self._core, proves=holds)

    def _items(self) -> list[Item]:
        return [item for item in self._case.question.items if item.bit & self._core]


def weigh(
    wishes: Wishes,
    matrix: Matrix,
    learnt: Sequence[Obstacle],
    *,
    host_os: str | None = None,
    earlier: Earlier | None = None,
) -> Resolution | Collision:
    """The best answer that goes with what was learnt, or the collision; what an earlier answer chose goes
    before the policy."""
    case = open_case(wishes, matrix, host_os=host_os, earlier=earlier, learnt=learnt)
    domains = case.best(case.question.all_bits)
    return Collision(case) if domains is None else resolution(case, domains)
