"""The matrix to look at: its subjects, and finding rows by the words that people use for them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from cudaforge.errors import InputError, NegativeAnswer, Problem
from cudaforge.matrix.sources import Source
from cudaforge.matrix.subjects import (
    SUBJECTS,
    Row,
    Subject,
    all_companions,
    framework_subject,
    plain_package,
    with_version,
)
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record
from cudaforge.versions import InvalidVersion, Version

_PIN = re.compile(r"([A-Za-z0-9._-]+)={2,3}([^=/]+)")


@record()
class Found:
    """What some words mean."""

    subject: Subject
    rows: tuple[Row, ...]


def subjects(matrix: Matrix) -> tuple[Subject, ...]:
    """All kinds of rows: each framework's builds are a kind of their own."""
    frameworks = tuple(framework_subject(name, row.title) for name, row in sorted(matrix.frameworks.items()))
    return (*frameworks, *SUBJECTS)


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


def source_of(row: Row) -> Source:
    """Where a row comes from."""
    source: Source = row.source
    return source


def _found_unnamed(matrix: Matrix, text: str, words: Sequence[str]) -> Found:
    """Names that say themselves what they are: GPUs, references of images, packages."""
    for name in ("gpus", "base_images", "framework_images"):
        subject = next(one for one in SUBJECTS if one.name == name)
        if rows := tuple(subject.find(matrix, text)):
            return Found(subject=subject, rows=rows)
    companions = next(one for one in SUBJECTS if one.name == "companions")
    known = [row for row in companions.rows(matrix) if row.package == plain_package(words[0])]
    if not known:
        raise _unknown_name(matrix, words[0])
    if len(words) > 1:
        version = " ".join(words[1:])
        known = with_version(known, version)
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
        names += [row.package for row in all_companions(matrix)]
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
    package = plain_package(text.partition(" ")[0])
    releases = [str(row.version) for row in all_companions(matrix) if row.package == package]
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
