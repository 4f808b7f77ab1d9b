"""A case with fewer of its wishes, and values fixed: what still has an answer, and what excludes it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import TypeVar

from cudaforge.resolver.case import Case
from cudaforge.resolver.rules.scene import Bound
from cudaforge.resolver.solver import Domains, Network, Restriction

Part = TypeVar("Part", bound=Hashable)


class Relaxed:
    """The wishes of a case, some of them at a time.

    A default that one of the wishes lifts stays lifted without it, so that fewer wishes never allow less.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        everything = case.question.all_bits
        self._bounds = tuple(bound for bound in case.bounds if not bound.unless & everything)
        self.presences = sum(item.bit for item in case.question.items if item.is_presence)
        self._wished = tuple(bound for bound in self._bounds if bound.needs & ~self.presences)

    def bounds(self, wished: int) -> tuple[Bound, ...]:
        """What holds under these wishes."""
        return tuple(bound for bound in self._bounds if not bound.needs & ~wished)

    def has_answer(self, wished: int, fixed: Sequence[Restriction]) -> bool:
        """Whether there is an answer under these wishes and with these values."""
        return self._network(wished, fixed).best(()) is not None

    def left(self, wished: int, fixed: Sequence[Restriction]) -> Domains:
        """Values outside these are in no answer; those within may be in one."""
        domains = self._network(wished, fixed).propagated()
        return domains if domains is not None else (0,) * len(self.case.everything)

    @cached_property
    def _facts(self) -> Network:
        bounds = self.bounds(self.presences)
        return Network(self.case.everything, [bound.constraint for bound in bounds]).extended(())

    def _network(self, wished: int, fixed: Sequence[Restriction]) -> Network:
        if self.presences & ~wished:
            return Network(
                self.case.everything, [*(bound.constraint for bound in self.bounds(wished)), *fixed]
            )
        wishes = [bound.constraint for bound in self._wished if not bound.needs & ~wished]
        return self._facts.extended([*wishes, *fixed])


def smallest(parts: Sequence[Part], excludes: Callable[[Sequence[Part]], bool]) -> tuple[Part, ...]:
    """The parts that exclude something together, and none of which can be spared. `parts` do, and those that
    come first are spared first."""
    kept = list(parts)
    for part in parts:
        without = [one for one in kept if one != part]
        if excludes(without):
            kept = without
    return tuple(kept)


def in_the_way(parts: Sequence[Part], allows: Callable[[Sequence[Part]], bool]) -> tuple[Part, ...]:
    """The parts without which something is allowed, and with any one of which it is not. Those that come
    first are kept first."""
    kept: list[Part] = []
    for part in parts:
        if allows([*kept, part]):
            kept.append(part)
    return tuple(part for part in parts if part not in kept)
