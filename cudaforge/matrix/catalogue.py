"""The matrix to look at: its subjects, and finding rows by the words that people use for them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cudaforge.errors import InputError, NegativeAnswer, Problem
from cudaforge.matrix.sources import Source
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record
from cudaforge.versions import InvalidVersion, Version, VersionWish

_PIN = re.compile(r"([A-Za-z0-9._-]+)={2,3}([^=/]+)")
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


@record()
class Found:
    """What some words mean."""

    subject: Subject
    rows: tuple[Row, ...]


def subjects(matrix: Matrix) -> tuple[Subject, ...]:
    """All kinds of rows: each framework's builds are a kind of their own."""
    frameworks = tuple(_framework(name, row.title) for name, row in sorted(matrix.frameworks.items()))
    return (*frameworks, *_SUBJECTS)


def find_subject(matrix: Matrix, word: str) -> Subject | None:
    """The subject that a word names: `gpu`, `gpus`, `pytorch`, `torch`."""
    framework = matrix.find_framework(word)
    name = framework.name if framework is not None else word.lower()
    return next((one for one in subjects(matrix) if name in (one.name, one.word)), None)


def find_rows(matrix: Matrix, words: Sequence[str]) -> Found:
    """The rows that words mean: `pytorch 2.8`, `gpu RTX 5090`, `RTX 5090`, `torchvision`, `cuda 12.8`.

    Raises InputError for a name and NegativeAnswer for a version that the matrix does not know.
    """
    words = _plain_words(words)
    subject = find_subject(matrix, words[0])
    if subject is None:
        return _found_unnamed(matrix, " ".join(words), words)
    text = " ".join(words[1:])
    rows = tuple(subject.find(matrix, text) if text else subject.rows(matrix))
    if not rows:
        raise _unknown(matrix, subject, text)
    return Found(subject=subject, rows=rows)


def _plain_words(words: Sequence[str]) -> tuple[str, ...]:
    """Names as the rows have them: `torch==2.8.0` is a name and a version, and a reference says neither the
    default registry nor, beside its tag, a digest."""
    if not words or not all(word.strip() for word in words):
        raise InputError(
            Problem(
                what="an empty word names nothing", remedy="'cudaforge data list' lists what can be looked at"
            )
        )
    name, *rest = words
    pin = _PIN.fullmatch(name)
    return (*(pin.groups() if pin else (_plain_reference(name),)), *map(_plain_reference, rest))


def _plain_reference(word: str) -> str:
    from cudaforge.references import DEFAULT_REGISTRY  # seldom needed

    if "/" not in word and "@" not in word:
        return word
    name, _, digest = word.partition("@")
    is_tagged = ":" in name.rpartition("/")[2]
    prefix = f"{DEFAULT_REGISTRY}/"
    name = name.removeprefix(prefix).removeprefix("library/") if name.startswith(prefix) else name
    return name if is_tagged or not digest else f"{name}@{digest}"


