"""Proving rows one by one: what is looked at when facts are written, and not again when they are read."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from enum import Enum

from cudaforge.matrix.findings import Finding
from cudaforge.matrix.reader import Raw, Sources, read_version
from cudaforge.matrix.rows import KEYS, label, plain, read_row
from cudaforge.matrix.sources import Source

_DATE = re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})(?:-(?P<day>\d{2}))?", re.ASCII)
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DATES = ("released", "eol", "removed")


def find_row_mistakes(
    rows: Mapping[str, Iterable[Raw]], sources: Mapping[str, Raw], *, file: str
) -> tuple[Finding, ...]:
    """What is wrong with the values of the rows, given by subject."""
    known = Sources(sources)
    return tuple(
        Finding(file=file, row=label(subject, raw), what=what)
        for subject, raws in rows.items()
        for raw in raws
        if (what := _mistake(subject, raw, known)) is not None
    )


def proven_row(subject: str, raw: Raw, source: Source) -> object:
    """The row as a value, with that source. Raises ValueError for what `find_row_mistakes` finds."""
    known = Sources({source.id: source})
    row = {**raw, "source": source.id}
    what = _mistake(subject, row, known)
    if what is not None:
        raise ValueError(what)
    return read_row(subject, row, known)


def _mistake(subject: str, raw: Raw, sources: Sources) -> str | None:
    try:
        read_row(subject, raw, sources)
    except ValueError as error:
        return str(error)
    for key in _DATES:
        text = raw.get(key)
        is_word = text == "unknown" and key == "removed"
        if isinstance(text, str) and not is_word and not is_date(text, needs_day=False):
            return f"{key} is {text!r}: must be a date, as text, like 2026-01-31 or 2026-01"
    return None


def is_date(text: str, *, needs_day: bool = True) -> bool:
    """Whether the text is a day of the calendar, `2026-01-31`; or, where that will do, a month."""
    match = _DATE.fullmatch(text)
    if match is None or not 1 <= int(match["month"]) <= len(_DAYS):
        return False
    day = match["day"]
    return not needs_day if day is None else 1 <= int(day) <= _DAYS[int(match["month"]) - 1]


def identity_of(subject: str, raw: Raw) -> tuple[Hashable, ...]:
    """`key_of` with versions by number, so that `12.8` and `12.8.0` are one row, and lists of words in any
    order and notation."""
    return tuple(_canonical(key, raw.get(key, "")) for key in KEYS[subject])


def _canonical(key: str, value: object) -> Hashable:
    if key == "platforms":
        return frozenset(words_of(value))
    if key == "version":
        with suppress(ValueError):  # reported as a row that cannot be read
            return read_version(key, str(value))
    return plain(value)


def words_of(value: object) -> tuple[str, ...]:
    """A list of words in either notation, as a row has it before it is read."""
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else ()


def text_of(value: object) -> str:
    """The value of a field, in words; empty for what says nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}".strip() for key, item in value.items())
    if isinstance(value, (tuple, list)):
        return " ".join(str(item) for item in value)
    return str(value)
