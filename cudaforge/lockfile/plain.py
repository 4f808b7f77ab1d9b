"""Frozen values to plain dictionaries and back, by their type hints.

What is None, empty or false is left out, and comes back from its absence. Where both None and empty can
stand (`entrypoint = []` takes the base's away), only None is left out.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from cudaforge.records import field_names, is_record

T = TypeVar("T")


class WrongShape(ValueError):
    """A dictionary that is no such value. `path` is the dotted key."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path
        self.what = what


def to_plain(value: object) -> Any:  # noqa: ANN401 -- TOML values have no narrower type
    """A value of records, tuples and mappings as dictionaries and lists."""
    if is_record(value) and not isinstance(value, type):
        kind: Any = type(value)  # mypy takes a plain `type[object]` for unhashable
        pairs = ((name, hint, getattr(value, name)) for name, hint in _hints(kind).items())
        return {name: to_plain(item) for name, hint, item in pairs if not _is_left_out(item, hint)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in sorted(value.items())}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[T], value: object, *, path: str = "") -> T:
    """The value of record `kind` in a dictionary. Raises WrongShape for any other shape."""
    result: T = _read(kind, value, path)
    return result


def _is_left_out(item: object, hint: object) -> bool:
    if item is None or item is False:
        return True
    is_optional = get_origin(hint) in (Union, types.UnionType)
    return isinstance(item, (tuple, Mapping)) and not item and not is_optional


def _read(kind: Any, value: object, path: str) -> Any:  # noqa: ANN401
    if is_record(kind):
        return _read_record(kind, value, path)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = next(argument for argument in get_args(kind) if argument is not type(None))
        return None if value is None else _read(inner, value, path)
    if origin is tuple:
        if not isinstance(value, list):
            raise WrongShape(path, "is no list")
        return tuple(_read(get_args(kind)[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    if origin is not None:
        if not isinstance(value, dict):
            raise WrongShape(path, "is no table")
        return {key: _read(get_args(kind)[1], item, f"{path}.{key}") for key, item in value.items()}
    return _read_scalar(kind, value, path)


def _read_scalar(kind: type, value: object, path: str) -> object:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise WrongShape(path, f"is no {kind.__name__}")
    return value


def _read_record(kind: Any, value: object, path: str) -> object:  # noqa: ANN401
    if not isinstance(value, dict):
        raise WrongShape(path, "is no table")
    hints = _hints(kind)
    unknown = sorted(value.keys() - hints.keys())
    if unknown:
        raise WrongShape(f"{path}.{unknown[0]}".lstrip("."), "is not known to this version")
    return kind(
        **{name: _read_field(hint, name, value, f"{path}.{name}".lstrip(".")) for name, hint in hints.items()}
    )


def _read_field(hint: Any, name: str, table: dict[str, object], path: str) -> object:  # noqa: ANN401
    if name in table:
        return _read(hint, table[name], path)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None
    if origin is tuple:
        return ()
    if origin is not None:
        return {}
    if hint is bool:
        return False
    raise WrongShape(path, "is missing")


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {name: hints[name] for name in field_names(kind)}
