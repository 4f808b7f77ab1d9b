"""The matrix of an image: its axes, what is left out, what is added, and how points are named."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from enum import Enum

from cudaforge.declaration.fields import (
    CUDA,
    CUDNN,
    DRIVER,
    FORWARD_COMPAT,
    FRAMEWORK,
    GPUS,
    PLATFORMS,
    PREFER,
    PREFERENCE,
    PYTHON,
    TOOLKIT,
    WISH_FIELDS,
    Preferences,
)
from cudaforge.declaration.kinds import BadValue, Kind, Mistake, Schema, bad, type_name, within
from cudaforge.declaration.model import FrameworkWish
from cudaforge.declaration.tables import Field, unknown_key
from cudaforge.declaration.values import CPU, IMAGE_NAME_MAX, CudaWish
from cudaforge.display import show
from cudaforge.records import record

MAX_POINTS = 250_000
_EXCLUDE, _INCLUDE = "exclude", "include"
_LISTS = (GPUS.name, PLATFORMS.name)
AXIS_FIELDS = tuple(field for field in WISH_FIELDS if field.name != FORWARD_COMPAT.name)
_BY_NAME = {field.name: field for field in AXIS_FIELDS}
_PREFIXES = {PYTHON.name: "py", CUDA.name: "cu", CUDNN.name: "cudnn", DRIVER.name: "drv", TOOLKIT.name: "tk"}
_OPERATORS = {"===": "", "==": "", "!=": "ne", ">=": "ge", "<=": "le", "~=": "is", ">": "gt", "<": "lt"}
_OPERATOR = re.compile("|".join(map(re.escape, _OPERATORS)))


@record()
class AxisValue:
    """One value of an axis: as typed, as text that is equal for equal values, and short for names."""

    value: object
    text: str
    short: str


@record()
class Point:
    """One combination: axis name to value, in declared order."""

    values: Mapping[str, AxisValue]

    @property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """Axis names and texts."""
        return tuple((name, value.text) for name, value in self.values.items())


@record()
class Matrix:
    """An image's matrix."""

    axes: Mapping[str, tuple[AxisValue, ...]]
    exclude: tuple[Mapping[str, str], ...]
    include: tuple[Point, ...]

    def count(self) -> int:
        """How many points there are before any is excluded."""
        product = math.prod(len(axis) for axis in self.axes.values()) if self.axes else 0
        return product + len(self.include)

    def points(self) -> Iterator[Point]:
        """The points: the product of the axes without those excluded, then those included."""
        names = tuple(self.axes)
        for combination in itertools.product(*self.axes.values()) if names else ():
            point = Point(values=dict(zip(names, combination, strict=True)))
            if not any(self._matches(point, rule) for rule in self.exclude):
                yield point
        yield from self.include

    @staticmethod
    def _matches(point: Point, rule: Mapping[str, str]) -> bool:
        return all(point.values[name].text == text for name, text in rule.items())


def _read_matrix(value: object) -> Matrix:
    if not isinstance(value, Mapping):
        bad(f"{type_name(value)} where a table is expected", 'for example { python = ["3.11", "3.12"] }')
    mistakes: list[Mistake] = []
    axes: dict[str, tuple[AxisValue, ...]] = {}
    for key, one in value.items():
        if key in (_EXCLUDE, _INCLUDE):
            continue
        if key not in _BY_NAME:
            mistakes.append(unknown_key(key, (*_BY_NAME, _EXCLUDE, _INCLUDE)))
            continue
        try:
            axes[key] = _read_axis(_BY_NAME[key], one)
        except BadValue as error:
            mistakes += within((key,), error)
            axes[key] = ()
    exclude = _read_rules(value.get(_EXCLUDE, []), _EXCLUDE, mistakes)
    include = _read_rules(value.get(_INCLUDE, []), _INCLUDE, mistakes)
    mistakes += _check_exclude(exclude, axes)
    mistakes += _check_include(include, axes)
    if not axes and not include and not mistakes:
        bad("the matrix has no axis", 'for example python = ["3.11", "3.12"]')
    if mistakes:
        raise BadValue(*mistakes)
    return Matrix(
        axes=axes,
        exclude=tuple({name: one.text for name, one in rule.items()} for rule in exclude),
        include=tuple(Point(values=_in_order(rule, axes)) for rule in include),
    )


