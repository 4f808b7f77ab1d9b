"""Proving that the matrix files agree with themselves and with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from cudaforge.matrix.compile import expand_directory
from cudaforge.matrix.expand import Expanded
from cudaforge.matrix.findings import FactsError, Finding
from cudaforge.matrix.joins import JOINS, find_broken_joins
from cudaforge.matrix.load import matrix_from_directory
from cudaforge.matrix.reader import Raw
from cudaforge.matrix.rows import KEYS, find_row_mistakes, key_of, label
from cudaforge.records import replace
from cudaforge.versions import InvalidVersion, Version, VersionWish

_DEFAULT_INDEX = "default"
_SORTED = {"builds": "version", "cuda": "version", "cudnn": "version", "drivers": "branch"}
_PLATFORMS = frozenset({"linux/amd64", "linux/arm64"})


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
    return tuple(findings) or find_broken_joins(matrix_from_directory(directory))


def _rows(files: Iterable[Expanded], subject: str) -> Iterator[tuple[str, Raw]]:
    for file in files:
        for row in file.rows.get(subject, ()):
            yield file.file, row


def _named(files: Iterable[Expanded], subject: str) -> frozenset[str]:
    return frozenset(str(row.get(KEYS[subject][0])) for _, row in _rows(files, subject))


def _unused_sources(files: Sequence[Expanded]) -> Iterator[Finding]:
    for file in files:
        used = {row.get("source") for rows in file.rows.values() for row in rows}
        for name in file.sources:
            if name not in used:
                yield Finding(file=file.file, row=f"sources.{name}", what="no row names it")


def _disorder(files: Sequence[Expanded]) -> Iterator[Finding]:
    for file in files:
        for subject, key in _SORTED.items():
            for before, after in pairwise(file.rows.get(subject, ())):
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
        seen: dict[tuple[str, ...], str] = {}
        for file, row in _rows(files, subject):
            first = seen.setdefault(key_of(subject, row), file)
            if first != file:
                yield Finding(file=file, row=label(subject, row), what=f"stands in {first} as well")
    yield from _overlaps(files)


def _overlaps(files: Sequence[Expanded]) -> Iterator[Finding]:
    seen: set[tuple[object, ...]] = set()
    for file, row in _rows(files, "builds"):
        for platform in _words(row.get("platforms")):
            identity = (row.get("framework"), row.get("version"), row.get("build"), platform)
            if identity in seen:
                yield Finding(file=file, row=label("builds", row), what=f"is there twice for {platform}")
            seen.add(identity)


def _system_references(files: Sequence[Expanded]) -> Iterator[Finding]:
    yield from _dangling(files, "base_images", "os", _named(files, "systems"), "no such operating system")


def _framework_references(files: Sequence[Expanded]) -> Iterator[Finding]:
    known = _named(files, "frameworks")
    yield from _dangling(files, "companions", "framework", known, "no such framework")


def _index_references(files: Sequence[Expanded]) -> Iterator[Finding]:
    known = _named(files, "indexes") | {_DEFAULT_INDEX}
    yield from _dangling(files, "builds", "index", known, "no such package index")


def _replacements(files: Sequence[Expanded]) -> Iterator[Finding]:
    there = frozenset(
        str(row.get("reference")) for _, row in _rows(files, "base_images") if "removed" not in row
    )
    yield from _dangling(files, "base_images", "replaced_by", there, "no such image, or it is gone itself")
    for file, row in _rows(files, "base_images"):
        if "replaced_by" in row and "removed" not in row:
            what = "replaced_by without removed: it still exists"
            yield Finding(file=file, row=label("base_images", row), what=what)


def _broken_references(files: Sequence[Expanded]) -> Iterator[Finding]:
    known = _named(files, "frameworks")
    for file, row in _rows(files, "broken"):
        when = row.get("when")
        name = when.get("framework") if isinstance(when, Mapping) else None
        if name is not None and name not in known:
            yield Finding(
                file=file, row=label("broken", row), what=f"when.framework = {name!r}: no such framework"
            )


def _dangling(
    files: Sequence[Expanded], subject: str, key: str, known: frozenset[str], what: str
) -> Iterator[Finding]:
    for file, row in _rows(files, subject):
        if key in row and row[key] not in known:
            yield Finding(file=file, row=label(subject, row), what=f"{key} = {row[key]!r}: {what}")


def _platforms(files: Sequence[Expanded]) -> Iterator[Finding]:
    for subject in ("builds", "base_images"):
        for file, row in _rows(files, subject):
            words = _words(row.get("platforms"))
            unknown = [word for word in words if word not in _PLATFORMS]
            if unknown or not words:
                what = (
                    f"platforms: {unknown[0] if unknown else 'none'} is not one of linux/amd64, linux/arm64"
                )
                yield Finding(file=file, row=label(subject, row), what=what)


def _contradictions(files: Sequence[Expanded]) -> Iterator[Finding]:
    """What a build says of itself must hold together: CPU builds have no CUDA, all others have."""
    for file, row in _rows(files, "builds"):
        is_cpu = row.get("provider") == "none"
        if is_cpu and ("cuda" in row or "cubins" in row):
            yield Finding(file=file, row=label("builds", row), what="provider = 'none' and CUDA beside it")
        if not is_cpu and "cuda" not in row:
            yield Finding(file=file, row=label("builds", row), what="cuda is missing")
        if not row.get("requires"):
            yield Finding(file=file, row=label("builds", row), what="requires is missing")


def _wishes_without_release(files: Sequence[Expanded]) -> Iterator[Finding]:
    """A build whose CUDA or cuDNN no row of cuda.toml or cudnn.toml meets can never be chosen. Builds for
    releases from before the first row are facts that nothing is made of."""
    for key in ("cuda", "cudnn"):
        releases = [_order(row.get("version")) for _, row in _rows(files, key)]
        is_met: dict[str, bool] = {}
        if not releases:
            continue
        for file, row in _rows(files, "builds"):
            wish = row.get(key)
            if not isinstance(wish, str):
                continue
            if wish not in is_met:
                is_met[wish] = _is_older(wish, releases) or _is_met(wish, releases)
            if not is_met[wish]:
                what = f"{key} = {wish!r}: {key}.toml has no such release"
                yield Finding(file=file, row=label("builds", row), what=what)


def _is_met(wish: str, releases: Iterable[Version]) -> bool:
    try:
        allows: Callable[[Version], bool] = VersionWish(wish).allows
    except InvalidVersion:  # reported as a row that cannot be read
        return True
    return any(allows(release) for release in releases)


def _is_older(wish: str, releases: Iterable[Version]) -> bool:
    try:
        return Version(wish) < min(releases)
    except InvalidVersion:  # a range, or a row that cannot be read
        return False


def _missing_templates(files: Sequence[Expanded], templates: Path) -> Iterator[Finding]:
    for file, row in _rows(files, "frameworks"):
        name = row.get("template") or row.get("name")
        path = templates / "frameworks" / f"{name}.j2"
        if not path.is_file() and row.get("facts_only") is not True:
            what = f"template = {name!r}: there is no frameworks/{path.name}"
            yield Finding(file=file, row=label("frameworks", row), what=what)


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


_RULES: Mapping[str, Callable[[Sequence[Expanded]], Iterator[Finding]]] = {
    "unused-source": _unused_sources,
    "order": _disorder,
    "duplicate": _duplicates,
    "unknown-system": _system_references,
    "unknown-framework": _framework_references,
    "unknown-index": _index_references,
    "tombstone": _replacements,
    "broken-reference": _broken_references,
    "unknown-platform": _platforms,
    "contradiction": _contradictions,
    "unknown-release": _wishes_without_release,
}
TEMPLATE_RULE = "install-template"
RULES = ("row", *_RULES, TEMPLATE_RULE, *JOINS)
"""The names of all rules; `row` is what a row or a file must be on its own."""
