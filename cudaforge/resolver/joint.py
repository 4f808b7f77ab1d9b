"""One answer for several questions at once: for machines that differ in their GPUs and driver."""

from __future__ import annotations

from collections.abc import Sequence

from cudaforge.declaration.model import Gate, Wishes
from cudaforge.matrix.tables import Matrix
from cudaforge.records import replace
from cudaforge.resolver.answer import resolution
from cudaforge.resolver.case import open_case, reopened
from cudaforge.resolver.conflict import explain
from cudaforge.resolver.edits import Change
from cudaforge.resolver.model import Conflict, CudaNumbers, Resolution
from cudaforge.resolver.solver import Constraint, Criterion, Domains, Network, Total, indexes
from cudaforge.versions import Version

Rank = tuple[tuple[int | tuple[int, ...], ...], Domains]
"""How good an answer is by the policy: the less, the better; no two answers are equal."""


class Joint:
    """Wishes that differ in GPUs and driver alone, numbered, and the answers that meet some of them at once.

    A set of them is a bit mask: bit *i* stands for number *i*. What meets a set meets each part of it.
    Each keeps its own driver beside its own GPUs, which wishes merged into one could not say.
    """

    def __init__(self, wishes: Sequence[Wishes], matrix: Matrix, *, host_os: str | None = None) -> None:
        """Raises InputError as `resolve` does."""
        self._cases = [open_case(one, matrix, host_os=host_os, is_wide=True) for one in wishes]
        all_constraints = [
            dict.fromkeys(bound.constraint for bound in case.active(case.question.all_bits))
            for case in self._cases
        ]
        self._shared = tuple(
            one for one in all_constraints[0] if all(one in others for others in all_constraints)
        )
        shared = set(self._shared)
        self._own = [tuple(one for one in found if one not in shared) for found in all_constraints]

    @property
    def _criteria(self) -> Sequence[Criterion | Total]:
        return self._cases[0].criteria

    def kinds(self) -> tuple[int, ...]:
        """The wishes that are met by the same answers, as sets, in the order of their first."""
        found: dict[frozenset[Constraint], int] = {}
        for number, own in enumerate(self._own):
            key = frozenset(own)
            found[key] = found.get(key, 0) | 1 << number
        return tuple(found.values())

    def best(self, members: int) -> Domains | None:
        """The best answer that meets all of the set."""
        constraints = dict.fromkeys(self._shared)
        for number in indexes(members):
            constraints.update(dict.fromkeys(self._own[number]))
        return Network(self._cases[0].everything, list(constraints)).best(self._criteria)

    def meets(self, answer: Domains, number: int) -> bool:
        """Whether an answer to some of the wishes is one to that, too."""
        return Network(answer, self._own[number]).propagated() is not None

    def rank(self, answer: Domains) -> Rank:
        """The place of an answer in the order of the policy."""
        return tuple(one.place(answer) for one in self._criteria), answer

    def resolution(self, answer: Domains, members: int) -> Resolution:
        """The answer in full, for all of the set together: its driver floor is the highest of theirs, and a
        gate that is relaxed lets each of them pass."""
        numbers = tuple(indexes(members))
        wishes = [self._cases[number].question.wishes for number in numbers]
        drivers = [Version(one.driver) for one in wishes if one.driver is not None]
        together = replace(
            wishes[0],
            gpus=tuple(dict.fromkeys(gpu for one in wishes for gpu in one.gpus)),
            driver=min(drivers).text if len(drivers) == len(wishes) else None,
        )
        case = reopened(self._cases[0], together)
        found = resolution(case, answer)
        if found.gate is not Gate.RELAX or found.numbers.gate is None:
            return found
        lowest = min((self.numbers(answer, number) for number in numbers), key=_floor)
        return replace(found, numbers=replace(found.numbers, gate=lowest.gate))

    def numbers(self, answer: Domains, number: int) -> CudaNumbers:
        """The CUDA numbers of the answer on that one's GPUs: its driver floor is theirs alone."""
        return resolution(self._cases[number], answer).numbers

    def conflict(self, number: int) -> Conflict:
        """Why nothing meets the wishes of that number. Its repairs take the GPUs as they are: they change the
        image, or give the driver another version."""
        return explain(self._cases[number], allows=_keeps_the_machine)


def _floor(numbers: CudaNumbers) -> Version:
    return numbers.driver_floor or Version("0")


def _keeps_the_machine(change: Change) -> bool:
    return not any(
        key.partition("=")[0] == "gpu" or (key == "driver" and value is None) for key, value in change
    )
