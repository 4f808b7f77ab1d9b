"""The points of a matrix: what makes one of them impossible is worked out once for all that share it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from cudaforge.declaration.model import Wishes
from cudaforge.errors import InputError
from cudaforge.records import record, replace
from cudaforge.resolver.case import Case, reopened
from cudaforge.resolver.conflict import explain_core, minimal_core
from cudaforge.resolver.edits import dropped
from cudaforge.resolver.model import Conflict
from cudaforge.resolver.question import Item, Question

Word = tuple[str, str, bool]
"""A wish apart from the image that has it: its key, how it is written, whether it stands for a framework."""


@record(kw_only=False, eq=False)
class _Group:
    """The points that one core makes impossible."""

    core: frozenset[Word]
    case: Case
    """That of the first of them."""
    questions: list[Question]


class Impossible:
    """The impossible points of a matrix so far, by what is wrong with them.

    A point that has all wishes of a known core is not searched again: they collide whatever else is asked
    for, as long as nothing is that lifts a default.
    """

    def __init__(self) -> None:
        self._groups: list[_Group] = []
        self._by_core: dict[frozenset[Word], int] = {}
        self._by_word: dict[tuple[Hashable, Word], list[int]] = {}

    def find(self, case: Case) -> int | None:
        """The group that the point belongs to by what is known already."""
        words, settings = _words(case.question.items), _settings(case)
        # The first of those that it belongs to: a set's own order is another in each run.
        number = min(
            (
                number
                for word in words
                for number in self._by_word.get((settings, word), ())
                if self._groups[number].core <= words
            ),
            default=None,
        )
        if number is not None:
            self._groups[number].questions.append(case.question)
        return number

    def add(self, case: Case) -> int:
        """The group of a point that has no answer, a new one where its core is."""
        bits = minimal_core(case)
        core = _words([item for item in case.question.items if item.bit & bits])
        number = self._by_core.setdefault(core, len(self._groups))
        if number == len(self._groups):
            self._groups.append(_Group(core, case, []))
        self._groups[number].questions.append(case.question)
        if case.collides_always(bits):
            # Every point that has the core has this word of it.
            self._by_word.setdefault((_settings(case), min(core)), []).append(number)
        return number

    def conflicts(self) -> list[Conflict]:
        """The conflict of each group. Its repairs hold for what its points have in common."""
        return [_conflict(group) for group in self._groups]


def _conflict(group: _Group) -> Conflict:
    case = _common(group.case, group.questions)
    return explain_core(case, sum(item.bit for item in case.question.items if _word(item) in group.core))


def _common(case: Case, questions: Sequence[Question]) -> Case:
    """The first point without the wishes that others do not have. Its frameworks stay: something has to be
    asked for."""
    shared = _words(case.question.items)
    for question in questions:
        shared &= _words(question.items)
    wishes: Wishes = case.question.wishes
    for item in case.question.items:
        if not item.is_presence and _word(item) not in shared:
            edit = dropped(case, item, wishes)
            wishes = wishes if edit is None else edit.wishes
    wishes = replace(wishes, packages=tuple(_in_all(wishes.packages, questions)))
    try:
        return reopened(case, wishes)
    except InputError:  # a base of the user's own has to be described by what was just left out
        return case


def _in_all(packages: Sequence[str], questions: Sequence[Question]) -> Iterator[str]:
    return (text for text in packages if all(text in one.wishes.packages for one in questions))


def _words(items: Sequence[Item]) -> frozenset[Word]:
    return frozenset([(item.key, item.word, item.is_presence) for item in items])


def _word(item: Item) -> Word:
    return (item.key, item.word, item.is_presence)


def _settings(case: Case) -> Hashable:
    """What two points have to agree on beside a core: the values that there are, the frameworks and their
    places, and every wish that lifts a default."""
    wishes = case.question.wishes
    return (
        case.identity,
        tuple(one.name for one in case.question.frameworks),
        tuple(one.version is not None and one.version.names_prerelease for one in wishes.frameworks),
        bool(wishes.gpus),
        wishes.is_cpu,
        wishes.platforms,
        wishes.base,
        wishes.toolkit,
        wishes.forward_compat,
        wishes.require_cuda,
    )
