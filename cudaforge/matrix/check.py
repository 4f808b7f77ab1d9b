"""Proving that the matrix files agree with themselves and with each other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

from cudaforge.diagnosis.check import check_patterns
from cudaforge.matrix.compile import expand_directory
from cudaforge.matrix.expand import Expanded
from cudaforge.matrix.findings import FactsError, Finding
from cudaforge.matrix.joins import JOINS, find_broken_joins
from cudaforge.matrix.load import matrix_from_directory
from cudaforge.matrix.proof import find_row_mistakes, identity_of, words_of
from cudaforge.matrix.reader import Raw
from cudaforge.matrix.rows import KEYS, label
from cudaforge.records import replace
from cudaforge.versions import InvalidVersion, Version

_SORTED = {
    "builds": ("version", ()),
    "cuda": ("version", ()),
    "cudnn": ("version", ()),
    "drivers": ("branch", ()),
    "pythons": ("version", ()),
    "standalone_pythons": ("version", ()),
    "wheel_tags": ("glibc", ()),
    "companions": ("version", ("framework", "package")),
}
"""Subject to the field that its rows are sorted by, and those within whose values they are."""


def check_matrix(directory: Path, *, templates: Path | None = None) -> tuple[Finding, ...]:
    """Every mistake in the TOML files of a matrix directory: unreadable rows, sources that are named
    and not there or there and not named, duplicates, wrong order, references that lead nowhere.

    With `templates`, install partials that frameworks name must be there, too.
    """
    try:
        files = tuple(expand_directory(directory))
    except FactsError as error:
        return error.findings
    findings: list[Finding] = []
    for file in files:
        findings += file.findings
        findings += find_row_mistakes(file.rows, file.sources, file=file.file)
    findings += (replace(one, rule=rule) for rule, find in _RULES.items() for one in find(files))
    if templates is not None:
        findings += (replace(one, rule=TEMPLATE_RULE) for one in _missing_templates(files, templates))
    findings += _pattern_mistakes(directory)
    return tuple(findings) or find_broken_joins(matrix_from_directory(directory))


def _rows(files: Iterable[Expanded], subject: str) -> Iterator[tuple[str, Raw]]:
    for file in files:
        for row in file.rows.get(subject, ()):
            yield file.file, row


def _named(files: Iterable[Expanded], subject: str) -> frozenset[str]:
    return frozenset(str(row.get(KEYS[subject][0])) for _, row in _rows(files, subject))


def unused_sources(files: Sequence[Expanded]) -> Iterator[Finding]:
    """Sources that no row names."""
    for file in files:
        used = {row.get("source") for rows in file.rows.values() for row in rows}
        for name in file.sources:
            if name not in used:
                yield Finding(file=file.file, row=f"sources.{name}", what="no row names it")


def future_sources(files: Sequence[Expanded]) -> Iterator[Finding]:
    """Sources that are said to have been looked at later than today, wherever on Earth."""
    last = (datetime.now(tz=timezone.utc) + timedelta(days=1)).date().isoformat()
    for file in files:
        for name, source in file.sources.items():
            if str(source["checked"]) > last:
                what = f"checked is {source['checked']}: that day has not come"
                yield Finding(file=file.file, row=f"sources.{name}", what=what)


def _unused_shapes(files: Sequence[Expanded]) -> Iterator[Finding]:
    for file in files:
        for name in file.unused_shapes:
            yield Finding(file=file.file, row=f"shapes.{name}", what="no row is like it")


def _disorder(files: Sequence[Expanded]) -> Iterator[Finding]:
    for file in files:
        for subject, (key, within) in _SORTED.items():
            for before, after in pairwise(file.rows.get(subject, ())):
                if any(before.get(one) != after.get(one) for one in within):
                    continue
                if _order(after.get(key)) < _order(before.get(key)):
                    what = f"stands after {before.get(key)}: rows are sorted by {key}"
                    yield Finding(file=file.file, row=label(subject, after), what=what)


def _order(value: object) -> Version:
    try:
        return Version(str(value))
    except InvalidVersion:  # reported as a row that cannot be read
        return Version("0")


def _duplicates(files: Sequence[Expanded]) -> Iterator[Finding]:
    """One thing twice: within a file, expanding has said so already; builds overlap by platform."""
    for subject in KEYS:
        seen: dict[tuple[Hashable, ...], tuple[str, str]] = {}
        for file, row in _rows(files, subject):
            here = (file, label(subject, row))
            first = seen.setdefault(identity_of(subject, row), here)
            if first[0] != file:
                yield Finding(file=file, row=here[1], what=f"stands in {first[0]} as well")
            elif first[1] != here[1]:
                yield Finding(file=file, row=here[1], what=f"is {first[1]} once more")
    yield from _overlaps(files)


def _overlaps(files: Sequence[Expanded]) -> Iterator[Finding]:
    seen: set[tuple[object, ...]] = set()
    for file, row in _rows(files, "builds"):
        for platform in words_of(row.get("platforms")):
            identity = (*identity_of("builds", row)[:-1], platform)
            if identity in seen:
                yield Finding(file=file, row=label("builds", row), what=f"is there twice for {platform}")
            seen.add(identity)


def _framework_references(files: Sequence[Expanded]) -> Iterator[Finding]:
    """Rows of a framework that is not there are in no table of the matrix that the joins look at."""
    known = _named(files, "frameworks")
    for subject in ("builds", "companions"):
        for file, row in _rows(files, subject):
            name = row.get("framework")
            if name not in known:
                what = f"framework = {name!r}: no such framework"
                yield Finding(file=file, row=label(subject, row), what=what)


def _missing_templates(files: Sequence[Expanded], templates: Path) -> Iterator[Finding]:
    for file, row in _rows(files, "frameworks"):
        name = row.get("template") or row.get("name")
        path = templates / "frameworks" / f"{name}.j2"
        if not path.is_file() and row.get("facts_only") is not True:
            what = f"template = {name!r}: there is no frameworks/{path.name}"
            yield Finding(file=file, row=label("frameworks", row), what=what)


def _pattern_mistakes(directory: Path) -> Iterator[Finding]:
    for one in check_patterns(directory):
        yield Finding(file=one.file, row=one.row, what=one.what, rule=PATTERN_RULE)


_RULES: Mapping[str, Callable[[Sequence[Expanded]], Iterator[Finding]]] = {
    "unused-source": unused_sources,
    "future-source": future_sources,
    "unused-shape": _unused_shapes,
    "order": _disorder,
    "duplicate": _duplicates,
    "unknown-framework": _framework_references,
}
TEMPLATE_RULE = "install-template"
PATTERN_RULE = "error-pattern"
RULES = ("row", *dict.fromkeys((*_RULES, TEMPLATE_RULE, PATTERN_RULE, *JOINS)))
"""The names of all rules; `row` is what a row or a file must be on its own."""
