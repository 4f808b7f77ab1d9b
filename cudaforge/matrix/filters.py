"""Narrowing a list of facts: `os=ubuntu22.04`, `cuda=12.8`, `strength=inferred`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from cudaforge.errors import InputError, NegativeAnswer, Problem
from cudaforge.matrix.proof import text_of
from cudaforge.records import field_names, record
from cudaforge.versions import InvalidVersion, Version, VersionWish

_OF_SOURCE = ("id", "strength", "checked", "file")
_YES, _NO = ("yes", "true"), ("no", "false")
_FEW = 40


@record()
class Filter:
    """One condition on a field. An empty value means that the row says nothing there."""

    field: str
    value: str

    def __str__(self) -> str:
        return f"{self.field}={self.value}"


def read_filters(words: Iterable[str], kind: type | object) -> tuple[Filter, ...]:
    """Filters on rows of that kind. Raises InputError for words that are none, and for unknown fields."""
    known = (*(name for name in field_names(kind) if name != "source"), *_OF_SOURCE[1:], "source")
    found, problems = [], []
    for word in words:
        field, equals, value = word.partition("=")
        if equals and field in known:
            found.append(Filter(field=field, value=value.removeprefix("=")))
            continue
        near = difflib.get_close_matches(field, known, n=1, cutoff=0.6)
        what = f"these rows have no {field!r}" if equals else f"{word!r} is no filter: FIELD=VALUE"
        hint = f"did you mean {near[0]}=? " if near else ""
        problems.append(Problem(what=what, remedy=f"{hint}fields: {', '.join(known)}"))
    if problems:
        raise InputError(problems)
    return tuple(found)


def filtered(rows: Sequence[Any], filters: Sequence[Filter]) -> tuple[Any, ...]:
    """The rows that meet all filters. Raises NegativeAnswer where none does."""
    left = tuple(rows)
    for one in filters:
        kept = tuple(row for row in left if _matches(_value(row, one.field), one.value))
        if not kept:
            raise NegativeAnswer(_nothing(left, one, filters))
        left = kept
    return left


def _value(row: Any, field: str) -> object:  # noqa: ANN401 -- a row of any subject
    if field in _OF_SOURCE:
        return getattr(row.source, field)
    return row.source.id if field == "source" else getattr(row, field)


def _matches(value: object, text: str) -> bool:
    if isinstance(value, bool):
        return text.lower() in (_YES if value else _NO)
    if value is None or value in ((), {}):
        return not text
    if isinstance(value, Mapping):
        return any(text == key or _matches(item, text) for key, item in value.items())
    if isinstance(value, tuple):
        return any(_matches(item, text) for item in value)
    try:
        if isinstance(value, Version):
            return VersionWish(text).allows(value)
        if isinstance(value, VersionWish) and value.allows(Version(text)):
            return True
    except InvalidVersion:
        pass
    words = text_of(value)
    return fnmatchcase(words.lower(), text.lower()) or (
        isinstance(value, VersionWish) and words.startswith(f"{text}.")
    )


def _nothing(rows: Sequence[Any], one: Filter, filters: Sequence[Filter]) -> Problem:
    values = list(dict.fromkeys(text_of(_value(row, one.field)) or "(nothing)" for row in rows))
    near = difflib.get_close_matches(one.value, values, n=3, cutoff=0.6)
    is_version = any(isinstance(_value(row, one.field), (Version, VersionWish)) for row in rows)
    remedy = f"'*' stands for any text: {one.field}='{one.value}*'; {one.field}= for rows without"
    if one.value[:1] in ("<", ">", "!", "~"):
        remedy = f"{one.field}= for rows without"
        if not is_version:
            text = one.value.lstrip("<>!~=")
            remedy = f"{one.field} is no version: only equality and '*' are understood, {one.field}='{text}*'"
    shown = near or (sorted(values) if len(values) <= _FEW else [])
    return Problem(
        what=f"no row has {' '.join(map(str, filters))}",
        because=(f"{one.field} is {', '.join(shown)}{' or other' if near else ''}",) if shown else (),
        remedy=remedy,
    )
