"""A user's own facts: a file of the matrix's schema, laid on the facts that cudaforge comes with."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cudaforge.errors import InputError, Location, Problem
from cudaforge.matrix.expand import expand_document
from cudaforge.matrix.findings import Finding
from cudaforge.matrix.rows import Raw, find_row_mistakes

MAX_SIZE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """One overlay file, read and proven to hold rows."""

    content: bytes
    rows: Mapping[str, tuple[Raw, ...]]
    sources: Mapping[str, Raw]


def read_overlay(path: Path) -> Overlay:
    """The rows of an overlay file. Raises InputError naming file and row for whatever is wrong in it."""
    content = _read(path)
    expanded = expand_document(path.name, _parse(path, content))
    findings = [
        *expanded.findings,
        *find_row_mistakes(expanded.rows, expanded.sources, file=expanded.file),
    ]
    if findings:
        raise _unusable(path, findings)
    return Overlay(content=content, rows=expanded.rows, sources=expanded.sources)


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _unusable(path, [Finding(file=path.name, row="", what="it is not a file")])
        if status.st_size > MAX_SIZE:
            raise _unusable(path, [Finding(file=path.name, row="", what="it is larger than 1 MiB")])
        return path.read_bytes()
    except OSError as error:
        what = f"it cannot be read ({error.strerror or error})"
        raise _unusable(path, [Finding(file=path.name, row="", what=what)]) from error


def _parse(path: Path, content: bytes) -> dict[str, object]:
    from cudaforge.matrix.toml import parse_toml

    try:
        return parse_toml(content)
    except ValueError as error:
        raise _unusable(path, [Finding(file=path.name, row="", what=str(error))]) from error


def _unusable(path: Path, findings: Iterable[Finding]) -> InputError:
    return InputError(
        Problem(
            what=f"the overlay cannot be used: {finding.row}: {finding.what}"
            if finding.row
            else f"the overlay cannot be used: {finding.what}",
            where=Location(file=str(path), key=finding.row or None),
            remedy="an overlay has the schema of the files in matrices/: [sources] first, then rows",
        )
        for finding in findings
    )
