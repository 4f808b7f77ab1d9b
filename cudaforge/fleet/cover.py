"""The smallest set of answers that meets all of some needs: exact, by what single sets of needs allow.

Knows nothing of GPUs. A set of needs is a bit mask. What meets a set meets each part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Any, Generic, Protocol, TypeVar

from cudaforge.records import record

Found = TypeVar("Found")
LIMIT = 1_000_000
"""Steps of the search, of a microsecond or so."""
_QUESTION = 100
"""Steps that a question to the oracle is worth."""


class Oracle(Protocol[Found]):
    """What is asked about answers to sets of needs."""

    def best(self, needs: int) -> Found | None:
        """The best answer that meets all of the set."""

    def met(self, found: Found) -> int:
        """All needs that an answer meets."""

    def rank(self, found: Found) -> Any:  # noqa: ANN401 -- anything that can be compared
        """How good an answer is: the less, the better."""


@record()
class Cover(Generic[Found]):
    """Answers that meet all needs together."""

    answers: tuple[Found, ...]
    is_smallest: bool
    """Whether it is proven that fewer do not."""


def smallest_cover(oracle: Oracle[Found], needs: int, *, limit: int = LIMIT) -> Cover[Found]:
    """The fewest answers that meet all needs together. Each need can be met alone.

    Of the sets with as few answers, the one whose answer to the first need (the lowest bit) is the best;
    then the one whose answer to the first need that this does not meet is the best, and so on. Where `limit`
    steps are not enough to find it, the answers of a greedy choice: they meet all needs, too.
    """
    search = _Search(oracle, limit)
    greedy = tuple(search.greedy(needs))
    fewest = 0
    try:
        while not search.is_coverable(needs, fewest):
            fewest += 1
        return Cover(answers=tuple(search.choose(needs, fewest)), is_smallest=True)
    except _LimitReachedError:
        return Cover(answers=greedy, is_smallest=len(greedy) == fewest)


class _LimitReachedError(Exception):
    pass


class _Search(Generic[Found]):
    def __init__(self, oracle: Oracle[Found], limit: int) -> None:
        self._oracle = oracle
        self._left = limit
        self._best: dict[int, Found | None] = {}
        self._met: list[int] = []
        self._against: dict[int, int] = {}
        self._coverable: dict[tuple[int, int], bool] = {}

    def greedy(self, needs: int) -> Iterator[Found]:
        """Answers that meet all needs, each as many of them as can be added one by one."""
        while needs:
            chosen = 0
            for need in _each(needs):
                chosen |= need if self._find(chosen | need) is not None else 0
            answer = self._answer(chosen)
            yield answer
            needs &= ~self._oracle.met(answer)

    def is_coverable(self, needs: int, number: int) -> bool:
        """Whether that many answers can meet all needs."""
        if number <= 1:
            return not needs or (number == 1 and self._fits(needs))
        key = (needs, number)
        if key not in self._coverable:
            self._coverable[key] = self._is_divisible(needs, (), number)
        return self._coverable[key]

    def choose(self, needs: int, number: int) -> Iterator[Found]:
        """The answers, the best one for the first need first."""
        while needs:
            answer = self._best_first(needs, number)
            yield answer
            needs &= ~self._oracle.met(answer)
            number -= 1

    def _best_first(self, needs: int, number: int) -> Found:
        """The best answer to the first need that leaves no more than the others can meet.

        Best first over what the answer has to meet and what is left to the others: each pair stands for
        the answers that agree with it, none of which is better than the best that meets the former.
        """
        if number == 1:
            return self._answer(needs)
        first = needs & -needs
        order = count()
        heap = [(self._oracle.rank(self._answer(first)), next(order), first, 0)]
        while True:
            self._step(1)
            _, _, chosen, others = heappop(heap)
            answer = self._answer(chosen)
            missing = needs & ~self._oracle.met(answer)
            if self.is_coverable(missing, number - 1):
                return answer
            undecided = missing & ~others
            need = undecided & -undecided
            if self._fits(chosen | need):
                rank = self._oracle.rank(self._answer(chosen | need))
                heappush(heap, (rank, next(order), chosen | need, others))
            if self.is_coverable(others | need, number - 1):
                heappush(heap, (self._oracle.rank(answer), next(order), chosen, others | need))

    def _is_divisible(self, needs: int, parts: tuple[int, ...], number: int) -> bool:
        """Whether the needs can be added to the parts, and to new ones up to that number of them."""
        missing = needs
        for part in parts:
            missing &= ~self._oracle.met(self._answer(part))
        if not missing or (len(parts) < number and self._fits(missing)):
            return True
        need, ways = self._hardest(missing, parts, number)
        # What a part meets by chance it need not meet any more once it has grown.
        rest = needs & ~need
        return any(
            self._is_divisible(rest, (*parts[:place], part | need, *parts[place + 1 :]), number)
            for place, part in ways
        )

    def _hardest(
        self, needs: int, parts: tuple[int, ...], number: int
    ) -> tuple[int, tuple[tuple[int, int], ...]]:
        """The need that goes with the fewest parts, and these with their places."""
        open_parts = (*parts, 0) if len(parts) < number else parts
        ways = {
            need: tuple((place, part) for place, part in enumerate(open_parts) if self._fits(part | need))
            for need in _each(needs)
        }
        need = min(ways, key=lambda one: len(ways[one]))
        return need, ways[need]

    def _fits(self, needs: int) -> bool:
        """Whether one answer can meet all of the set."""
        self._step(1)
        if any(not needs & ~met for met in self._met):
            return True
        if any(self._against.get(need, 0) & needs for need in _each(needs)):
            return False
        self._step(_QUESTION)
        return self._find(needs) is not None

    def _answer(self, needs: int) -> Found:
        """The best answer to a set that has one."""
        answer = self._find(needs)
        if answer is None:
            raise ValueError(f"no answer meets {needs:#b}")
        return answer

    def _find(self, needs: int) -> Found | None:
        if needs not in self._best:
            answer = self._best[needs] = self._oracle.best(needs)
            if answer is None:
                self._note_refused(needs)
            else:
                self._note_met(self._oracle.met(answer))
        return self._best[needs]

    def _note_met(self, met: int) -> None:
        """Keep the largest sets that are known to be met."""
        if all(met & ~one for one in self._met):
            self._met = [one for one in self._met if one & ~met] + [met]

    def _note_refused(self, needs: int) -> None:
        """Keep pairs that exclude each other; larger sets are asked about again."""
        low = needs & -needs
        other = needs ^ low
        if other & (other - 1) == 0:
            self._against[low] = self._against.get(low, 0) | other
            self._against[other] = self._against.get(other, 0) | low

    def _step(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise _LimitReachedError


def _each(needs: int) -> Iterator[int]:
    while needs:
        low = needs & -needs
        yield low
        needs ^= low