def _plain_package(name: str) -> str:
    """As package indexes compare names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def source_of(row: Row) -> Source:
    """Where a row comes from."""
    source: Source = row.source
    return source


def _found_unnamed(matrix: Matrix, text: str, words: Sequence[str]) -> Found:
    """Names that say themselves what they are: GPUs, references of images, packages."""
    for name in ("gpus", "base_images", "framework_images"):
        subject = next(one for one in _SUBJECTS if one.name == name)
        if rows := tuple(subject.find(matrix, text)):
            return Found(subject=subject, rows=rows)
    companions = next(one for one in _SUBJECTS if one.name == "companions")
    known = [row for row in companions.rows(matrix) if row.package == _plain_package(words[0])]
    if not known:
        raise _unknown_name(matrix, words[0])
    if len(words) > 1:
        version = " ".join(words[1:])
        known = _versions(known, version)
        if not known:
            raise _unknown(matrix, companions, text)
    return Found(subject=companions, rows=tuple(known))


def unknown_subject(matrix: Matrix, word: str) -> InputError:
    """The error for a word that should name a subject, and names none."""
    names = [name for one in subjects(matrix) for name in (one.name, one.word)]
    near = difflib.get_close_matches(word.lower(), dict.fromkeys(names), n=3, cutoff=0.6)
    return InputError(
        Problem(
            what=f"{word!r} is no subject of the matrix",
            remedy=(f"did you mean {' or '.join(near)}? " if near else "")
            + f"subjects: {', '.join(one.name for one in subjects(matrix))}",
        )
    )


def _unknown_name(matrix: Matrix, word: str) -> InputError:
    names = [name for one in subjects(matrix) for name in (one.name, one.word)]
    names += [name for row in matrix.frameworks.values() for name in row.aliases]
    if "/" in word or ":" in word:
        names = [row.reference for row in matrix.base_images]
        names += [row.reference for row in matrix.framework_images]
    else:
        names += [row.package for row in _companions(matrix)]
    near = difflib.get_close_matches(word.lower(), dict.fromkeys(names), n=3, cutoff=0.6)
    return InputError(
        Problem(
            what=f"{word!r} is no subject of the matrix, and no GPU, image or package that it knows",
            remedy=("did you mean " + " or ".join(near) + "? " if near else "")
            + "'cudaforge data list' lists the subjects",
        )
    )


def _unknown(matrix: Matrix, subject: Subject, text: str) -> InputError | NegativeAnswer:
    key = subject.columns[0]
    known = list(dict.fromkeys(str(getattr(row, key)) for row in subject.rows(matrix)))
    package = _plain_package(text.partition(" ")[0])
    releases = [str(row.version) for row in _companions(matrix) if row.package == package]
    is_release = subject.name == "companions" and bool(releases)
    if is_release:
        known = releases
    if subject.is_versioned or is_release:
        builds = [row.build for row in subject.find(matrix, text.partition("+")[0])] if "+" in text else []
        near = list(dict.fromkeys(builds)) or _nearest(text, known)
        what = "builds of that release" if builds else "nearest that it knows"
        return NegativeAnswer(
            Problem(
                what=f"the matrix does not know {text if is_release else f'{subject.word} {text}'}",
                because=(f"the {what}: {', '.join(near)}",) if near else (),
                remedy=f"'cudaforge data list {subject.name}' lists what is known; "
                "facts of your own go into an overlay (docs/matrices.md)",
            )
        )
    matches = difflib.get_close_matches(text, known, n=3, cutoff=0.5)
    matches = matches or [one for one in known if text.lower() in one.lower()][:3]
    return InputError(
        Problem(
            what=f"the matrix knows no {subject.word} {text!r}",
            remedy=(f"did you mean {' or '.join(matches)}? " if matches else "")
            + f"'cudaforge data list {subject.name}' lists what is known",
        )
    )


def _nearest(text: str, known: Iterable[str]) -> list[str]:
    try:
        wanted = Version(text.rsplit(" ", maxsplit=1)[-1].lstrip("=<>~!"))
    except InvalidVersion:
        return []
    releases = sorted({Version(one) for one in known})
    below = [one for one in releases if one <= wanted][-1:]
    above = [one for one in releases if one > wanted][:1]
    return [str(one) for one in (*below, *above)]


def _versions(rows: Iterable[Row], text: str, *, field: str = "version") -> list[Row]:
    try:
        wish = VersionWish(text)
    except InvalidVersion:
        return []
    return [row for row in rows if wish.allows(getattr(row, field))]


def _framework(name: str, title: str) -> Subject:
    def find(matrix: Matrix, text: str) -> Sequence[Row]:
        version, _, label = text.replace(" ", "+").partition("+")
        rows = _versions(matrix.builds(name), version) if version else list(matrix.builds(name))
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


def _companions(matrix: Matrix) -> Sequence[Row]:
    return [row for name in sorted(matrix.frameworks) for row in matrix.companions(name)]


def _companion_rows(matrix: Matrix, text: str) -> Sequence[Row]:
    package, _, version = text.partition(" ")
    rows = [row for row in _companions(matrix) if row.package == _plain_package(package)]
    return _versions(rows, version) if version else rows


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


_SUBJECTS: tuple[Subject, ...] = (
    Subject(
        name="cuda",
        title="CUDA toolkit releases",
        word="cuda",
        rows=lambda matrix: matrix.cuda_releases,
        columns=("version", "released", "driver", "minor_driver", "capabilities", "gcc", "clang"),
        find=lambda matrix, text: _versions(matrix.cuda_releases, text),
        is_versioned=True,
    ),
    Subject(
        name="cudnn",
        title="cuDNN releases",
        word="cudnn",
        rows=lambda matrix: matrix.cudnn_releases,
        columns=("version", "released", "packages", "capability_min", "capability_max", "cuda"),
        find=lambda matrix, text: _versions(matrix.cudnn_releases, text),
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
        find=lambda matrix, text: _versions(matrix.standalone_pythons, text),
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
        rows=_companions,
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
        name="broken",
        title="known not to work",
        word="broken",
        rows=lambda matrix: matrix.broken,
        columns=("when", "effect"),
        is_table=False,
        find=lambda matrix, text: [row for row in matrix.broken if row.when.get("framework") == text],
    ),
)
