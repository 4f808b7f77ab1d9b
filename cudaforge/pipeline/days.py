"""Days that facts and packages are taken from: `lock --as-of`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timezone

from cudaforge.declaration.model import Declaration, ImageDeclaration
from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem
from cudaforge.matrix import load_matrix
from cudaforge.matrix.days import was_there

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SHOWN = 3
OTHER_DAY = "name a later day; cudaforge lock --as-of none takes what there is today"


def check_day(text: str) -> str:
    """A day as YYYY-MM-DD. Raises InputError for anything else, and for a day that is still to come."""
    where = Location(file="command line", key="--as-of")
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise InputError(
            Problem(what=f"{show(text)} is no day", where=where, remedy="write it as in --as-of 2026-06-01")
        )
    today = datetime.now(tz=timezone.utc).date()
    if day > today:
        raise InputError(
            Problem(
                what=f"{text} is still to come: nobody knows what there will be",
                where=where,
                remedy=f"name a day up to {today.isoformat()}",
            )
        )
    return text


def later_releases(declaration: Declaration, images: Sequence[ImageDeclaration]) -> tuple[str, ...]:
    """In words, what of the frameworks of these images was not there yet on the declaration's day, or may not
    have been; nothing where it has no day."""
    day = declaration.as_of
    if day is None:
        return ()
    matrix = load_matrix(overlays=declaration.overlays, root=declaration.root)
    names = dict.fromkeys(
        row.name
        for image in images
        for framework in image.wishes.frameworks
        if (row := matrix.find_framework(framework.name)) is not None
    )
    found = []
    for name in names:
        builds = matrix.builds(name)
        later = {str(one.version): one.released for one in builds if not was_there(one.released, day)}
        told = [f"{version} ({released or 'of no known day'})" for version, released in later.items()]
        more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        if told:
            found.append(f"as of {day}, {name} has no {', '.join(told[:_SHOWN])}{more}")
    return tuple(found)
