"""Holding what was measured against the rows of the matrix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

from cudaforge.matrix import Matrix
from cudaforge.matrix.model import CudaProvider, FrameworkBuild
from cudaforge.matrix.pins import pins_of
from cudaforge.measurer.model import NONE, Measured, Reading
from cudaforge.records import record
from cudaforge.versions import InvalidVersion, Version, VersionWish

_BOUND = re.compile(r"(?P<operator>==|>=|~=|<=|<|>|!=)?\s*(?P<version>[0-9][^\s,*]*?)(?:\.\*)?")


class Agreement(str, Enum):
    """What a comparison comes to."""

    AGREES = "agrees"
    SO_FAR = "agrees as far as read"
    """Some of what could say otherwise was left out."""
    DIFFERS = "differs"
    NOT_READ = "not read"
    NOT_STATED = "the row does not say"


@record()
class Comparison:
    """One field of a row, and what was read of it."""

    field: str
    measured: str
    row: str
    agreement: Agreement
    where: str
    """Where the measured value was read."""


@record()
class RowComparison:
    """One row, held against what was measured."""

    row: FrameworkBuild
    fields: tuple[Comparison, ...]

    @property
    def differences(self) -> tuple[Comparison, ...]:
        """The fields in which they differ."""
        return tuple(one for one in self.fields if one.agreement is Agreement.DIFFERS)


@record()
class Checked:
    """One measured package, held against the rows that it belongs to."""

    measured: Measured
    rows: tuple[RowComparison, ...]
    """Empty where the matrix has none."""
    proposal: str | None
    """What to add where there is no row: a TOML file."""

    @property
    def is_confirmed(self) -> bool:
        """Whether there are rows, and nothing that was read differs from them."""
        return bool(self.rows) and not any(one.differences for one in self.rows)


def find_builds(matrix: Matrix, measured: Measured) -> tuple[FrameworkBuild, ...]:
    """The rows that install this very wheel: by package, exact version and platform.

    One that says its build (`2.8.0+cu128`) belongs to the rows of that build, whichever index they name;
    where there are none, to those that an index without a choice of builds gives. In an image all packages
    of a row must be installed, and of such rows those count that have the most of them.
    """
    rows = [
        build
        for framework in matrix.frameworks
        for build in matrix.builds(framework)
        if _is_installed(build, measured)
        and (not measured.platforms or set(measured.platforms) & set(build.platforms))
    ]
    if measured.installed:
        rows = _most_of([row for row in rows if _packages(row) <= set(measured.installed)])
    label = _label(measured)
    named = [build for build in rows if label and label in (build.build, *_labels(build))]
    return tuple(named or [build for build in rows if not _labels(build) and "+" not in measured.version])


def _packages(build: FrameworkBuild) -> frozenset[str]:
    return frozenset(package for package, _ in pins_of(build))


def _most_of(rows: list[FrameworkBuild]) -> list[FrameworkBuild]:
    """Without those that are part of another one: the build for CPUs where its plugin for GPUs is there."""
    return [row for row in rows if not any(_packages(row) < _packages(other) for other in rows)]


def compare(matrix: Matrix, measured: Measured, row: FrameworkBuild) -> RowComparison:
    """Each field that both could say. What was not read never agrees."""
    fields = (
        *_sets(measured, row),
        *_reported(measured, row),
        _glibc(measured, row),
        *_libraries(measured, row),
        *_window(matrix, measured, row),
    )
    return RowComparison(row=row, fields=fields)


def _is_installed(build: FrameworkBuild, measured: Measured) -> bool:
    return any(
        package == measured.package and _same(version.partition("+")[0], measured.version.partition("+")[0])
        for package, version in pins_of(build)
    )


def _same(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def _label(measured: Measured) -> str:
    """The build by its local version label."""
    told = (measured.version, measured.reported.value if measured.reported else "")
    return next((text.partition("+")[2] for text in told if "+" in text), "")


def _labels(build: FrameworkBuild) -> tuple[str, ...]:
    return tuple(version.partition("+")[2] for _, version in pins_of(build) if "+" in version)


def _sets(measured: Measured, row: FrameworkBuild) -> Iterator[Comparison]:
    for field, found, known in (
        ("platforms", measured.platforms, row.platforms),
        ("pythons", measured.pythons, row.pythons),
    ):
        if found:
            yield Comparison(
                field=field,
                measured=" ".join(found),
                row=" ".join(known),
                agreement=Agreement.AGREES if set(found) <= set(known) else Agreement.DIFFERS,
                where="wheel tags",
            )


def _reported(measured: Measured, row: FrameworkBuild) -> Iterator[Comparison]:
    if measured.reported is not None:
        agrees = measured.reported.value == row.reported
        yield _told("reported", measured.reported, row.reported, agrees=agrees)


def _glibc(measured: Measured, row: FrameworkBuild) -> Comparison:
    """Installers go by the tag, where that asks for more than the libraries do: the row may, too."""
    if measured.glibc is None:
        return _not_read("glibc", str(row.glibc))
    reading = measured.glibc
    real = Version(reading.value)
    tag = Version(measured.tag_glibc) if measured.tag_glibc else real
    shown = Reading(
        value=reading.value if tag <= real else f"{real}, by its tag {tag}",
        where=reading.where,
        is_partial=reading.is_partial,
    )
    if row.glibc in (real, max(real, tag)):
        return _told("glibc", shown, str(row.glibc), agrees=True)
    if row.glibc > real and (reading.is_partial or _is_one_of_several(measured, row)):
        # What was left out may ask for more.
        return _not_read("glibc", str(row.glibc), shown)
    return _told("glibc", shown, str(row.glibc), agrees=False)


def _is_one_of_several(measured: Measured, row: FrameworkBuild) -> bool:
    return any(package != measured.package for package, _ in pins_of(row))


def _libraries(measured: Measured, row: FrameworkBuild) -> Iterator[Comparison]:
    is_without = measured.cuda is not None and measured.cuda.value == NONE
    if measured.cuda is not None and (is_without or row.provider is CudaProvider.NONE):
        if not is_without or row.provider is CudaProvider.NONE or not _is_one_of_several(measured, row):
            known = str(row.cuda) if row.cuda is not None else NONE
            agrees = is_without and row.provider is CudaProvider.NONE
            yield _told("cuda", measured.cuda, known, agrees=agrees)
        return
    nccl = VersionWish(str(row.nccl)) if row.nccl is not None else None
    for field, reading, wish in (
        ("cuda", measured.cuda, row.cuda),
        ("cudnn", measured.cudnn, row.cudnn),
        ("nccl", measured.nccl, nccl),
    ):
        if reading is not None:
            yield _library(field, reading, wish)
        elif wish is not None and not _is_one_of_several(measured, row):
            yield _not_read(field, str(wish))


def _library(field: str, reading: Reading, wish: VersionWish | None) -> Comparison:
    shown = Reading(
        value=f">={reading.value}" if reading.is_bound else reading.value,
        where=reading.where,
        is_partial=reading.is_partial,
    )
    if wish is None:
        return _not_stated(field, shown)
    return _told(field, shown, str(wish), agrees=_fits(reading, wish))


def _fits(reading: Reading, wish: VersionWish) -> bool:
    """Whether the row is what was read, to the digits that both have; or, where the row is a range, lies
    within what the artefact asks for: the same major, and no older than what it was built with."""
    try:
        found = Version(reading.value)
    except InvalidVersion:
        return False
    low = _lowest(wish)
    if low is None:
        return wish.allows(found)
    if low.has_prefix(found) or found.has_prefix(low):
        return True
    return _is_range(wish) and low.major == found.major and low >= found


def _is_range(wish: VersionWish) -> bool:
    return ">" in wish.text or "<" in wish.text


def _lowest(wish: VersionWish) -> Version | None:
    """The oldest version that a wish names."""
    bounds = [_BOUND.fullmatch(part.strip()) for part in wish.text.split(",")]
    named = [one["version"] for one in bounds if one and one["operator"] in (None, "==", ">=", "~=")]
    return max((Version(one) for one in named), default=None)


def _window(matrix: Matrix, measured: Measured, row: FrameworkBuild) -> Iterator[Comparison]:
    if row.provider is CudaProvider.NONE or (measured.cubins is None and _is_one_of_several(measured, row)):
        return
    if row.cubins is None:
        for field, window in (("cubins", measured.cubins), ("ptx", measured.ptx)):
            if window is not None:
                yield _not_stated(field, _or_none(window))
        return
    for field in ("cubins", "ptx"):
        reading: Reading | None = getattr(measured, field)
        known = {str(one) for one in getattr(row, field) or ()}
        if reading is None:
            yield _not_read(field, _in_words(known))
        else:
            whole = set(reading.value.split())
            usable = _usable(matrix, row, whole)
            shown = _in_words(usable)
            if beyond := whole - usable:
                shown += f"; not compared: {_in_words(beyond)}, which its CUDA does not know"
            told = Reading(value=shown, where=reading.where, is_partial=reading.is_partial)
            yield _told(field, told, _in_words(known), agrees=usable == known)


def _usable(matrix: Matrix, row: FrameworkBuild, window: set[str]) -> set[str]:
    """The window without what it is never used for: a framework that has most kernels compiled when they
    are first used runs only where the toolkit of the row knows the GPU, too."""
    if row.compiler is None or row.cuda is None:
        return window
    known = {
        str(one)
        for release in matrix.cuda_releases
        if row.cuda.allows(release.version)
        for one in release.capabilities
    }
    return window & known if known else window


def _in_words(capabilities: set[str]) -> str:
    return " ".join(sorted(capabilities, key=Version)) or NONE


def _or_none(reading: Reading) -> Reading:
    return Reading(value=reading.value or NONE, where=reading.where, is_partial=reading.is_partial)


def _told(field: str, reading: Reading, known: str, *, agrees: bool) -> Comparison:
    yes = Agreement.SO_FAR if reading.is_partial else Agreement.AGREES
    return Comparison(
        field=field,
        measured=reading.value,
        row=known,
        agreement=yes if agrees else Agreement.DIFFERS,
        where=reading.where,
    )


def _not_read(field: str, known: str, seen: Reading | None = None) -> Comparison:
    return Comparison(
        field=field,
        measured=seen.value if seen else "",
        row=known,
        agreement=Agreement.NOT_READ,
        where=seen.where if seen else "",
    )


def _not_stated(field: str, reading: Reading) -> Comparison:
    return Comparison(
        field=field, measured=reading.value, row="", agreement=Agreement.NOT_STATED, where=reading.where
    )
