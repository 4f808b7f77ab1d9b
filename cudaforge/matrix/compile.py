"""The matrix in the form that is fast to read: one line of JSON per subject, made of the TOML files.

Uses the standard library alone (and tomli below Python 3.11): the build hook runs it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cudaforge.matrix.expand import Expanded, expand_document
from cudaforge.matrix.findings import FactsError, Finding
from cudaforge.matrix.proof import find_row_mistakes
from cudaforge.matrix.reader import Raw
from cudaforge.matrix.rows import section_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT = 2


def matrix_files(directory: Path) -> tuple[Path, ...]:
    """The TOML files of a matrix directory, in the order in which they count."""
    return (*sorted(directory.glob("*.toml")), *sorted((directory / "frameworks").glob("*.toml")))


def expand_directory(directory: Path) -> Iterator[Expanded]:
    """Every file of the directory, read and made into complete rows."""
    for path in matrix_files(directory):
        name = path.relative_to(directory).as_posix()
        yield expand_document(name, _parsed(name, path.read_bytes()))


def compile_matrix(directory: Path) -> bytes:
    """The compiled form of the TOML files below `directory`: a head line, then one line per section, whose
    place behind the head (first byte, bytes) the head says.

    Raises FactsError when a file or a row cannot be read.
    """
    sections: dict[str, _Section] = {}
    findings: list[Finding] = []
    for expanded in expand_directory(directory):
        findings += expanded.findings
        findings += find_row_mistakes(expanded.rows, expanded.sources, file=expanded.file)
        for subject, rows in expanded.rows.items():
            for row in rows:
                name = section_name(subject, row)
                sections.setdefault(name, _Section()).add(row, expanded)
    if findings:
        raise FactsError(findings)
    lines = [sections[name].dump() for name in sorted(sections)]
    head = {
        "format": FORMAT,
        "revision": hashlib.sha256(b"\n".join(lines)).hexdigest(),
        "as_of": max((section.as_of for section in sections.values()), default="1970-01-01"),
        "sections": dict(zip(sorted(sections), _places(lines), strict=True)),
    }
    return b"\n".join([_json(head), *lines, b""])


def _places(lines: Iterable[bytes]) -> Iterator[tuple[int, int]]:
    start = 0
    for line in lines:
        yield start, len(line)
        start += len(line) + 1


def _parsed(name: str, content: bytes) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        raise FactsError([Finding(file=name, row="", what=str(error))]) from error


class _Section:
    """Rows of one part, with the sources that they name (of several files: renamed where they clash)."""

    def __init__(self) -> None:
        self._rows: list[Raw] = []
        self._sources: dict[str, Raw] = {}

    def add(self, row: Raw, expanded: Expanded) -> None:
        """Takes a row in."""
        name = str(row.get("source"))
        raw = expanded.sources.get(name)
        if raw is not None and self._sources.setdefault(name, raw) is not raw:
            name = f"{expanded.file}:{name}"
            self._sources[name] = raw
        self._rows.append({**row, "source": name})

    @property
    def as_of(self) -> str:
        """When the newest of its sources was looked at."""
        return max((str(source["checked"]) for source in self._sources.values()), default="")

    def dump(self) -> bytes:
        """The part as one line."""
        return _json({"sources": self._sources, "rows": self._rows})


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
