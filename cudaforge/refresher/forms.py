"""Values, rows and blocks as matrix files write them: one row to a line, words in one text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_GROUPED_FROM = 10_000


def form_value(value: object) -> str:
    """A value in TOML on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value:_}" if value >= _GROUPED_FROM else str(value)
        case str():
            # A JSON text is a TOML text, but for DEL.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            return form_entry(value)
        case list() | tuple():
            return f"[{', '.join(form_value(one) for one in value)}]"
        case _:
            raise TypeError(type(value).__name__)


def form_key(name: str) -> str:
    """A key, in quotes where it must be."""
    return name if _BARE.fullmatch(name) else form_value(name)


def form_entry(row: Mapping[str, object]) -> str:
    """A row on one line: `{ version = "0.17.0", needs = "==2.15.0" }`."""
    pairs = [f"{form_key(key)} = {form_value(value)}" for key, value in row.items()]
    return f"{{ {', '.join(pairs)} }}" if pairs else "{}"


def form_block(
    table: str, shared: Mapping[str, object], nested: str, entries: Sequence[Mapping[str, object]]
) -> list[str]:
    """The lines of a block: its header, what its rows share, and its rows. Without a name for the nested
    rows the one row is the block itself."""
    lines = [f"[[{table}]]"]
    settings = shared if nested else {**shared, **entries[0]}
    lines += [f"{form_key(key)} = {form_value(value)}" for key, value in settings.items()]
    if nested:
        lines += [f"{nested} = [", *(f"    {form_entry(entry)}," for entry in entries), "]"]
    return lines


def form_source(name: str, *, strength: str, checked: str, text: str) -> str:
    """The line of a source below `[sources]`."""
    return f"{form_key(name)} = {form_entry({'strength': strength, 'checked': checked, 'text': text})}"
