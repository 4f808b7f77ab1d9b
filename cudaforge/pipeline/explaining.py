"""From the text of an error to its causes: what the patterns find, and what the facts decide."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from cudaforge.diagnosis import Cause, Diagnosis, diagnose, diagnose_stream
from cudaforge.diagnosis.decide import decided, ranked, telling
from cudaforge.diagnosis.scan import PART

if TYPE_CHECKING:
    from cudaforge.matrix import Matrix


def explain_text(text: str, file: Path) -> tuple[Cause, ...]:
    """The causes that a text tells, the likeliest first; none where it is not known. The facts are those that
    count for the declaration `file`."""
    return _explained(diagnose(text), file)


def explain_log(stream: BinaryIO, file: Path) -> tuple[Cause, ...]:
    """The same for a log of any length."""
    return _explained(diagnose_stream(_parts(stream)), file)


def _parts(stream: BinaryIO) -> Iterator[bytes]:
    while part := stream.read(PART):
        yield part


def _explained(found: Diagnosis, file: Path) -> tuple[Cause, ...]:
    matches = telling(found)
    if all(match.pattern.rule is None for match in matches):
        return ranked(cause for match in matches for cause in decided(match, found))
    from cudaforge.explainer import explain  # it loads the matrix, and the resolver's rules

    @lru_cache(maxsize=1)
    def matrix() -> Matrix:
        from cudaforge.pipeline.facts import find_matrix

        return find_matrix(file)

    return explain(found, matrix, today=datetime.now(tz=timezone.utc).date().isoformat())
