"""Looking at the facts: with the project's overlays, and with what follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.errors import InputError, Location, Problem
from cudaforge.matrix import Matrix, load_matrix
from cudaforge.matrix.catalogue import Row, Subject, find_subject, source_of, subjects, unknown_subject
from cudaforge.matrix.filters import filtered, read_filters
from cudaforge.matrix.findings import Finding
from cudaforge.matrix.judged import concerns
from cudaforge.matrix.model import Broken, CudaProvider, FrameworkBuild, Gpu
from cudaforge.matrix.sources import Dispute
from cudaforge.records import record, replace
from cudaforge.resolver.coverage import Coverage, coverage, runs
from cudaforge.resolver.drivers import cuda_floor
from cudaforge.resources import find_resource, is_checkout
from cudaforge.versions import Version

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
    goes_with: dict[str, list[str]] = {}
    for one in matrix.companions(row.framework):
        if one.needs.allows(row.version):
            goes_with.setdefault(one.package, []).append(str(one.version))
    if goes_with:
        spans = (f"{name} {_span(versions)}" for name, versions in goes_with.items())
        yield "goes with", ", ".join(spans)
    for broken in matrix.broken:
        if concerns(matrix, broken, row):
            yield "known broken" if broken.is_fatal else "caveat", _effect(broken)


def _span(versions: Sequence[str]) -> str:
    return versions[0] if len(versions) == 1 else f"{versions[0]} to {versions[-1]}"


def _effect(row: Broken) -> str:
    """What happens, and what has to be there besides the build."""
    conditions = [f"{key} {wish}" for key, wish in row.when.items() if key not in _OF_BUILDS]
    return f"with {', '.join(conditions)}: {row.effect}" if conditions else row.effect


def _derive_gpu(matrix: Matrix, row: Gpu) -> Iterator[tuple[str, str]]:
    is_embedded = row.kind == "embedded"
    embedded = frozenset(one.capability for one in matrix.gpus if one.kind == "embedded")
    releases = [
        one.version
        for one in matrix.cuda_releases
        if runs(one.capabilities, row.capability, is_embedded=is_embedded, embedded=embedded)
    ]
    if releases:
        yield "CUDA", f"{releases[0]} to {releases[-1]}"
    for name, framework in sorted(matrix.frameworks.items()):
        labels = _newest_labels(matrix, name, row.capability, is_embedded=is_embedded, embedded=embedded)
        if labels:
            yield framework.title, labels


def _newest_labels(
    matrix: Matrix, framework: str, capability: Version, *, is_embedded: bool, embedded: frozenset[Version]
) -> str:
    """The newest release that has code for the capability, with its builds that have."""
    able = [
        row
        for row in matrix.builds(framework)
        if row.provider is not CudaProvider.NONE
        and row.source.strength.value != "inferred"
        and coverage(row, capability, is_embedded=is_embedded, embedded=embedded) is not Coverage.NONE
        and _is_compiled_for(matrix, row, capability, embedded)
        and not any(_breaks(matrix, one, row, capability) for one in matrix.broken)
    ]
    if not able:
        return ""
    newest = max(row.version for row in able)
    builds = dict.fromkeys(row.build for row in able if row.version == newest)
    return f"{newest} ({', '.join(builds)})"


def _breaks(matrix: Matrix, broken: Broken, row: FrameworkBuild, capability: Version) -> bool:
    """Whether the build is broken on the GPU whatever else is in the image."""
    is_plain = broken.when.keys() <= {*_OF_BUILDS, "capability"}
    return broken.is_fatal and is_plain and concerns(matrix, broken, row, capability=capability)


def _is_compiled_for(
    matrix: Matrix, row: FrameworkBuild, capability: Version, embedded: frozenset[Version]
) -> bool:
    """Where the toolkit compiles the code: whether one that the build may load knows the capability."""
    if row.cubins is not None:
        return True
    return any(
        runs(one.capabilities, capability, is_embedded=capability in embedded, embedded=embedded)
        for one in matrix.cuda_releases
        if row.cuda is not None and row.cuda.allows(one.version)
    )


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
    from cudaforge.matrix.check import unused_sources
    from cudaforge.matrix.joins import find_broken_joins
    from cudaforge.matrix.overlay import read_overlays

    overlays = read_overlays(declaration.overlays, root=declaration.root)
    matrix = load_matrix(overlays=declaration.overlays, root=declaration.root)
    unused = [
        (overlay.name, replace(finding, rule="unused-source"))
        for overlay in overlays
        for finding in unused_sources([overlay.expanded])
    ]
    # Rows that overlays are heard in have met every rule, so that these are the matrix's own.
    broken = [(finding.file, finding) for finding in find_broken_joins(matrix)]
    findings = tuple(finding for _, finding in (*unused, *broken))
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
        problems=tuple(_problem(finding, name) for name, finding in (*unused, *broken)),
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
