"""Looking at the facts: with the project's overlays, and with what follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.declaration.model import FrameworkWish, Wishes
from cudaforge.errors import InputError, Location, Problem
from cudaforge.matrix import Matrix, load_matrix
from cudaforge.matrix.catalogue import find_subject, source_of, subjects, unknown_subject
from cudaforge.matrix.filters import filtered, read_filters
from cudaforge.matrix.findings import Finding
from cudaforge.matrix.judged import concerns
from cudaforge.matrix.model import Broken, FrameworkBuild, Gpu
from cudaforge.matrix.sources import Dispute
from cudaforge.matrix.subjects import Row, Subject
from cudaforge.records import record, replace
from cudaforge.resolver import Conflict, resolve
from cudaforge.resolver.coverage import runs
from cudaforge.resolver.drivers import cuda_floor
from cudaforge.resources import find_resource, is_checkout

if TYPE_CHECKING:
    from cudaforge.declaration.model import Declaration

DEFAULT_FILE = Path("cudaforge.toml")
_OF_BUILDS = ("framework", "version", "build", "provider")
"""The conditions of what is broken that a build meets or does not."""


@record()
class SubjectSummary:
    """How much the matrix knows of one subject."""

    subject: str
    title: str
    rows: int
    newest: str
    strengths: dict[str, int]
    checked_first: str
    checked_last: str


def find_matrix(file: Path) -> Matrix:
    """The facts that count for a declaration, overlays included; without a file this installation's own.

    Raises InputError for mistakes in the declaration or an overlay.
    """
    if not has_declaration(file):
        return load_matrix()
    from cudaforge.pipeline.decide import load, matrix_of

    return matrix_of(load(file))


def summarise(matrix: Matrix) -> tuple[SubjectSummary, ...]:
    """Every subject with the number of its rows, the newest, and when they were looked at."""
    return tuple(_summary(subject, subject.rows(matrix)) for subject in subjects(matrix))


def _summary(subject: Subject, rows: Sequence[Row]) -> SubjectSummary:
    sources = [source_of(row) for row in rows]
    return SubjectSummary(
        subject=subject.name,
        title=subject.title,
        rows=len(rows),
        newest=str(getattr(rows[-1], subject.columns[0])) if rows and subject.is_versioned else "",
        strengths=dict(sorted(Counter(one.strength.value for one in sources).items())),
        checked_first=min((one.checked for one in sources), default=""),
        checked_last=max((one.checked for one in sources), default=""),
    )


def list_rows(matrix: Matrix, word: str, filters: Sequence[str] = ()) -> tuple[Subject, tuple[Row, ...]]:
    """The rows of the subject that a word names, those that meet all filters.

    Raises InputError for a subject or a field that there is not, NegativeAnswer where no row is left.
    """
    subject = find_subject(matrix, word)
    if subject is None:
        raise unknown_subject(matrix, word)
    rows = tuple(subject.rows(matrix))
    return subject, filtered(rows, read_filters(filters, rows[0])) if rows else rows


def derive(matrix: Matrix, row: Row) -> tuple[tuple[str, str], ...]:
    """What follows from a row and others, each with a name: it is not a fact of its own."""
    if isinstance(row, FrameworkBuild):
        return tuple(_derive_build(matrix, row))
    if isinstance(row, Gpu):
        return tuple(_derive_gpu(matrix, row))
    return ()


def _derive_build(matrix: Matrix, row: FrameworkBuild) -> Iterator[tuple[str, str]]:
    if row.cuda is not None:
        releases = [one for one in matrix.cuda_releases if row.cuda.allows(one.version)]
        minor = [floor for one in releases if (floor := cuda_floor(one, needs_native=False)) is not None]
        if minor:
            yield "driver floor", f"{min(minor)} (minor-version compatibility)"
        native = [one.driver for one in releases if one.driver is not None]
        if native and row.ptx:
            yield "driver for PTX", f"{min(native)} (the toolkit's own)"
    published: dict[str, list[tuple[str, bool]]] = {}
    for one in matrix.companions(row.framework):
        fits = one.goes_with(row.version)
        published.setdefault(one.package, []).append((str(one.version), fits))
    goes_with = [
        f"{name} {', '.join(_spans(known))}"
        for name, known in published.items()
        if any(fits for _, fits in known)
    ]
    if goes_with:
        yield "goes with", "; ".join(goes_with)
    for broken in matrix.broken:
        if concerns(matrix, broken, row):
            yield "known broken" if broken.is_fatal else "caveat", _effect(broken)


def _spans(known: Sequence[tuple[str, bool]]) -> Iterator[str]:
    """Releases that fit, of all that are known in order: what follows upon one another as first to last."""
    for fits, group in groupby(known, key=lambda one: one[1]):
        if fits:
            versions = [version for version, _ in group]
            yield versions[0] if len(versions) == 1 else f"{versions[0]} to {versions[-1]}"


def _effect(row: Broken) -> str:
    """What happens, and what has to be there besides the build."""
    conditions = [f"{key} {wish}" for key, wish in row.when.items() if key not in _OF_BUILDS]
    return f"with {', '.join(conditions)}: {row.effect}" if conditions else row.effect


def _derive_gpu(matrix: Matrix, row: Gpu) -> Iterator[tuple[str, str]]:
    if cuda := _cuda_of(matrix, row):
        yield "CUDA", cuda
    for name, framework in sorted(matrix.frameworks.items()):
        if not framework.facts_only and (best := _best_build(matrix, name, row)):
            yield framework.title, best


def _cuda_of(matrix: Matrix, gpu: Gpu) -> str:
    """The CUDA releases whose code runs on the GPU: those that compile for it, and what older ones reach."""
    embedded = frozenset(one.capability for one in matrix.gpus if one.kind == "embedded")
    able = [
        one
        for one in matrix.cuda_releases
        if runs(one.capabilities, gpu.capability, is_embedded=gpu.kind == "embedded", embedded=embedded)
    ]
    if not able:
        return ""
    last, table = able[-1].version, matrix.cuda_releases[0]
    native = next((one for one in able if gpu.capability in one.capabilities), None)
    if native is None:
        return f"up to {last}, by code for older GPUs of its major"
    if native is table:
        return f"up to {last} (the table begins with {table.version})"
    older = f", from {able[0].version} by code for older GPUs" if able[0] is not native else ""
    return f"native from {native.version} to {last}{older}"


def _best_build(matrix: Matrix, framework: str, gpu: Gpu) -> str:
    """The build that the resolver takes for the GPU where nothing else is asked for; empty if none."""
    wishes = Wishes(frameworks=(FrameworkWish(name=framework),), gpus=(gpu.name,), prefer_per_field={})
    answer = resolve(wishes, matrix)
    if isinstance(answer, Conflict):
        return ""
    (chosen,) = answer.frameworks
    machines = answer.platforms if gpu.platforms else ()
    return f"{chosen.version} ({', '.join((chosen.build, *machines))})"


@record()
class CheckOutcome:
    """What `data check` found in a directory of matrix files, or in overlays and the facts below them."""

    path: str
    """The directory, or the declaration whose overlays they are."""
    overlays: tuple[str, ...]
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]
    """The findings, as people are told them."""
    disputes: tuple[Dispute, ...]
    coverage: tuple[SubjectSummary, ...]


def check_facts(file: Path, directory: Path | None) -> CheckOutcome:
    """Prove facts consistent: those of a directory of matrix files where one is named, else the overlays of
    the declaration, laid on this installation's facts, else a checkout's own.

    Raises InputError where there are no files to check, and for overlays that cannot be used.
    """
    if directory is None and has_declaration(file):
        from cudaforge.pipeline.decide import load

        declaration = load(file)
        if declaration.overlays or file != DEFAULT_FILE:
            return _check_overlays(file, declaration)
    return _check_directory(directory)


def has_declaration(file: Path) -> bool:
    """Whether a declaration counts: one that is named, or that stands where it is looked for."""
    return file != DEFAULT_FILE or file.exists()


def _check_overlays(file: Path, declaration: Declaration) -> CheckOutcome:
    from cudaforge.matrix.check import future_sources, unused_sources
    from cudaforge.matrix.joins import find_broken_joins
    from cudaforge.matrix.overlay import read_overlays

    overlays = read_overlays(declaration.overlays, root=declaration.root)
    matrix = load_matrix(overlays=declaration.overlays, root=declaration.root)
    of_sources = [
        (overlay.name, replace(finding, rule=rule))
        for overlay in overlays
        for rule, find in (("unused-source", unused_sources), ("future-source", future_sources))
        for finding in find([overlay.expanded])
    ]
    # Rows that overlays are heard in have met every rule, so that these are the matrix's own.
    broken = [(finding.file, finding) for finding in find_broken_joins(matrix)]
    findings = tuple(finding for _, finding in (*of_sources, *broken))
    found = (
        dispute
        for subject in subjects(matrix)
        for row in subject.rows(matrix)
        for dispute in source_of(row).disputes
    )
    return CheckOutcome(
        path=str(file),
        overlays=tuple(overlay.file for overlay in overlays),
        findings=findings,
        problems=tuple(_problem(finding, name) for name, finding in (*of_sources, *broken)),
        disputes=tuple(dict.fromkeys(found)),
        coverage=() if findings else summarise(matrix),
    )


def _check_directory(directory: Path | None) -> CheckOutcome:
    from cudaforge.matrix.check import check_matrix
    from cudaforge.matrix.load import matrix_from_directory

    is_own = directory is None
    if directory is None:
        if not is_checkout():
            raise InputError(
                Problem(
                    what="there is nothing to check: no project with overlays here, and this installation "
                    "has the compiled matrix alone, whose files were proven before",
                    remedy="name the declaration of a project with overlays (-f FILE), or a directory of "
                    "matrix files (--matrices DIR)",
                )
            )
        directory = find_resource("matrices")
    elif not any(directory.glob("*.toml")):
        raise InputError(
            Problem(
                what=f"{directory} holds no matrix files", remedy="name the directory that holds cuda.toml"
            )
        )
    findings = check_matrix(directory, templates=find_resource("templates") if is_own else None)
    return CheckOutcome(
        path=str(directory),
        overlays=(),
        findings=findings,
        problems=tuple(_problem(one, str(directory / one.file)) for one in findings),
        disputes=(),
        coverage=() if findings else summarise(matrix_from_directory(directory)),
    )


def _problem(finding: Finding, file: str) -> Problem:
    told = f"{finding.what} [{finding.rule}]"
    return Problem(
        what=f"{finding.row}: {told}" if finding.row else told,
        where=Location(file=file, key=finding.row or None),
    )
