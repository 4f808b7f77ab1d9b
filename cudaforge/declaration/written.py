"""What a declaration says, key by key, so short that a lock can keep it, to tell what has changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from enum import Enum

from cudaforge.declaration.files import overlay_digest
from cudaforge.declaration.model import (
    Contents,
    Declaration,
    ImageDeclaration,
    OnConflict,
    VerifySettings,
    Wishes,
)
from cudaforge.records import is_record, values_of

Written = str | int | tuple[str, ...]
"""A value as it was written, or the digest of one that is long."""

DIGEST_MARK = "sha256 of it: "
PROJECT = ""
"""The name that stands for what is no image's: no image has an empty one."""
_LONGEST = 2000
"""Characters of a value; of a longer one its digest is kept."""
_DIGEST_DIGITS = 16
_NAMES = {
    "frameworks": "framework",
    "prefer_per_field": "prefer",
    "from_source": "build_from_source",
    "wheels": "packages (files)",
    "hashes": "requirements (hashes)",
    "constraints": "requirements (constraints)",
    "env_overrides": "env (meant nevertheless)",
}
"""Keys of the file for fields that are called otherwise."""
_AMONG_THE_REST = frozenset(("packages", "constraints", "from_source", "wheels", "is_cpu"))
_DEFAULTS: Mapping[str, object] = {
    **values_of(Contents(env={}, labels={})),
    **{f"verify.{name}": value for name, value in values_of(VerifySettings()).items()},
    **values_of(Wishes(frameworks=(), prefer_per_field={})),
}


def written_values(declaration: Declaration) -> Mapping[str, Mapping[str, Written]]:
    """What is declared, by image table and key: `{"train": {"cuda": "12.8"}}`; PROJECT has what is no
    image's. Of a key whose value the points of a matrix do not share, all values.

    What is not written, or is what would be without it, is left out. Raises InputError for an overlay that is
    not there any more.
    """
    found: dict[str, dict[str, Written]] = {PROJECT: _project(declaration)}
    tables: dict[str, list[ImageDeclaration]] = {}
    for image in declaration.images:
        tables.setdefault(image.image, []).append(image)
    for name, points in tables.items():
        found[name] = {key: _short(value) for key, value in _table(points)}
    return {name: values for name, values in found.items() if values}


def _project(declaration: Declaration) -> dict[str, Written]:
    root = declaration.root
    paths = [str(path.relative_to(root)) for path in declaration.overlays]
    overlays = tuple(f"{path} {overlay_digest(root, path)[:_DIGEST_DIGITS]}" for path in paths)
    values = (("project.registry", declaration.registry or ""), ("matrices.overlays", overlays))
    return {key: _short(value) for key, value in values if value}


def _table(points: list[ImageDeclaration]) -> Iterator[tuple[str, Written]]:
    together: dict[str, dict[Written, None]] = {}
    seen: set[int] = set()
    for point in points:
        pairs = list(_wishes(point))
        if id(point.contents) not in seen:  # which the points of a matrix share
            seen.add(id(point.contents))
            pairs += _rest(point)
        for key, value in pairs:
            together.setdefault(key, {})[value] = None
    for key, values in together.items():
        yield key, next(iter(values)) if len(values) == 1 else tuple(map(_text, values))


def _wishes(image: ImageDeclaration) -> Iterator[tuple[str, Written]]:
    if image.wishes.is_cpu:
        yield "cuda", "none"
    for name, value in values_of(image.wishes).items():
        if name not in _AMONG_THE_REST:
            yield from _pairs(name, value, default=_DEFAULTS[name])


def _rest(image: ImageDeclaration) -> Iterator[tuple[str, Written]]:
    for name, value in values_of(image.contents).items():
        if name != "requirements":
            yield from _pairs(name, value, default=_DEFAULTS[name])
    for name, value in values_of(image.verify).items():
        yield from _pairs(f"verify.{name}", value, default=_DEFAULTS[f"verify.{name}"])
    usual = OnConflict.SKIP if image.axes else OnConflict.ERROR
    yield from _pairs("on_conflict", image.on_conflict, default=usual)


def _pairs(name: str, value: object, *, default: object) -> Iterator[tuple[str, Written]]:
    if value is None or value == default:
        return
    key = _NAMES.get(name, name)
    if isinstance(value, Mapping) and name != "hashes":
        yield from ((f"{key}.{part}", _scalar(one)) for part, one in sorted(value.items()))
    elif isinstance(value, Mapping):
        yield key, tuple(f"{part} {' '.join(one)}" for part, one in sorted(value.items()))
    elif isinstance(value, (tuple, frozenset)):
        several = value if isinstance(value, tuple) else sorted(value)
        yield key, tuple(str(_scalar(one)) for one in several)
    else:
        yield key, _scalar(value)


def _scalar(value: object) -> str | int:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, (str, int)):
        return value
    if is_record(value) and "source" in values_of(value):
        return " -> ".join(map(str, values_of(value).values()))
    if is_record(value) and "sha256" in values_of(value):
        return f"{values_of(value)['path']} {str(values_of(value)['sha256'])[:_DIGEST_DIGITS]}"
    return str(value)


def _text(value: Written) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _short(value: Written) -> Written:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= _LONGEST:
        return value
    return DIGEST_MARK + hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_DIGITS]