def _read_axis(field: Field[object], value: object) -> tuple[AxisValue, ...]:
    if not isinstance(value, list):
        bad(
            f"{type_name(value)} where a list of values is expected",
            f"an axis is a list: {field.name} = [...]",
        )
    if not value:
        bad("the axis has no value", "name at least one, or leave the axis out")
    items: list[AxisValue] = []
    mistakes: list[Mistake] = []
    seen: dict[str, int] = {}
    for index, one in enumerate(value):
        try:
            item = _read_axis_value(field, one)
        except BadValue as error:
            mistakes += within((index,), error)
            continue
        first = seen.setdefault(item.text, index)
        if first != index:
            mistakes.append(Mistake(what=f"the same value as number {first + 1} of the list", path=(index,)))
        items.append(item)
    if mistakes:
        raise BadValue(*mistakes)
    return tuple(items)


def _read_axis_value(field: Field[object], value: object) -> AxisValue:
    wrapped = [value] if field.name in _LISTS and isinstance(value, str) else value
    if field.name == PREFER.name and not isinstance(value, str):
        bad(f"{type_name(value)} where a string is expected")
    typed = field.kind.read(wrapped)
    text = describe(typed)
    return AxisValue(value=typed, text=text, short=_abbreviate(field.name, typed, text))


def describe(value: object) -> str:
    """A typed value as text; equal for values that mean the same."""
    match value:
        case CudaWish():
            return CPU if value.version is None else str(value.version)
        case Enum():
            return str(value.value)
        case tuple():
            return ", ".join(describe(one) for one in value)
        case Preferences():
            return describe(value.overall)
        case _:
            return str(value)


def _read_rules(value: object, key: str, mistakes: list[Mistake]) -> tuple[dict[str, AxisValue], ...]:
    if not isinstance(value, list):
        what = f"{type_name(value)} where a list of tables is expected"
        mistakes.append(Mistake(what=what, remedy='for example [{ python = "3.12" }]', path=(key,)))
        return ()
    return tuple(_read_rule(one, (key, index), mistakes) for index, one in enumerate(value))


def _read_rule(value: object, path: tuple[str | int, ...], mistakes: list[Mistake]) -> dict[str, AxisValue]:
    if not isinstance(value, Mapping) or not value:
        mistakes.append(Mistake(what="no table of axis values", remedy='{ python = "3.12" }', path=path))
        return {}
    rule: dict[str, AxisValue] = {}
    for name, one in value.items():
        if name not in _BY_NAME:
            unknown = unknown_key(name, _BY_NAME)
            mistakes.append(Mistake(what=unknown.what, remedy=unknown.remedy, path=(*path, name)))
            continue
        try:
            rule[name] = _read_axis_value(_BY_NAME[name], one)
        except BadValue as error:
            mistakes += within((*path, name), error)
    return rule


def _check_exclude(
    rules: tuple[dict[str, AxisValue], ...], axes: Mapping[str, tuple[AxisValue, ...]]
) -> Iterator[Mistake]:
    for index, rule in enumerate(rules):
        for name, one in rule.items():
            path = (_EXCLUDE, index, name)
            if name not in axes:
                yield Mistake(what=f"'{name}' is no axis of this matrix", remedy=_known(axes), path=path)
            elif axes[name] and one.text not in [item.text for item in axes[name]]:
                values = ", ".join(f'"{item.text}"' for item in axes[name][:8])
                what = f"{show(one.text)} is no value of the axis, so nothing would be left out"
                yield Mistake(what=what, remedy=f"its values: {values}", path=path)


