"""Tables of known keys: one list of fields reads a table, suggests names and makes the schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar, cast

from cudaforge.declaration.kinds import BadValue, Kind, Mistake, Schema, bad, nearest, type_name, within
from cudaforge.display import show
from cudaforge.records import record

T = TypeVar("T")


@record()
class Field(Generic[T]):
    """One key: how its value is read, and what it means in a sentence for people and editors."""

    name: str
    kind: Kind[T]
    doc: str


class Values:
    """Typed values of a table, by field. A key that was not written is None."""

    __slots__ = ("_values", "_written")

    def __init__(self, values: Mapping[str, object], *, written: Iterable[str] | None = None) -> None:
        self._values = dict(values)
        self._written = frozenset(values if written is None else written)

    def get(self, field: Field[T]) -> T | None:
        """The value of the field; None if it was not written."""
        return cast("T | None", self._values.get(field.name))

    def has(self, field: Field[T]) -> bool:
        """Whether the key was written, rightly or wrongly."""
        return field.name in self._written

    def over(self, other: Values) -> Values:
        """These values, and those of `other` where these say nothing. Tables are merged key by key."""
        merged = dict(other._values)
        for name, value in self._values.items():
            merged[name] = _merge(value, merged.get(name))
        return Values(merged, written=self._written | other._written)

    def replaced(self, values: Mapping[str, object]) -> Values:
        """These values with some replaced."""
        return Values({**self._values, **values}, written=self._written | values.keys())


def _merge(value: object, below: object) -> object:
    if isinstance(value, Values) and isinstance(below, Values):
        return value.over(below)
    if isinstance(value, Mapping) and isinstance(below, Mapping):
        return {**below, **{key: _merge(one, below.get(key)) for key, one in value.items()}}
    return value


NOTHING = Values({})


def read_fields(table: object, fields: Iterable[Field[object]]) -> tuple[Values, tuple[Mistake, ...]]:
    """What could be read of a table, and every mistake in it."""
    if not isinstance(table, Mapping):
        return NOTHING, (Mistake(what=f"{type_name(table)} where a table is expected"),)
    known = {field.name: field for field in fields}
    values: dict[str, object] = {}
    mistakes: list[Mistake] = []
    for key, value in table.items():
        field = known.get(key)
        if field is None:
            mistakes.append(unknown_key(key, known))
            continue
        try:
            values[key] = field.kind.read(value)
        except BadValue as error:
            mistakes += within((key,), error)
            if error.partial is not None:
                values[key] = error.partial
    return Values(values, written=table.keys()), tuple(mistakes)


def unknown_key(key: str, known: Iterable[str]) -> Mistake:
    """The mistake of writing a key that no table here has."""
    names = list(known)
    close = nearest(key, names)
    remedy = f"did you mean '{close}'?" if close else f"known: {', '.join(names)}"
    return Mistake(what=f"unknown key {show(key)}", remedy=remedy, path=(key,))


def table_kind(fields: tuple[Field[object], ...]) -> Kind[Values]:
    """A table with these keys and no others."""

    def read(value: object) -> Values:
        if not isinstance(value, Mapping):
            bad(f"{type_name(value)} where a table is expected")
        values, mistakes = read_fields(value, fields)
        if mistakes:
            raise BadValue(*mistakes, partial=values)
        return values

    return Kind(read=read, schema=table_schema(fields))


def table_schema(fields: Iterable[Field[object]]) -> Schema:
    """The JSON Schema of a table with these keys and no others."""
    return {
        "type": "object",
        "properties": {field.name: {**field.kind.schema, "description": field.doc} for field in fields},
        "additionalProperties": False,
    }


def any_field(field: Field[T]) -> Field[object]:
    """The field, for a list of fields of different types."""
    return cast("Field[object]", field)
