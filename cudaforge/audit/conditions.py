"""Conditions of the shell, as far as they can be decided without running anything."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from cudaforge.audit.words import Word

_UNARY = {"-n": lambda text: text != "", "-z": lambda text: text == ""}
_NUMERIC = {
    "-eq": lambda one, other: one == other,
    "-ne": lambda one, other: one != other,
    "-gt": lambda one, other: one > other,
    "-ge": lambda one, other: one >= other,
    "-lt": lambda one, other: one < other,
    "-le": lambda one, other: one <= other,
}
_TESTS = {"[": "]", "[[": "]]"}
_PLAIN = {"true": True, ":": True, "false": False}


def is_test(words: Sequence[Word]) -> bool:
    """Whether a command does nothing but answer yes or no."""
    return bool(words) and words[0].text in (*_TESTS, "test", *_PLAIN)


def decide(words: Sequence[Word]) -> bool | None:
    """What a test answers; None where that is not known, and for commands that are none."""
    if not is_test(words):
        return None
    name = words[0].text
    if name in _PLAIN:
        return _PLAIN[name]
    inner = list(words[1:])
    if name in _TESTS and (not inner or inner.pop().text != _TESTS[name]):
        return None
    is_negated = bool(inner) and inner[0].text == "!"
    if is_negated:
        inner.pop(0)
    if not all(word.is_sure for word in inner):
        return None
    answer = _answer([word.text for word in inner], is_pattern=name == "[[")
    return answer if answer is None else answer != is_negated


def _answer(texts: Sequence[str], *, is_pattern: bool) -> bool | None:
    match texts:
        case []:
            return False
        case [text]:
            return text != ""
        case [operator, text] if operator in _UNARY:
            return bool(_UNARY[operator](text))
        case [one, "=" | "==", other]:
            return fnmatch.fnmatchcase(one, other) if is_pattern else one == other
        case [one, "!=", other]:
            return not (fnmatch.fnmatchcase(one, other) if is_pattern else one == other)
        case [one, operator, other] if operator in _NUMERIC and _is_number(one) and _is_number(other):
            return bool(_NUMERIC[operator](int(one), int(other)))
        case _:
            return None


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdecimal() and len(text) < 10  # noqa: PLR2004 -- more digits than any test has


def matches(subject: Word, patterns: Sequence[Word]) -> bool | None:
    """Whether a `case` takes the branch of these patterns; None where that is not known."""
    if not subject.is_sure or not all(one.is_sure for one in patterns):
        return None
    return any(fnmatch.fnmatchcase(subject.text, one.text) for one in patterns)
