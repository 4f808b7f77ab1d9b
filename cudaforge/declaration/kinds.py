"""Kinds of values: how each is read from TOML and how JSON Schema describes it, side by side.

A reader gives the typed value or raises BadValue with every mistake it finds.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Generic, NoReturn, TypeVar

from cudaforge.declaration.text import find_refused_character
from cudaforge.display import show
from cudaforge.records import record
from cudaforge.versions import InvalidVersion, Version, VersionWish

T = TypeVar("T")
E = TypeVar("E", bound=Enum)
Schema = Mapping[str, object]
Path = tuple[str | int, ...]

_NEAREST_CUTOFF = 0.7
_COMPARED_LENGTH = 64
_LIST_MAX = 4096
_TEXT_MAX = 65_536


@record()
class Mistake:
    """One thing wrong with a value. `path` leads from the value to the wrong part of it."""

    what: str
    remedy: str | None = None
    path: Path = ()


class BadValue(ValueError):
    """A value that its kind does not allow. `partial` is what could be read of it, for more checks."""

    def __init__(self, *mistakes: Mistake, partial: object = None) -> None:
        super().__init__("; ".join(mistake.what for mistake in mistakes))
        self.mistakes = mistakes
        self.partial = partial


@record()
class Kind(Generic[T]):
    """A kind of value."""

    read: Callable[[object], T]
    schema: Schema


class WrittenFloat(float):
    """A TOML float that remembers its spelling: `12.10` is 12.1 otherwise."""

    written: str

    @classmethod
    def parse(cls, text: str) -> WrittenFloat:
        """The float of a TOML document, for `tomllib.loads(parse_float=...)`."""
        value = cls(text.replace("_", ""))
        value.written = text
        return value


def bad(what: str, remedy: str | None = None) -> NoReturn:
    """Raise BadValue with one mistake about the value as a whole."""
    raise BadValue(Mistake(what=what, remedy=remedy))


def nearest(name: str, known: Iterable[str], *, cutoff: float = _NEAREST_CUTOFF) -> str | None:
    """The known name that somebody who wrote `name` probably meant."""
    import difflib

    asked = name[:_COMPARED_LENGTH].lower()
    found = difflib.get_close_matches(asked, list(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def within(path: Path, error: BadValue) -> tuple[Mistake, ...]:
    """The mistakes of a part, told from the whole that it stands in."""
    return tuple(
        Mistake(what=mistake.what, remedy=mistake.remedy, path=path + mistake.path)
        for mistake in error.mistakes
    )


def attempt(read: Callable[[object], T], value: object, *, at: Path, mistakes: list[Mistake]) -> T | None:
    """What `read` gives for a part of a whole; None after noting what is wrong with it."""
    try:
        return read(value)
    except BadValue as error:
        mistakes += within(at, error)
        return None


def type_name(value: object) -> str:
    """What a TOML value is called."""
    match value:
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case Mapping():
            return "a table"
        case list() | tuple():
            return "a list"
        case dt.date() | dt.time():
            return "a date or time"
        case _:
            return f"a {type(value).__name__}"


def read_string(value: object) -> str:
    """A non-empty string without refused characters."""
    text = _read_any_string(value)
    if not text:
        bad("the text is empty", "write a value, or leave the key out")
    return text


def _read_any_string(value: object) -> str:
    if not isinstance(value, str):
        bad(f"{type_name(value)} where a string is expected", _as_string(value))
    found = find_refused_character(value)
    if found is not None:
        position = next(index for index, one in enumerate(value) if find_refused_character(one))
        bad(f"{found} at position {position + 1} of the value", "take the character out")
    if len(value) > _TEXT_MAX:
        bad(f"longer than {_TEXT_MAX} characters")
    return value


def _as_string(value: object) -> str | None:
    match value:
        case WrittenFloat():
            return f'write it as a string: "{value.written}"'
        case bool() | Mapping() | list():
            return None
        case int():
            # str() of a giant number is slow, and refused by newer Pythons.
            return f'write it as a string: "{value}"' if abs(value) < 10**18 else "write it as a string"
        case dt.date() | dt.time():
            return f'write it as a string: "{value.isoformat()}"'
        case _:
            return None


STRING = Kind(read=read_string, schema={"type": "string", "minLength": 1})
ANY_STRING = Kind(read=_read_any_string, schema={"type": "string"})


def text_kind(pattern: str, *, allowed: str, longest: int = 255) -> Kind[str]:
    """Strings that match a grammar as a whole; `allowed` says it in words."""

    def read(value: object) -> str:
        text = read_string(value)
        if len(text) > longest:
            bad(f"{show(text)} is longer than {longest} characters", allowed)
        if re.fullmatch(pattern, text) is None:
            bad(f"{show(text)} is not allowed here", allowed)
        return text

    return Kind(read=read, schema={"type": "string", "pattern": f"^(?:{pattern})$", "maxLength": longest})


def enum_kind(members: type[E]) -> Kind[E]:
    """One of a closed set of words."""
    words = choice_kind(*(str(member.value) for member in members))
    return Kind(read=lambda value: members(words.read(value)), schema=words.schema)


def choice_kind(*words: str) -> Kind[str]:
    """One of some words."""

    def read(value: object) -> str:
        text = read_string(value)
        if text not in words:
            close = nearest(text, words)
            hint = f"did you mean '{close}'? " if close else ""
            bad(f"{show(text)} is not known here", f"{hint}allowed: {', '.join(words)}")
        return text

    return Kind(read=read, schema={"type": "string", "enum": list(words)})


def _read_bool(value: object) -> bool:
    if not isinstance(value, bool):
        bad(f"{type_name(value)} where true or false is expected")
    return value


BOOL = Kind(read=_read_bool, schema={"type": "boolean"})


def integer_kind(low: int, high: int) -> Kind[int]:
    """A whole number within bounds."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            bad(f"{type_name(value)} where a whole number is expected", f"allowed: {low} to {high}")
        if not low <= value <= high:
            bad("the number is out of bounds", f"allowed: {low} to {high}")
        return value

    return Kind(read=read, schema={"type": "integer", "minimum": low, "maximum": high})


