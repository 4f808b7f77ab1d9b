"""What a check says of a host."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from cudaforge.codes import Code
from cudaforge.records import record

_NAMES = 3


class State(str, Enum):
    """How one check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, and may not always."""
    PROBLEM = "problem"
    """It does not work."""
    SKIPPED = "skipped"
    """There was nothing to look at, or no way to; the detail says why."""


@record()
class Finding:
    """One check's end. `detail` says what was seen; `remedy` is there wherever the state is not good."""

    id: str
    title: str
    state: State
    detail: str
    remedy: str | None = None
    code: Code | None = None


@record()
class Judgement:
    """How one check ended, before it is given its id and title."""

    state: State
    detail: str
    remedy: str | None = None
    code: Code | None = None


def good(detail: str) -> Judgement:
    """It works."""
    return Judgement(state=State.OK, detail=detail)


def warning(detail: str, remedy: str, *, code: Code | None = None) -> Judgement:
    """It works, and may not always."""
    return Judgement(state=State.WARNING, detail=detail, remedy=remedy, code=code)


def problem(detail: str, remedy: str, *, code: Code | None = None) -> Judgement:
    """It does not work."""
    return Judgement(state=State.PROBLEM, detail=detail, remedy=remedy, code=code)


def skipped(reason: str) -> Judgement:
    """There is nothing to judge."""
    return Judgement(state=State.SKIPPED, detail=reason)


def listed(names: Sequence[str]) -> str:
    """Names for people: the first few, and how many more there are."""
    shown = ", ".join(names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES} more"
