"""Finding the line of a wish. Called only when there is something to complain about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cudaforge.declaration.layers import DEFAULTS, IMAGES, Layers
from cudaforge.declaration.model import Declaration
from cudaforge.declaration.positions import KeyPath
from cudaforge.declaration.words import COMMAND_LINE, IMAGE_NAME
from cudaforge.display import show_path
from cudaforge.errors import InputError, Location

_PART = re.compile(r'\.?(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^.\[\]"]+)|\[(?P<index>[0-9]+)\])')

_INDEX = re.compile(r"\[[0-9]+\]$")
_WORDS_OF_LISTS = {"gpus": "gpu", "platforms": "platform", "packages": "package"}


def locate(declaration_or_path: Declaration | Path, key: str) -> Location:
    """Where a dotted key stands: its line, or that of the axis or default that says it instead.

    Never fails: a file that is gone gives a location without a line.
    """
    path = declaration_or_path if isinstance(declaration_or_path, Path) else declaration_or_path.path
    if str(path) == COMMAND_LINE:
        return Location(file=COMMAND_LINE, key=_as_word(key))
    try:
        layers = Layers(path)
    except InputError:
        return Location(file=show_path(path), key=key)
    wanted = parse_key(key)
    for candidate in _candidates(wanted):
        for layer in layers.layers:
            if layer.has(*candidate):
                return layer.location(*candidate)
    return layers.location(*wanted)


def _as_word(key: str) -> str:
    """The key of the image that words make, as a word calls it: `gpu`, not `images.adhoc.gpus[0]`."""
    name = _INDEX.sub("", key.rpartition(f"{IMAGE_NAME}.")[2])
    return _WORDS_OF_LISTS.get(name, name)


def parse_key(key: str) -> KeyPath:
    """The parts of a dotted key as messages write it: `images.train.gpus[2]`."""
    parts: list[str | int] = []
    for match in _PART.finditer(key):
        if match["index"] is not None:
            parts.append(int(match["index"]))
        else:
            parts.append(match["bare"] if match["quoted"] is None else match["quoted"])
    return tuple(parts)


def _candidates(wanted: KeyPath) -> Iterator[KeyPath]:
    yield wanted
    if len(wanted) > 2 and wanted[0] == IMAGES.name:  # noqa: PLR2004 -- images, its name, a key of it
        yield (*wanted[:2], "matrix", *wanted[2:])
        yield (DEFAULTS.name, *wanted[2:])
