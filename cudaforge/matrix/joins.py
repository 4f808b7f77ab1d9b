"""What must hold between the tables of the matrix: each rule by name, with the rows that break it.

Tables that are each right can still not meet: a build whose base image nobody has, code for a GPU that its
toolkit cannot compile for. A rule looks at one row and at what the matrix says of its neighbours, so that
the rows of an overlay are judged without reading the tables that they do not touch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cudaforge.matrix.findings import Finding
from cudaforge.matrix.join_images import IMAGE_RULES
from cudaforge.matrix.join_references import REFERENCE_RULES
from cudaforge.matrix.join_sizes import SIZE_RULES
from cudaforge.matrix.join_windows import WINDOW_RULES
from cudaforge.matrix.judged import Join
from cudaforge.matrix.overlay import mistakes_of_overlays
from cudaforge.matrix.rows import label
from cudaforge.matrix.sources import Source
from cudaforge.matrix.tables import Matrix
from cudaforge.records import values_of

if TYPE_CHECKING:
    from cudaforge.matrix.merge import LaidRow

_Row = Any

JOINS: Mapping[str, Join] = {**REFERENCE_RULES, **WINDOW_RULES, **IMAGE_RULES, **SIZE_RULES}
"""Every rule between tables, by name."""


def find_broken_joins(matrix: Matrix) -> tuple[Finding, ...]:
    """Every row that breaks a rule between tables."""
    return tuple(
        finding
        for subject, rows in _TABLES.items()
        for row in rows(matrix)
        for finding in _broken(matrix, subject, row)
    )


def require_joins(matrix: Matrix, laid: Iterable[LaidRow]) -> None:
    """Raises InputError where a row that an overlay is heard in breaks a rule; `matrix` has it, too."""
    found = [(one.name, finding) for one in laid for finding in _broken(matrix, one.subject, one.row)]
    if found:
        raise mistakes_of_overlays(dict.fromkeys(found))


def _broken(matrix: Matrix, subject: str, row: _Row) -> Iterator[Finding]:
    source: Source = row.source
    for name, join in JOINS.items():
        if subject in join.subjects:
            for what in join.find(matrix, row):
                yield Finding(file=source.file, row=label(subject, values_of(row)), what=what, rule=name)


def _of_frameworks(rows: Callable[[Matrix, str], Iterable[_Row]]) -> Callable[[Matrix], Iterable[_Row]]:
    return lambda matrix: (row for name in matrix.frameworks for row in rows(matrix, name))


_TABLES: Mapping[str, Callable[[Matrix], Iterable[_Row]]] = {
    "frameworks": lambda matrix: matrix.frameworks.values(),
    "builds": _of_frameworks(lambda matrix, name: matrix.builds(name)),
    "cuda": lambda matrix: matrix.cuda_releases,
    "cudnn": lambda matrix: matrix.cudnn_releases,
    "gpus": lambda matrix: matrix.gpus,
    "systems": lambda matrix: matrix.systems.values(),
    "base_images": lambda matrix: matrix.base_images,
    "framework_images": lambda matrix: matrix.framework_images,
    "drivers": lambda matrix: matrix.driver_branches,
    "indexes": lambda matrix: matrix.indexes.values(),
    "companions": _of_frameworks(lambda matrix, name: matrix.companions(name)),
    "pythons": lambda matrix: matrix.pythons.values(),
    "standalone_pythons": lambda matrix: matrix.standalone_pythons,
    "distributions": lambda matrix: matrix.distributions,
    "conda_builds": lambda matrix: matrix.conda_builds,
    "wheel_tags": lambda matrix: matrix.wheel_tags,
    "makers": lambda matrix: matrix.makers,
    "broken": lambda matrix: matrix.broken,
}
