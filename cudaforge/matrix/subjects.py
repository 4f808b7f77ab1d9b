"""The kinds of rows that the matrix has, and how each is looked for and listed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cudaforge.matrix.tables import Matrix
from cudaforge.records import record
from cudaforge.versions import InvalidVersion, VersionWish

Row = Any
"""A row of any subject: each has a `source`."""


@record()
class Subject:
    """One kind of rows."""

    name: str
    title: str
    word: str
    """What one row is called: `gpu`."""
    rows: Callable[[Matrix], Sequence[Row]]
    columns: tuple[str, ...]
    """The fields that a list shows, the most telling first."""
    find: Callable[[Matrix, str], Sequence[Row]]
    """The rows that a text means; empty where it means none."""
    names: int = 1
    """How many of the columns name a row."""
    is_table: bool = True
    """Whether its rows fit into lines of a table; else each is told as a whole."""
    is_versioned: bool = False
    """Whether an unknown text is a version that is not known (the answer is no), not a wrong name."""


def plain_package(name: str) -> str:
    """As package indexes compare names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def with_version(rows: Iterable[Row], text: str, *, field: str = "version") -> list[Row]:
    """The rows whose version the text allows; none where it is no version."""
    try:
        wish = VersionWish(text)
    except InvalidVersion:
        return []
    return [row for row in rows if wish.allows(getattr(row, field))]


def framework_subject(name: str, title: str) -> Subject:
    """The builds of a framework."""

    def find(matrix: Matrix, text: str) -> Sequence[Row]:
        version, _, label = text.replace(" ", "+").partition("+")
        rows = with_version(matrix.builds(name), version) if version else list(matrix.builds(name))
        found = [row for row in rows if not label or row.build == label]
        return found or [row for row in matrix.builds(name) if row.build == text]

    return Subject(
        name=name,
        title=f"builds of {title}",
        word=name,
        rows=lambda matrix: matrix.builds(name),
        columns=("version", "build", "platforms", "provider", "cuda", "cudnn", "pythons", "cubins", "ptx"),
        names=2,
        find=find,
        is_versioned=True,
    )


def all_companions(matrix: Matrix) -> Sequence[Row]:
    """The companions of every framework."""
    return [row for name in sorted(matrix.frameworks) for row in matrix.companions(name)]


def _companion_rows(matrix: Matrix, text: str) -> Sequence[Row]:
    package, _, version = text.partition(" ")
    rows = [row for row in all_companions(matrix) if row.package == plain_package(package)]
    return with_version(rows, version) if version else rows


def _driver_rows(matrix: Matrix, text: str) -> Sequence[Row]:
    branch = text.split(".", maxsplit=1)[0].removeprefix("r").removeprefix("R")
    return [row for row in matrix.driver_branches if str(row.branch) == branch]


