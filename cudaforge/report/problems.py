"""Errors as text: what is wrong, where, because of what, and what to try."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from cudaforge.errors import Location, Problem


def describe_problems(problems: Sequence[Problem]) -> str:
    """All problems as text for a terminal, readable without colour."""
    return "\n".join(_describe(problem) for problem in problems)


def visible(text: str) -> str:
    """`text` with control, bidi and zero-width characters escaped, so that no message can lie."""
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
        return character
    return character.encode("unicode_escape").decode("ascii")


def _describe(problem: Problem) -> str:
    lines = [f"error: {problem.what}"]
    if problem.where is not None:
        lines.append(f"  where    {_place(problem.where)}")
    lines += [f"  because  {reason}" for reason in problem.because]
    if problem.remedy:
        lines.append(f"  try      {problem.remedy}")
    return visible("\n".join(line.replace("\n", "\n           ") for line in lines))


def _place(where: Location) -> str:
    place = where.file if where.line is None else f"{where.file}:{where.line}"
    return place if where.key is None else f"{place}: {where.key}"
