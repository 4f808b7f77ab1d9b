"""Errors as text: what is wrong, where, because of what, and what to try."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from cudaforge.display import visible
from cudaforge.errors import Location, Problem

_NARROWEST = 20
_MOST_REASONS = 12


def describe_problems(problems: Sequence[Problem], *, width: int | None = None) -> str:
    """All problems as text, readable without colour; lines are broken at `width` columns, if given."""
    return "\n".join(_describe(problem, width) for problem in problems)


def broken_lines(text: str, width: int | None) -> str:
    """The text with its long lines broken at `width` columns, if given, and what is left of one set in."""
    if width is None:
        return text
    return "\n".join(piece for line in text.split("\n") for piece in _broken(line, width))


def _broken(line: str, width: int) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    limit = max(width, len(indent) + _NARROWEST)
    if len(line) <= limit:
        return [line]
    return textwrap.wrap(
        line, limit, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _describe(problem: Problem, width: int | None) -> str:
    parts = [("error: ", problem.what)]
    if problem.where is not None:
        parts.append(("  where    ", _place(problem.where)))
    reasons = problem.because
    if len(reasons) > _MOST_REASONS:
        left = len(reasons) - _MOST_REASONS + 1
        reasons = (*reasons[: _MOST_REASONS - 1], f"and {left} more, which --json tells")
    parts += [("  because  ", reason) for reason in reasons]
    if problem.remedy:
        parts.append(("  try      ", problem.remedy))
    return visible("\n".join(_hang(label, text, width) for label, text in parts))


def _hang(label: str, text: str, width: int | None) -> str:
    """`text` after its label, further lines below its beginning."""
    indent = " " * len(label)
    lines = text.split("\n")
    if width is not None:
        lines = [
            piece
            for line in lines
            for piece in textwrap.wrap(
                line, max(width - len(label), _NARROWEST), break_long_words=False, break_on_hyphens=False
            )
            or [""]
        ]
    return label + f"\n{indent}".join(lines)


def _place(where: Location) -> str:
    place = where.file if where.line is None else f"{where.file}:{where.line}"
    return place if where.key is None else f"{place}: {where.key}"
