"""A user's own facts: a file of the matrix's schema, laid on the facts that cudaforge comes with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cudaforge.errors import InputError, Location, Problem
from cudaforge.matrix.expand import expand_document
from cudaforge.matrix.findings import Finding
from cudaforge.matrix.reader import Raw
from cudaforge.matrix.rows import find_row_mistakes
from cudaforge.records import record


@record()
class Overlay:
    """One overlay file, read and proven to hold rows."""

    content: bytes
    rows: Mapping[str, tuple[Raw, ...]]
    sources: Mapping[str, Raw]


def read_overlay(path: Path) -> Overlay:
    """The rows of an overlay file. Raises InputError naming file and row for whatever is wrong in it."""
    from cudaforge.declaration.source import read_source

    source = read_source(path)
    expanded = expand_document(path.name, source.tree)
    findings = [
        *expanded.findings,
        *find_row_mistakes(expanded.rows, expanded.sources, file=expanded.file),
    ]
    if findings:
        raise InputError(_problem(source.name, finding) for finding in findings)
    return Overlay(content=source.text.encode(), rows=expanded.rows, sources=expanded.sources)


def _problem(file: str, finding: Finding) -> Problem:
    what = f"{finding.row}: {finding.what}" if finding.row else finding.what
    return Problem(
        what=what,
        where=Location(file=file, key=finding.row or None),
        remedy="an overlay has the schema of the files in matrices/: [sources], then rows that name one",
    )
