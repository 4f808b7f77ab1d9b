"""A user's own facts: a file of the matrix's schema, laid on the facts that cudaforge comes with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cudaforge.errors import InputError, Location, Problem
from cudaforge.matrix.expand import OVERRIDES, Expanded, expand_overlay
from cudaforge.matrix.findings import Finding
from cudaforge.matrix.reader import Raw
from cudaforge.matrix.rows import label
from cudaforge.records import record

_REMEDY = (
    "an overlay has [sources], then rows that name one, as the files in matrices/ do; "
    "of a known row it needs only the key, the source and what changes (docs/matrices.md)"
)


@record()
class Overlay:
    """One overlay file, read: what its rows mean depends on the rows that they are laid on."""

    name: str
    """The file as messages about mistakes name it."""
    content: bytes
    expanded: Expanded

    @property
    def file(self) -> str:
        """The file as its facts name it."""
        return self.expanded.file

    @property
    def rows(self) -> Mapping[str, tuple[Raw, ...]]:
        """What it says, by subject."""
        return self.expanded.rows

    @property
    def sources(self) -> Mapping[str, Raw]:
        """Where it has that from."""
        return self.expanded.sources


def read_overlays(paths: Sequence[Path], *, root: Path | None = None) -> tuple[Overlay, ...]:
    """Overlay files, in their order, whose facts name them by their path below `root`.

    Raises InputError with what is wrong in each of them on its own.
    """
    overlays: list[Overlay] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            overlays.append(read_overlay(path, file=_short_name(path, root)))
        except InputError as error:  # noqa: PERF203 -- the mistakes of all files are told at once
            problems += error.problems
    if problems:
        raise InputError(problems)
    return tuple(overlays)


def read_overlay(path: Path, *, file: str | None = None) -> Overlay:
    """The rows of an overlay file, which its facts will call `file`.

    Raises InputError naming file and row for whatever is wrong in it on its own.
    """
    from cudaforge.declaration.source import read_source

    source = read_source(path)
    expanded = expand_overlay(file if file is not None else path.name, source.tree)
    findings = (*expanded.findings, *_mistakes(expanded))
    if findings:
        raise mistakes_of_overlays((source.name, finding) for finding in findings)
    return Overlay(name=source.name, content=source.text.encode(), expanded=expanded)


def mistakes_of_overlays(found: Iterable[tuple[str, Finding]]) -> InputError:
    """The error for mistakes in overlays, each with the file as messages name it."""
    return InputError(
        Problem(
            what=f"{finding.row}: {finding.what}" if finding.row else finding.what,
            where=Location(file=name, key=finding.row or None),
            remedy=_REMEDY,
        )
        for name, finding in found
    )


def _mistakes(expanded: Expanded) -> Iterable[Finding]:
    for subject, rows in expanded.rows.items():
        for row in rows:
            name, source = label(subject, row), row.get("source")
            if source is None:
                yield Finding(file=expanded.file, row=name, what="source is missing")
            elif source not in expanded.sources:
                what = f"source {str(source)!r} is not among the file's [sources]"
                yield Finding(file=expanded.file, row=name, what=what)
            why = row.get(OVERRIDES, "-")
            if not isinstance(why, str) or not why.strip():
                yield Finding(file=expanded.file, row=name, what=f"{OVERRIDES} must be a text that says why")


def _short_name(path: Path, root: Path | None) -> str:
    is_below = root is not None and path.is_relative_to(root)
    return path.relative_to(root).as_posix() if root is not None and is_below else path.name
