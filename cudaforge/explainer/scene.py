"""What a rule is given, and what it gives back."""

from __future__ import annotations

from contextlib import suppress

from cudaforge.codes import Code
from cudaforge.diagnosis.model import Cause, Facts, Match
from cudaforge.matrix import Matrix
from cudaforge.records import record
from cudaforge.versions import InvalidVersion, Version


@record()
class Scene:
    """A message, what else its text says, what words alone make of it, and the facts."""

    matrix: Matrix
    match: Match
    facts: Facts
    causes: tuple[Cause, ...]
    today: str
    """ISO date, which ends of life are compared with."""


@record()
class Ruling:
    """A cause that facts decide for."""

    code: Code
    text: str
    remedy: str | None = None
    """None where the pattern's own will do."""
    source: str = ""


def version_of(text: str) -> Version | None:
    """The version, or None for a text that is none."""
    with suppress(InvalidVersion):
        return Version(text)
    return None


def newest(texts: tuple[str, ...]) -> Version | None:
    """The newest of the versions."""
    return max((found for text in texts if (found := version_of(text)) is not None), default=None)
