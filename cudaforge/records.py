"""Frozen value classes that cost next to nothing to define.

`dataclasses` writes and compiles source text for each class: about a millisecond, and what lies on the way
to an answer defines some sixty of them, more than everything else on that way takes together
(`benchmarks/startup.py` shows it). A record has the same meaning, and one shared set of methods. A class of
which many are made is worth compiling after all: it gets an initialiser of its own then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from typing_extensions import dataclass_transform

    _Class = TypeVar("_Class", bound=type)
    _Record = TypeVar("_Record")
else:

    def dataclass_transform(**_: object) -> Callable[[object], object]:
        """Only type checkers look at it."""
        return lambda function: function


_MANY = 64
"""So many records of a class are made before its initialiser is compiled: that costs as much as making some
two hundred."""


class FrozenRecordError(AttributeError):
    """A record never changes: `replace` makes another."""


class _Made:
    """A default that is made anew for each record."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make


def made(*, default_factory: Callable[[], Any]) -> Any:  # noqa: ANN401 -- stands where a value of any type does
    """The default of a field that must not be shared between records."""
    return _Made(default_factory)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(made,))
def record(*, kw_only: bool = True, eq: bool = True) -> Callable[[_Class], _Class]:
    """Makes a class of annotated fields a frozen one with slots.

    With `kw_only=False` fields may be given by position; with `eq=False` records are equal only to
    themselves. `__post_init__` is called where there is one.
    """

    def make(defined: _Class) -> _Class:
        own = tuple(defined.__annotations__) if "__annotations__" in defined.__dict__ else ()
        body = {
            key: value for key, value in defined.__dict__.items() if key not in ("__dict__", "__weakref__")
        }
        names = (*getattr(defined, "__record_fields__", ()), *own)
        defaults = getattr(defined, "__record_defaults__", {}) | {
            name: body.pop(name) for name in own if name in body
        }
        positions = () if kw_only else names
        body |= {
            "__slots__": own,
            "__record_fields__": names,
            "__record_defaults__": defaults,
            "__match_args__": positions,
            "__init__": _initialiser(names, defaults, positions, checks=hasattr(defined, "__post_init__")),
            "__setattr__": _refuse,
            "__delattr__": _refuse,
            "__getstate__": _state,
            "__setstate__": _restore,
            "__replace__": _replaced,
        }
        body.setdefault("__repr__", _described)
        if eq:
            body |= _comparison(names)
        created: _Class = type(defined)(defined.__name__, defined.__bases__, body)
        return created

    return make


def replace(one: _Record, **changes: object) -> _Record:
    """The record with some fields changed. Raises TypeError for a field that it does not have."""
    return type(one)(**{**values_of(one), **changes})


def field_names(kind: type | object) -> tuple[str, ...]:
    """The fields of a record or of its class, in the order in which they are declared."""
    names: tuple[str, ...] = kind.__record_fields__  # type: ignore[union-attr]
    return names


def is_record(value: object) -> bool:
    """Whether the value, or class, is one of records."""
    return hasattr(value, "__record_fields__")


def values_of(one: object) -> dict[str, Any]:
    """The fields of a record with their values; records inside stay what they are."""
    return {name: getattr(one, name) for name in field_names(one)}


def _initialiser(
    names: tuple[str, ...], defaults: Mapping[str, object], positions: tuple[str, ...], *, checks: bool
) -> Callable[..., None]:
    count, set_field, left = len(names), object.__setattr__, _MANY

    def __init__(self: object, *values: object, **named: object) -> None:  # noqa: N807 -- it becomes a method
        nonlocal left
        left -= 1
        if left == 0:
            _compile_initialiser(__init__, type(self), names, defaults, positions, checks=checks)
        if values:
            _take_positions(self, positions, values, named)
        try:
            for name, value in named.items():
                set_field(self, name, value)
        except AttributeError:
            raise TypeError(f"{type(self).__name__} has no field {name!r}") from None
        if len(named) != count:
            _fill(self, [name for name in names if name not in named], defaults)
        if checks:
            self.__post_init__()  # type: ignore[attr-defined]

    return __init__


def _compile_initialiser(
    shared: Callable[..., None],
    kind: type,
    names: tuple[str, ...],
    defaults: Mapping[str, object],
    positions: tuple[str, ...],
    *,
    checks: bool,
) -> None:
    """Give the class that has the shared initialiser one that does the same, and does nothing else."""
    owner = next(one for one in kind.__mro__ if one.__dict__.get("__init__") is shared)
    known: dict[str, Any] = {f"set_{name}": getattr(owner, name).__set__ for name in names}
    parameters, lines = ["self"] if positions else ["self", "*"], []
    for name in names:
        default = defaults.get(name, known)
        value = name
        if isinstance(default, _Made):
            known |= {f"make_{name}": default.make, f"default_{name}": default}
            value = f"make_{name}() if {name} is default_{name} else {name}"
        elif default is not known:
            known[f"default_{name}"] = default
        parameters.append(name if default is known else f"{name}=default_{name}")
        lines.append(f"    set_{name}(self, {value})")
    lines += ["    self.__post_init__()"] if checks else []
    try:
        exec(f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines), known)  # noqa: S102 -- of field names
    except SyntaxError:
        return  # a field without a default stands behind one that has one: what is shared can tell them apart
    owner.__init__ = known["__init__"]  # type: ignore[misc]


def _take_positions(
    one: object, names: tuple[str, ...], values: tuple[object, ...], named: dict[str, object]
) -> None:
    if len(values) > len(names):
        raise TypeError(f"{type(one).__name__} takes {len(names)} fields by position, not {len(values)}")
    for name, value in zip(names, values, strict=False):
        if name in named:
            raise TypeError(f"{type(one).__name__} got {name!r} twice")
        named[name] = value


def _fill(one: object, missing: list[str], defaults: Mapping[str, object]) -> None:
    needed = [name for name in missing if name not in defaults]
    if needed:
        raise TypeError(f"{type(one).__name__} misses {', '.join(needed)}")
    for name in missing:
        default = defaults[name]
        object.__setattr__(one, name, default.make() if isinstance(default, _Made) else default)


def _comparison(names: tuple[str, ...]) -> dict[str, Callable[..., object]]:
    key = attrgetter(*names) if names else lambda _: ()

    def __eq__(self: object, other: object) -> bool:  # noqa: N807 -- it becomes a method
        return key(self) == key(other) if type(other) is type(self) else NotImplemented

    def __hash__(self: object) -> int:  # noqa: N807 -- it becomes a method
        return hash(key(self))

    return {"__eq__": __eq__, "__hash__": __hash__}


def _refuse(self: object, name: str, *_: object) -> None:
    raise FrozenRecordError(f"{type(self).__name__}.{name} cannot be changed: records are frozen")


def _described(self: object) -> str:
    fields = ", ".join(f"{name}={value!r}" for name, value in values_of(self).items())
    return f"{type(self).__qualname__}({fields})"


def _state(self: object) -> dict[str, object]:
    return values_of(self)


def _restore(self: object, state: Mapping[str, object]) -> None:
    for name, value in state.items():
        object.__setattr__(self, name, value)


def _replaced(self: _Record, /, **changes: object) -> _Record:
    return replace(self, **changes)
