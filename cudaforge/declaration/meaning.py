"""What a declaration means, as a digest: comments, formatting and order of tables do not change it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import Enum

from cudaforge.declaration.model import ImageDeclaration
from cudaforge.records import is_record, values_of

_LATER = frozenset(("from_source", "os_snapshot"))
"""Fields that came after the first locks: where they say nothing, those locks stay current."""
_AMONG_THE_REST = frozenset(("packages", "constraints", "from_source", "wheels"))
"""What wishes have of an image's contents."""


def declaration_digest(
    *,
    project: str,
    registry: str | None,
    images: Iterable[ImageDeclaration],
    overlays: Iterable[str] = (),
) -> str:
    """SHA-256 over what a lock is made from. `overlays` are digests of the overlay files."""
    shared: dict[int, object] = {}
    meaning = {
        "project": project,
        "registry": registry,
        "images": sorted((_image(image, shared) for image in images), key=lambda one: str(one["name"])),
        "overlays": list(overlays),
    }
    text = json.dumps(meaning, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    import hashlib  # OpenSSL loads with it

    return hashlib.sha256(text.encode()).hexdigest()


def _image(image: ImageDeclaration, shared: dict[int, object]) -> dict[str, object]:
    """The points of a matrix share all but their wishes; only the first spells it out."""
    rest = (image.contents, image.verify, image.on_conflict)
    is_first = id(image.contents) not in shared
    shared[id(image.contents)] = image.contents
    return {
        "name": image.name,
        "image": image.image,
        "axes": image.axes,
        "wishes": _wishes(image) if is_first or not image.axes else None,
        "rest": _plain(rest) if is_first else None,
    }


def _wishes(image: ImageDeclaration) -> dict[str, object]:
    """The wishes without what is among the rest."""
    values = values_of(image.wishes).items()
    return {name: _plain(value) for name, value in values if name not in _AMONG_THE_REST}


def _plain(value: object) -> object:
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case frozenset():
            return sorted(str(one) for one in value)
        case tuple():
            return [_plain(one) for one in value]
        case _ if is_record(value):
            values = values_of(value).items()
            return {name: _plain(one) for name, one in values if one or name not in _LATER}
        case _:
            return str(value)