def _starting(rows: Callable[[Matrix], Iterable[Row]], key: str) -> Callable[[Matrix, str], Sequence[Row]]:
    """Rows whose key is the text, else those whose key begins with it."""

    def find(matrix: Matrix, text: str) -> Sequence[Row]:
        found = list(rows(matrix))
        return [row for row in found if getattr(row, key) == text] or [
            row for row in found if str(getattr(row, key)).startswith(text)
        ]

    return find


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        name="cuda",
        title="CUDA toolkit releases",
        word="cuda",
        rows=lambda matrix: matrix.cuda_releases,
        columns=("version", "released", "driver", "minor_driver", "capabilities", "gcc", "clang"),
        find=lambda matrix, text: with_version(matrix.cuda_releases, text),
        is_versioned=True,
    ),
    Subject(
        name="cudnn",
        title="cuDNN releases",
        word="cudnn",
        rows=lambda matrix: matrix.cudnn_releases,
        columns=("version", "released", "packages", "capability_min", "capability_max", "cuda"),
        find=lambda matrix, text: with_version(matrix.cudnn_releases, text),
        is_versioned=True,
    ),
    Subject(
        name="gpus",
        title="GPU products",
        word="gpu",
        rows=lambda matrix: matrix.gpus,
        columns=("name", "capability", "family", "kind", "first_driver", "last_branch"),
        find=lambda matrix, text: matrix.find_gpus(text),
    ),
    Subject(
        name="drivers",
        title="driver branches",
        word="driver",
        rows=lambda matrix: matrix.driver_branches,
        columns=("branch", "cuda", "kind", "eol"),
        find=_driver_rows,
        is_versioned=True,
    ),
    Subject(
        name="systems",
        title="operating systems",
        word="os",
        rows=lambda matrix: tuple(matrix.systems.values()),
        columns=("id", "glibc", "python", "image", "eol"),
        find=_starting(lambda matrix: matrix.systems.values(), "id"),
    ),
    Subject(
        name="pythons",
        title="Python minor versions",
        word="python",
        rows=lambda matrix: tuple(matrix.pythons.values()),
        columns=("version", "released", "eol"),
        find=_starting(lambda matrix: matrix.pythons.values(), "version"),
        is_versioned=True,
    ),
    Subject(
        name="standalone_pythons",
        title="Pythons for any OS",
        word="standalone",
        rows=lambda matrix: matrix.standalone_pythons,
        columns=("version", "release", "glibc", "feed", "files"),
        find=lambda matrix, text: with_version(matrix.standalone_pythons, text),
        is_versioned=True,
    ),
    Subject(
        name="base_images",
        title="images to start from",
        word="base",
        rows=lambda matrix: matrix.base_images,
        columns=("reference", "cudnn", "removed", "gate", "platforms"),
        find=_starting(lambda matrix: matrix.base_images, "reference"),
    ),
    Subject(
        name="framework_images",
        title="images with frameworks",
        word="image",
        rows=lambda matrix: matrix.framework_images,
        columns=("reference", "contents"),
        find=_starting(lambda matrix: matrix.framework_images, "reference"),
    ),
    Subject(
        name="companions",
        title="packages of frameworks",
        word="companion",
        rows=all_companions,
        columns=("package", "version", "framework", "needs", "role", "pythons"),
        names=2,
        find=_companion_rows,
    ),
    Subject(
        name="distributions",
        title="names to install by",
        word="package",
        rows=lambda matrix: matrix.distributions,
        columns=("name", "versions", "build", "retired", "replaced_by"),
        find=_starting(lambda matrix: matrix.distributions, "name"),
    ),
    Subject(
        name="conda_builds",
        title="builds of conda",
        word="conda build",
        rows=lambda matrix: matrix.conda_builds,
        columns=("channel", "build", "versions", "cuda", "cudnn"),
        names=4,
        find=_starting(lambda matrix: matrix.conda_builds, "channel"),
    ),
    Subject(
        name="wheel_tags",
        title="the pip of wheel tags",
        word="tag",
        rows=lambda matrix: matrix.wheel_tags,
        columns=("glibc", "tag", "pip"),
        find=_starting(lambda matrix: matrix.wheel_tags, "tag"),
    ),
    Subject(
        name="makers",
        title="other makers of GPUs",
        word="maker",
        rows=lambda matrix: matrix.makers,
        columns=("name", "words"),
        find=_starting(lambda matrix: matrix.makers, "name"),
    ),
    Subject(
        name="indexes",
        title="package indexes",
        word="index",
        rows=lambda matrix: tuple(matrix.indexes.values()),
        columns=("name", "url"),
        find=_starting(lambda matrix: matrix.indexes.values(), "name"),
    ),
    Subject(
        name="feeds",
        title="releases of vendors",
        word="feed",
        rows=lambda matrix: matrix.feeds,
        columns=("name", "subject", "url"),
        find=_starting(lambda matrix: matrix.feeds, "name"),
    ),
    Subject(
        name="snapshots",
        title="OS archives of a day",
        word="snapshot",
        rows=lambda matrix: matrix.snapshots,
        columns=("name", "url", "since"),
        find=_starting(lambda matrix: matrix.snapshots, "name"),
    ),
    Subject(
        name="broken",
        title="known not to work",
        word="broken",
        rows=lambda matrix: matrix.broken,
        columns=("when", "effect"),
        is_table=False,
        find=lambda matrix, text: [row for row in matrix.broken if row.when.get("framework") == text],
    ),
)
