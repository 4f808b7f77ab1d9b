"""Days on which things were released, as rows write them."""

from __future__ import annotations

_LAST = "9999-12-31"


def was_there(released: str | None, day: str) -> bool:
    """Whether something released on a date, which may be a month or a year alone, was there by the end of a
    day, or of a month or year. False for an unknown date."""
    return released is not None and _last(released) <= _last(day)


def _last(day: str) -> str:
    return day + _LAST[len(day) :]
