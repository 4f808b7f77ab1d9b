"""Comparing the facts with their sources: what `cudaforge data update` does."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem, SurroundingsError
from cudaforge.matrix import Matrix
from cudaforge.matrix.catalogue import find_subject, source_of, subjects
from cudaforge.matrix.subjects import Subject
from cudaforge.pipeline.asking import COMPARED, Difference, compare_framework, together
from cudaforge.pipeline.facts import find_matrix
from cudaforge.pipeline.outside import site_at
from cudaforge.pipeline.sources import Sources
from cudaforge.records import record

_MOST_TOLD = 3


@record()
class Refreshed:
    """What the sources said."""

    asked: tuple[str, ...]
    """The sources that answered, as `default: torch`."""
    unreachable: tuple[tuple[str, str], ...]
    """Those that did not, each with the reason."""
    difference: Difference


def refresh(words: Sequence[str], file: Path, *, offline: bool = False) -> Refreshed:
    """Ask the sources of these subjects (all that have any without a word) again, and compare.

    Raises InputError for a word that is no subject, or one whose facts come from no source that can be
    asked, and SurroundingsError where no source could be asked.
    """
    site = site_at(file, offline=offline)
    matrix = find_matrix(file)
    names = _subject_names(matrix, words)
    if site.offline:
        raise SurroundingsError(
            Problem(what="the sources of the facts cannot be asked offline", remedy="leave --offline out")
        )
    sources = Sources(site, {name: row.url for name, row in matrix.indexes.items()})
    found = together(_compare(matrix, name, sources) for name in names)
    if not sources.asked:
        raise SurroundingsError(
            Problem(
                what="no source of the facts could be asked",
                because=tuple(_by_reason(sources.reasons)),
            )
        )
    return Refreshed(asked=tuple(sources.asked), unreachable=tuple(sources.reasons.items()), difference=found)


def _by_reason(reasons: Mapping[str, str]) -> Iterator[str]:
    for reason in dict.fromkeys(reasons.values()):
        yield f"{', '.join(name for name, known in reasons.items() if known == reason)}: {reason}"


def _compare(matrix: Matrix, name: str, sources: Sources) -> Difference:
    if name in COMPARED:
        return COMPARED[name](matrix, sources)
    return compare_framework(matrix, name, sources)


def _subject_names(matrix: Matrix, words: Sequence[str]) -> tuple[str, ...]:
    able = (*sorted(matrix.frameworks), *COMPARED)
    if not words:
        # The companions are asked for with their frameworks.
        return tuple(name for name in able if name != "companions")
    found = [(word, find_subject(matrix, word)) for word in words]
    problems = [_refusal(matrix, word, subject, able) for word, subject in found]
    if any(problems):
        raise InputError(problem for problem in problems if problem is not None)
    return tuple(dict.fromkeys(subject.name for _, subject in found if subject is not None))


def _refusal(matrix: Matrix, word: str, subject: Subject | None, able: Sequence[str]) -> Problem | None:
    where = Location(file="command line", key=word)
    remedy = f"subjects that can be refreshed: {', '.join(able)}"
    if subject is None:
        near = difflib.get_close_matches(word.lower(), [one.name for one in subjects(matrix)], n=2)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        return Problem(
            what=f"{show(word)} is no subject of the matrix", where=where, remedy=f"{hint}{remedy}"
        )
    if subject.name in able:
        return None
    sources = dict.fromkeys(source_of(row) for row in subject.rows(matrix))
    texts = [f"{source.text} {source.citation()}" for source in sources]
    more = (f"and {len(texts) - _MOST_TOLD} more",) if len(texts) > _MOST_TOLD else ()
    return Problem(
        what=f"the facts on {subject.title} come from documents that cannot be asked",
        where=where,
        because=(*texts[:_MOST_TOLD], *more),
        remedy=f"look there, and edit the file; {remedy}",
    )
