"""From what was found in a text to its causes, the likeliest first."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from cudaforge.codes import Code
from cudaforge.diagnosis.model import Cause, Choice, Diagnosis, Match, Pattern
from cudaforge.diagnosis.scan import diagnose


def causes_of(
    text: str, patterns: Sequence[Pattern] | None = None, *, ruled_out: AbstractSet[Code] = frozenset()
) -> tuple[Cause, ...]:
    """The causes that a text tells, by its words and by what is `ruled_out` by other knowledge; none where
    no pattern knows it."""
    found = diagnose(text, patterns)
    return ranked(cause for match in telling(found) for cause in decided(match, found, ruled_out=ruled_out))


def telling(found: Diagnosis) -> tuple[Match, ...]:
    """The matches that say something: those that no more telling one hides."""
    hidden = frozenset().union(*(match.pattern.hides for match in found.matches))
    return tuple(match for match in found.matches if match.pattern.id not in hidden)


def decided(
    match: Match, found: Diagnosis, *, ruled_out: AbstractSet[Code] = frozenset()
) -> tuple[Cause, ...]:
    """The causes of one message: those that the text decides for alone, else each with what would decide.

    None of `ruled_out`, unless the message has no other.
    """
    left = [
        choice
        for choice in match.pattern.choices
        if not any(search.regex in found.seen for search in choice.unless)
    ]
    left = [choice for choice in left if choice.code not in ruled_out] or left
    sure = [choice for choice in left if any(search.regex in found.seen for search in choice.seen)]
    if sure:
        return tuple(_cause(match, choice, choice.text) for choice in sure)
    possible = [choice for choice in left if choice.when is not None or not choice.seen]
    if len(possible) == 1:
        return (_cause(match, possible[0], possible[0].text),)
    # What the text would have told is less likely where it does not.
    possible.sort(key=lambda choice: bool(choice.seen))
    return tuple(_cause(match, choice, _conditional(choice)) for choice in possible)


def ranked(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Causes before symptoms, otherwise in the given order; each code once."""
    order = sorted(causes, key=lambda cause: cause.is_symptom)
    by_code: dict[object, Cause] = {}
    for cause in order:
        by_code.setdefault(cause.code, cause)
    return tuple(by_code.values())


def _conditional(choice: Choice) -> str:
    return choice.text if choice.when is None else f"if {choice.when}: {choice.text}"


def _cause(match: Match, choice: Choice, text: str) -> Cause:
    return Cause(
        code=choice.code,
        text=filled(text, match.groups),
        remedy=filled(choice.remedy, match.groups),
        source=str(match.pattern.origin),
        pattern=match.pattern.id,
        excerpt=match.excerpt,
        is_symptom=match.pattern.is_symptom,
    )


def filled(text: str, groups: Mapping[str, str]) -> str:
    """The text with the words of the message where it names them."""
    return string.Formatter().vformat(text, (), _Named(groups))


class _Named(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"
