"""The smallest cover against one that tries everything."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from cudaforge.fleet.cover import Cover, smallest_cover

Answer = tuple[int, int]
"""Its rank, and the needs that it meets."""


class Table:
    """Answers by hand: the first that meets a set is the best."""

    def __init__(self, meets: tuple[int, ...]) -> None:
        self.answers = tuple(enumerate(meets))

    def best(self, needs: int) -> Answer | None:
        return next((one for one in self.answers if not needs & ~one[1]), None)

    def met(self, found: Answer) -> int:
        return found[1]

    def rank(self, found: Answer) -> int:
        return found[0]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Table, int]:
    count = draw(st.integers(1, 7))
    everything = (1 << count) - 1
    meets = draw(st.lists(st.integers(1, everything), min_size=1, max_size=9))
    missing = [1 << one for one in range(count) if not any(met >> one & 1 for met in meets)]
    return Table((*meets, *missing)), everything


def together(answers: tuple[Answer, ...]) -> int:
    met = 0
    for _, one in answers:
        met |= one
    return met


@given(tables())
@settings(max_examples=500)
def test_it_is_the_smallest_and_of_these_the_best(given_table: tuple[Table, int]) -> None:
    table, needs = given_table
    cover = smallest_cover(table, needs)
    assert cover.is_smallest
    assert together(cover.answers) == needs
    size = next(
        size
        for size in range(1, len(table.answers) + 1)
        if any(together(some) & needs == needs for some in combinations(table.answers, size))
    )
    assert len(cover.answers) == size
    covers = [some for some in combinations(table.answers, size) if together(some) & needs == needs]
    assert tuple(rank for rank, _ in cover.answers) == min(_best_orders(covers, needs))


def _best_orders(covers: list[tuple[Answer, ...]], needs: int) -> list[tuple[int, ...]]:
    """Each cover's ranks, whichever of its answers is taken for the first need that is left."""
    found: list[tuple[int, ...]] = []

    def follow(answers: tuple[Answer, ...], left: int, ranks: tuple[int, ...]) -> None:
        if not left:
            found.append(ranks)
            return
        for one in answers:
            if one[1] & left & -left:
                follow(answers, left & ~one[1], (*ranks, one[0]))

    for answers in covers:
        follow(answers, needs, ())
    return [ranks for ranks in found if len(ranks) == len(covers[0])]


def test_nothing_is_needed_for_no_needs() -> None:
    assert smallest_cover(Table((1,)), 0) == Cover(answers=(), is_smallest=True)


def test_greed_is_not_enough() -> None:
    """The largest answer first would take three."""
    table = Table((0b001111, 0b010101, 0b101010, 0b110000))
    assert [rank for rank, _ in smallest_cover(table, 0b111111).answers] == [0, 3]
    rows = Table((0b0111_1000, 0b0001_0110, 0b0110_1001))
    cover = smallest_cover(rows, 0b0111_1111)
    assert cover.is_smallest
    assert len(cover.answers) == 2


def test_without_a_proof_all_is_met_and_nothing_is_claimed() -> None:
    table = Table((0b0111_1000, 0b0001_0110, 0b0110_1001))
    cover = smallest_cover(table, 0b0111_1111, limit=0)
    assert not cover.is_smallest
    assert together(cover.answers) == 0b0111_1111
