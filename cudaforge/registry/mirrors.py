"""Registries that stand in for others: the `[registries]` table."""

from __future__ import annotations

from collections.abc import Mapping

from cudaforge.errors import InputError, Problem
from cudaforge.records import replace
from cudaforge.references import InvalidReference, Reference, canonical_registry, parse_reference


def mirrored(reference: str, mirrors: Mapping[str, str]) -> str:
    """Where an image is pulled from: the reference, moved to the mirror of its registry if it has one.

    `{"docker.io": "localhost:5000/hub"}` takes `python:3.12` to `localhost:5000/hub/library/python:3.12`.
    The longest key that fits wins: keys may have a path (`docker.io/nvidia`). Raises InputError.
    """
    parsed = parse_or_refuse(reference)
    moved = move(parsed, mirrors)
    return reference if moved is parsed else str(moved)


def move(reference: Reference, mirrors: Mapping[str, str]) -> Reference:
    """The same image at the mirror of its registry; the reference itself without one."""
    found, repository = "", reference.repository
    for key in mirrors:
        host, _, path = key.partition("/")
        if canonical_registry(host) != reference.registry or len(key) < len(found):
            continue
        if not path or reference.repository == path or reference.repository.startswith(f"{path}/"):
            found = key
            repository = reference.repository[len(path) :].lstrip("/")
    if not found:
        return reference
    host, _, path = mirrors[found].partition("/")
    whole = "/".join(part for part in (path, repository) if part)
    # Written and read once more, so that a mirror value of another source meets the same grammar.
    moved = replace(reference, registry=canonical_registry(host), repository=whole)
    return parse_or_refuse(str(moved))


def parse_or_refuse(reference: str) -> Reference:
    """The parsed reference. Raises InputError with the rule that it breaks."""
    try:
        return parse_reference(reference)
    except InvalidReference as error:
        shown = reference[:80].encode("ascii", "backslashreplace").decode()
        raise InputError(
            Problem(
                what=f"'{shown}' is no image reference: {error}",
                remedy='for example "python:3.12-slim-bookworm"',
            )
        ) from None