def _check_include(
    rules: tuple[dict[str, AxisValue], ...], axes: Mapping[str, tuple[AxisValue, ...]]
) -> Iterator[Mistake]:
    for index, rule in enumerate(rules):
        missing = [name for name in axes if name not in rule]
        if rule and missing:
            yield Mistake(
                what=f"an included point gives every axis; missing: {', '.join(missing)}",
                remedy=_known(axes),
                path=(_INCLUDE, index),
            )


def _known(axes: Mapping[str, object]) -> str:
    return f"the axes: {', '.join(axes)}" if axes else "the matrix has no axis"


def _in_order(rule: Mapping[str, AxisValue], axes: Mapping[str, object]) -> dict[str, AxisValue]:
    names = (*(name for name in axes if name in rule), *(name for name in rule if name not in axes))
    return {name: rule[name] for name in names}


def point_name(image: str, point: Point) -> str:
    """The name of a point: `train-py312-cu128`. Safe as a file name and an image tag."""
    name = "-".join((image, *(one.short for one in point.values.values() if one.short)))
    if len(name) <= IMAGE_NAME_MAX:
        return name
    # Still unique, and the same on every machine.
    import hashlib  # OpenSSL loads with it

    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: IMAGE_NAME_MAX - 9].rstrip('-._')}-{mark}"


def _abbreviate(axis: str, value: object, text: str) -> str:
    if axis == CUDA.name and text == CPU:
        return "cpu"
    if axis == FRAMEWORK.name and isinstance(value, tuple):
        return "-".join(_abbreviate_framework(wish) for wish in value if isinstance(wish, FrameworkWish))
    if axis in _PREFIXES:
        return _PREFIXES[axis] + _abbreviate_version(text)
    if axis == PLATFORMS.name:
        return "-".join(_plain(platform.rpartition("/")[2]) for platform in text.split(", "))
    return _plain(text)


def _abbreviate_framework(wish: FrameworkWish) -> str:
    version = "" if wish.version is None else _abbreviate_version(str(wish.version))
    return _plain(wish.name) + version


def _abbreviate_version(text: str) -> str:
    spelled = _OPERATOR.sub(lambda match: _OPERATORS[match[0]], text.removesuffix(".*"))
    return re.sub(r"[^a-z0-9]+", "", spelled.lower())


def _plain(text: str) -> str:
    """Text as part of a name: `RTX 4090` is `rtx4090`, `ubuntu22.04` is `ubuntu2204`."""
    words = re.sub(r"[.\s]+", "", text.lower().replace(", ", "-"))
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")


def _matrix_schema() -> Schema:
    values = {field.name: _axis_value_schema(field) for field in AXIS_FIELDS}
    described = {field.name: {**values[field.name], "description": field.doc} for field in AXIS_FIELDS}
    rule = {"type": "object", "properties": described, "additionalProperties": False, "minProperties": 1}
    axes: dict[str, object] = {
        field.name: {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": values[field.name],
            "description": f"Axis: {field.doc}",
        }
        for field in AXIS_FIELDS
    }
    rules = {
        _EXCLUDE: {"type": "array", "items": rule, "description": "Points to leave out."},
        _INCLUDE: {"type": "array", "items": rule, "description": "Points to add."},
    }
    return {
        "type": "object",
        "properties": {**axes, **rules},
        "additionalProperties": False,
        "minProperties": 1,
    }


def _axis_value_schema(field: Field[object]) -> Schema:
    if field.name in _LISTS:
        return {"anyOf": [field.kind.schema["items"], field.kind.schema]}
    if field.name == PREFER.name:
        return PREFERENCE.schema
    return field.kind.schema


MATRIX: Field[Matrix] = Field(
    name="matrix",
    kind=Kind(read=_read_matrix, schema=_matrix_schema()),
    doc="Axes that replace keys of the image; each combination is one image.",
)
