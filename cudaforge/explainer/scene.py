"""What a rule is given, and what it gives back."""

from __future__ import annotations

from cudaforge.codes import Code
from cudaforge.diagnosis.model import Cause, Facts, Match
from cudaforge.matrix import Matrix
from cudaforge.records import record
from cudaforge.versions import Version, find_version


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


def newest(texts: tuple[str, ...]) -> Version | None:
    """The newest of the versions."""
    return max((found for text in texts if (found := find_version(text)) is not None), default=None)
