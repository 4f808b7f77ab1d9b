"""Looking at the facts: with the project's overlays, and with what follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cudaforge.errors import NegativeAnswer, Problem
from cudaforge.matrix import Matrix, load_matrix
from cudaforge.matrix.catalogue import Row, Subject, find_subject, source_of, subjects
from cudaforge.matrix.findings import Finding
from cudaforge.matrix.model import CudaProvider, FrameworkBuild, Gpu
from cudaforge.records import record
from cudaforge.resolver.coverage import Coverage, coverage, runs
from cudaforge.resolver.drivers import cuda_floor
from cudaforge.resources import find_resource, is_checkout
from cudaforge.versions import Version, VersionWish


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
    if not file.exists() and file == Path("cudaforge.toml"):
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


def list_rows(matrix: Matrix, word: str) -> tuple[Subject, tuple[Row, ...]]:
    """All rows of the subject that a word names. Raises NegativeAnswer where it names none."""
    subject = find_subject(matrix, word)
    if subject is None:
        names = ", ".join(one.name for one in subjects(matrix))
        raise NegativeAnswer(Problem(what=f"the matrix has no subject {word!r}", remedy=f"subjects: {names}"))
    return subject, tuple(subject.rows(matrix))


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
    goes_with = [
        f"{one.package} {one.version}"
        for one in matrix.companions(row.framework)
        if one.needs.allows(row.version)
    ]
    if goes_with:
        yield "goes with", ", ".join(goes_with)
    for one in matrix.broken:
        if _may_concern(one.when, row):
            yield "known broken", one.effect


def _may_concern(when: Mapping[str, str], row: FrameworkBuild, capability: Version | None = None) -> bool:
    """Whether what is broken may be this build, on some GPU or on one of that capability."""
    exact = {"framework": row.framework, "provider": row.provider.value, "build": row.build}
    versions = {"version": row.version} | ({"capability": capability} if capability is not None else {})
    return all(when.get(key, value) == value for key, value in exact.items()) and all(
        VersionWish(when[key]).allows(value) for key, value in versions.items() if key in when
    )


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
        and not any(one.is_fatal and _may_concern(one.when, row, capability) for one in matrix.broken)
    ]
    if not able:
        return ""
    newest = max(row.version for row in able)
    builds = dict.fromkeys(row.build for row in able if row.version == newest)
    return f"{newest} ({', '.join(builds)})"


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
    """What `data check` found in a directory of matrix files."""

    directory: Path
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]
    """The findings, as people are told them."""
    coverage: tuple[SubjectSummary, ...]


def check_facts(directory: Path | None) -> CheckOutcome:
    """Prove the matrix files of a directory consistent: a checkout's own where none is named.

    Raises NegativeAnswer where there are no files to check.
    """
    from cudaforge.errors import Location
    from cudaforge.matrix.check import check_matrix
    from cudaforge.matrix.load import matrix_from_directory

    is_own = directory is None
    if directory is None:
        if not is_checkout():
            raise NegativeAnswer(
                Problem(
                    what="this installation has the compiled matrix alone, whose files were proven before",
                    remedy="name a directory of matrix files: cudaforge data check --matrices DIR",
                )
            )
        directory = find_resource("matrices")
    elif not any(directory.glob("*.toml")):
        raise NegativeAnswer(
            Problem(
                what=f"{directory} holds no matrix files", remedy="name the directory that holds cuda.toml"
            )
        )
    findings = check_matrix(directory, templates=find_resource("templates") if is_own else None)
    problems = tuple(
        Problem(
            what=f"{one.row}: {one.what} [{one.rule}]" if one.row else f"{one.what} [{one.rule}]",
            where=Location(file=str(directory / one.file), key=one.row or None),
        )
        for one in findings
    )
    known = () if problems else summarise(matrix_from_directory(directory))
    return CheckOutcome(directory=directory, findings=findings, problems=problems, coverage=known)
