"""Texts with fields in braces, `{framework}-{version}`, as options of the command line take them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches

from cudaforge.display import escaped

_FIELD = re.compile(r"\{([^{}]*)\}")


def find_fields(template: str) -> tuple[str, ...]:
    """The names of the fields, in their order."""
    return tuple(_FIELD.findall(template))


def fill_fields(template: str, value_of: Callable[[str], str]) -> str:
    """The template with each field replaced by its value."""
    return _FIELD.sub(lambda match: value_of(match[1]), template)


def check_fields(template: str, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with the braces of a template ("no field {x}"), each with what to do about it."""
    listed = ", ".join(f"{{{name}}}" for name in known)
    for name in find_fields(template):
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.6)
            meant = f"did you mean {{{near[0]}}}? " if near else ""
            yield f"no field {{{escaped(name)}}}", f"{meant}known: {listed}"
    bare = _FIELD.sub("", template)
    if "{" in bare or "}" in bare:
        yield "a brace without its other half", f"fields are written so: {listed}"