def _read_version(value: object) -> str:
    text = read_string(value)
    try:
        Version(text)
    except InvalidVersion:
        bad(f"{show(text)} is not a version", 'for example "570.86"')
    return text


_WISH_HINT = 'a version such as "12.8" (any 12.8.*), or ">=12.4,<13"'


def read_wish(value: object, *, hint: str = _WISH_HINT) -> VersionWish:
    """A bare version (`12.8` means `12.8.*`) or a PEP 440 specifier set. `hint` is what mistakes suggest."""
    text = read_string(value)
    try:
        wish = VersionWish("".join(text.split(" ")))
    except InvalidVersion:
        bad(f"{show(text)} is no version wish", hint)
    if wish.is_contradiction:
        bad(f"no version is within {show(text)}", "turn a bound round, or leave one out")
    return wish


_NUMBER = r"v?[0-9]+(\.[0-9]+)*[a-zA-Z0-9.+_-]*"
_CLAUSE = rf"(===|==|!=|>=|<=|~=|>|<) *{_NUMBER}(\.\*)?"
CLAUSES_PATTERN = rf" *{_CLAUSE}( *, *{_CLAUSE})* *"
_WISH = rf" *{_NUMBER}(\.\*)? *|{CLAUSES_PATTERN}"
VERSION = Kind(read=_read_version, schema={"type": "string", "pattern": f"^{_NUMBER}$"})
WISH = Kind(read=read_wish, schema={"type": "string", "pattern": f"^({_WISH})$"})


def list_kind(item: Kind[T], *, example: str, unique: bool = True) -> Kind[tuple[T, ...]]:
    """A list of values of one kind."""

    def read(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            bad(f"{type_name(value)} where a list is expected", f"for example {example}")
        if len(value) > _LIST_MAX:
            bad(f"more than {_LIST_MAX} values")
        mistakes: list[Mistake] = []
        read_items = [
            attempt(item.read, one, at=(index,), mistakes=mistakes) for index, one in enumerate(value)
        ]
        items = tuple(one for one in read_items if one is not None)
        if unique and not mistakes:
            mistakes += _repeated(items)
        if mistakes:
            raise BadValue(*mistakes, partial=items)
        return items

    schema = {"type": "array", "items": item.schema, "maxItems": _LIST_MAX, "uniqueItems": unique}
    return Kind(read=read, schema=schema)


def _repeated(items: Iterable[object]) -> Iterable[Mistake]:
    seen: dict[str, int] = {}
    for index, one in enumerate(items):
        first = seen.setdefault(repr(one), index)
        if first != index:
            yield Mistake(what=f"the same value as number {first + 1} of the list", path=(index,))


def map_kind(keys: Kind[str], values: Kind[T], *, example: str) -> Kind[Mapping[str, T]]:
    """A table of free names."""

    def read(value: object) -> Mapping[str, T]:
        if not isinstance(value, Mapping):
            bad(f"{type_name(value)} where a table is expected", f"for example {example}")
        mistakes: list[Mistake] = []
        read_values: dict[str, T] = {}
        partial: dict[str, object] = {}
        for key, one in value.items():
            try:
                name = keys.read(key)
            except BadValue as error:
                mistakes += (
                    Mistake(
                        what=f"the name {show(str(key))}: {one.what}", remedy=one.remedy, path=(str(key),)
                    )
                    for one in error.mistakes
                )
                continue
            try:
                read_values[name] = values.read(one)
            except BadValue as error:
                mistakes += within((name,), error)
                if error.partial is not None:
                    partial[name] = error.partial
        if mistakes:
            raise BadValue(*mistakes, partial={**read_values, **partial})
        return read_values

    return Kind(
        read=read,
        schema={"type": "object", "propertyNames": keys.schema, "additionalProperties": values.schema},
    )


def mapped(kind: Kind[T], change: Callable[[T], T], schema: Schema | None = None) -> Kind[T]:
    """A kind whose values go through one more check or change."""
    return Kind(read=lambda value: change(kind.read(value)), schema={**kind.schema, **(schema or {})})


def later_kind(remedy: str | None = None) -> Kind[None]:
    """A key of the design that this version refuses instead of ignoring."""

    def read(value: object) -> None:
        del value
        bad("not supported yet", remedy or "leave the key out")

    return Kind(read=read, schema={"not": {}})
