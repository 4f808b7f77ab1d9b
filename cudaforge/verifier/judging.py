"""What every check is made of: its row and the four ways in which it can end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cudaforge.codes import Code
from cudaforge.records import record
from cudaforge.verifier.causes import Cause
from cudaforge.verifier.model import CheckState, Tier
from cudaforge.verifier.situation import Situation
from cudaforge.versions import InvalidVersion, Version


@record()
class Finding:
    """How one check ended, before it is given its id and title."""

    state: CheckState
    detail: str
    remedy: str | None = None
    code: Code | None = None


@record()
class Check:
    """One row of the table. `needs` names checks without whose pass this one makes no sense."""

    id: str
    title: str
    tier: Tier
    judge: Callable[[Situation], Finding]
    needs: tuple[str, ...] = ()


def passed(detail: str, *, code: Code | None = None) -> Finding:
    """It is as declared. `code` names what is worth knowing of it all the same."""
    return Finding(state=CheckState.PASS, detail=detail, code=code)


def failed(detail: str, remedy: str | None = None, *, code: Code | None = None) -> Finding:
    """It is not as declared."""
    return Finding(state=CheckState.FAIL, detail=detail, remedy=remedy, code=code)


def failed_by(cause: Cause) -> Finding:
    """It did not work, for a known cause."""
    return failed(cause.text, cause.remedy, code=cause.code)


def skipped(reason: str, remedy: str | None = None, *, code: Code | None = None) -> Finding:
    """There is nothing to judge."""
    return Finding(state=CheckState.SKIPPED, detail=reason, remedy=remedy, code=code)


def skipped_by(cause: Cause) -> Finding:
    """There is nothing to judge, for a known cause."""
    return skipped(cause.text, cause.remedy, code=cause.code)


def unknown(reason: str, remedy: str | None = None) -> Finding:
    """It should be known and is not."""
    return Finding(state=CheckState.UNKNOWN, detail=reason, remedy=remedy)


def agrees(declared: str, actual: str, *, components: int = 4) -> bool:
    """Whether two versions are equal as far as both are known, and at most in so many components.

    A local label counts where both have one: `2.8.0+cu128` is not `2.8.0+cpu`.
    """
    try:
        one, other = Version(declared), Version(actual)
    except InvalidVersion:
        return declared == actual
    if None not in {one.local, other.local} and one.local != other.local:
        return False
    count = min(len(one.release), len(other.release), components)
    if count == len(one.release) == len(other.release):
        return one.public() == other.public()
    return one.release[:count] == other.release[:count]


def some(items: Sequence[str], most: int = 5) -> str:
    """The first few, and how many more there are."""
    more = len(items) - most
    return "; ".join(items[:most]) + (f"; and {more} more" if more > 0 else "")


def compare(declared: str, actual: str | None, *, components: int = 4, remedy: str) -> Finding:
    """Pass where the versions agree."""
    if actual is None:
        return unknown("no version was found", remedy)
    if agrees(declared, actual, components=components):
        return passed(actual)
    return failed(f"declared {declared}, found {actual}", remedy)
