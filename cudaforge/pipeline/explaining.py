"""From the text of an error to its causes: what the patterns find, and what the facts decide."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from cudaforge.diagnosis import Cause, Diagnosis, diagnose, diagnose_stream
from cudaforge.diagnosis.scan import PART
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
    if not found.matches:
        return ()
    from cudaforge.explainer import explain

    @lru_cache(maxsize=1)
    def matrix() -> Matrix:
        from cudaforge.pipeline.facts import find_matrix

        return find_matrix(file)

    return explain(found, matrix, today=datetime.now(tz=timezone.utc).date().isoformat())
