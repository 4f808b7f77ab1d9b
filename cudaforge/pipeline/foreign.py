"""Proving images that somebody else made: what is in them, and what the facts say of that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.display import show
from cudaforge.errors import InputError, Location, NegativeAnswer, Problem
from cudaforge.lockfile.model import LockedImage
from cudaforge.matrix import Matrix
from cudaforge.matrix.model import Framework
from cudaforge.pipeline.decide import Note, load, matrix_of
from cudaforge.pipeline.expecting import capabilities_of, expected_of
from cudaforge.pipeline.facts import find_matrix
from cudaforge.pipeline.foreign_entry import compose, is_version
from cudaforge.records import record

if TYPE_CHECKING:
    from cudaforge.engine import Engine, ImageFacts
    from cudaforge.verifier import ForeignImage, FoundPython, Tier, Verdict
    from cudaforge.verifier.evidence import Report
    from cudaforge.verifier.inspecting import Findings

_WORD = re.compile(r"(?P<key>[a-z_]+)={1,2}(?P<value>.*)", re.DOTALL)
_IMAGE_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}")
_PLAIN = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*")
_PULL_SECONDS = 3600.0


@record()
class Asked:
    """What an image is held against."""

    frameworks: tuple[str, ...] = ()
    """As they were written; empty means all that are found."""
    gpus: tuple[str, ...] = ()
    driver: str | None = None


def is_word(text: str) -> bool:
    """Whether it is a wish such as `gpu=H100`, and no image."""
    return _WORD.fullmatch(text) is not None


def asked_of(words: Sequence[str], frameworks: Sequence[str]) -> Asked:
    """What words and options ask. Raises InputError for words that say nothing of an image that is there."""
    gpus: list[str] = []
    driver: str | None = None
    for word in words:
        match = _WORD.fullmatch(word)
        key, value = (match["key"], match["value"].strip()) if match else ("", "")
        if key == "gpu" and value:
            gpus.append(value)
        elif key == "driver" and is_version(value):
            driver = value
        else:
            raise InputError(
                Problem(
                    what=f"{show(word)} cannot be asked of an image that is there",
                    where=Location(file="command line", key=word),
                    remedy="gpu=H100 (may be repeated) and driver=570.86 can",
                )
            )
    return Asked(frameworks=tuple(frameworks), gpus=tuple(dict.fromkeys(gpus)), driver=driver)


def facts_beside(file: Path) -> Matrix:
    """The matrix, with the overlays of the declaration if there is one."""
    return matrix_of(load(file)) if file.exists() else find_matrix(file)


def verify_foreign(  # noqa: PLR0913 -- one image, what it is held against, and how it is reached
    reference: str,
    asked: Asked,
    *,
    matrix: Matrix,
    engine: Engine,
    run_id: str,
    findings: Findings,
    tier: Tier | None = None,
    devices: tuple[str, ...] = (),
    pull: bool = False,
    known: Sequence[str] = (),
    on_note: Note = lambda _: None,
) -> Verdict:
    """Prove an image of the engine by what is in it. `known` are the names that could have been meant.

    Raises InputError for what is no reference and for frameworks and GPUs that nobody knows, NegativeAnswer
    where the engine has no such image or the image no such framework, EngineError when the engine fails.
    """
    from cudaforge.verifier import verify_image

    check_names([reference], ())
    wanted = _wanted(matrix, asked.frameworks)
    capabilities_of(matrix, asked.gpus)
    image = _find(reference, engine, pull=pull, known=known, on_note=on_note)
    looking = _Looking(image=image, engine=engine, run_id=run_id, findings=findings)
    entry, foreign = _describe(reference, looking, matrix, wanted, is_named=bool(asked.frameworks))
    expected = expected_of(entry, matrix, gpus=asked.gpus, driver=asked.driver)
    has = ", ".join(f"{one.name} {one.reported}" for one in entry.frameworks)
    on_note(f"{reference}: {has} in {foreign.python}")
    return verify_image(
        entry,
        reference,
        engine=engine,
        run_id=run_id,
        tier=tier,
        devices=devices,
        expected=expected,
        findings=findings,
        foreign=foreign,
    )


@record()
class _Looking:
    """How an image is looked into."""

    image: ImageFacts
    engine: Engine
    run_id: str
    findings: Findings


def _wanted(matrix: Matrix, names: Sequence[str]) -> tuple[Framework, ...]:
    from cudaforge.verifier import has_proof

    provable = {row.name: row for row in matrix.frameworks.values() if has_proof(row.proof)}
    if not names:
        return tuple(provable.values())
    rows = [matrix.find_framework(name) for name in names]
    unknown = [name for name, row in zip(names, rows, strict=True) if row is None or row.name not in provable]
    if unknown:
        raise InputError(
            Problem(
                what=f"there is no proof of a framework {show(name)}",
                where=Location(file="command line", key="--framework"),
                remedy=f"known: {', '.join(sorted(provable))}",
            )
            for name in unknown
        )
    return tuple({row.name: row for row in rows if row is not None}.values())


def check_names(names: Sequence[str], known: Sequence[str]) -> None:
    """Raise InputError for names that cannot be images of the engine. Beside images of a declaration, those
    that are `known`, a plain word means one of them: an image of the engine is then named with its tag."""
    from cudaforge.references import InvalidReference, parse_reference

    problems = []
    for name in names:
        if _IMAGE_ID.fullmatch(name) is not None:
            continue
        try:
            parse_reference(name)
        except InvalidReference as error:
            problems.append(_no_image(name, f"{show(name)} names no image: {error}", known))
            continue
        if known and not set("/:@") & set(name):
            problems.append(_no_image(name, f"the declaration has no image {show(name)}", known))
    if problems:
        raise InputError(problems)


def _no_image(name: str, what: str, known: Sequence[str]) -> Problem:
    from cudaforge.resolver.names import near_names

    near = near_names(name, known)
    remedy = (
        f"did you mean {' or '.join(near)}? " if near else f"known: {', '.join(known)}; " if known else ""
    )
    if _PLAIN.fullmatch(name):
        remedy += f"an image of the engine is named with its tag: {name}:latest"
    return Problem(what=what, where=Location(file="command line"), remedy=remedy.strip(" ;") or None)


def _find(reference: str, engine: Engine, *, pull: bool, known: Sequence[str], on_note: Note) -> ImageFacts:
    image = engine.find_image(reference)
    if image is None and pull:
        on_note(f"{reference}: pulling")
        engine.pull_image(reference, timeout=_PULL_SECONDS)
        image = engine.find_image(reference)
    if image is None:
        raise NegativeAnswer(
            Problem(
                what=f"the engine has no image {reference}",
                because=(f"images of the declaration: {', '.join(known)}",) if known else (),
                remedy=f"pull it first: {engine.words.pull} {reference}; or let cudaforge do so: --pull",
            )
        )
    return image


def _describe(
    reference: str, looking: _Looking, matrix: Matrix, wanted: Sequence[Framework], *, is_named: bool
) -> tuple[LockedImage, ForeignImage]:
    """The lock entry that the image would have, as far as facts say, and the Python with the frameworks."""
    from cudaforge.verifier import FoundPython, survey

    image = looking.image
    if image.architecture and image.architecture != looking.engine.architecture:
        # Nothing of it can be started: the verdict says so, whatever is in it.
        python = FoundPython(path="", version="0", distributions={})
        return compose(reference, image, python, matrix, dict.fromkeys([wanted[0].name]), None)
    found = survey(image, engine=looking.engine, run_id=looking.run_id, findings=looking.findings)
    if not found.pythons:
        because = (found.failure.text,) if found.failure is not None else ()
        raise NegativeAnswer(
            Problem(
                what=f"{reference} has no Python that starts [python-missing]",
                because=because,
                remedy="the frameworks that cudaforge proves are Python packages",
            )
        )
    python, installed = _pick(found.pythons, wanted)
    absent = [row.name for row in wanted if is_named and row.name not in installed]
    if absent or not installed:
        raise NegativeAnswer(_nothing_found(reference, found.pythons, absent, wanted))
    return compose(
        reference,
        image,
        python,
        matrix,
        installed,
        _look(looking, python.path, [matrix.frameworks[name] for name in installed]),
    )


def _pick(
    pythons: Sequence[FoundPython], wanted: Sequence[Framework]
) -> tuple[FoundPython, dict[str, str | None]]:
    """The Python with the most of the frameworks, the first of equals, and the versions that it has."""
    having = [
        {row.name: version for row in wanted if (version := _installed(python, row)) is not None}
        for python in pythons
    ]
    best = max(range(len(pythons)), key=lambda index: (len(having[index]), -index))
    return pythons[best], dict(having[best])


def _installed(python: FoundPython, framework: Framework) -> str | None:
    from cudaforge.verifier.proofs import proof_files

    pattern = re.compile(proof_files(framework.proof).package)
    versions = [one for name, one in python.distributions.items() if pattern.fullmatch(name)]
    return versions[0] if versions else None


def _nothing_found(
    reference: str, pythons: Sequence[FoundPython], absent: Sequence[str], wanted: Sequence[Framework]
) -> Problem:
    named = ", ".join(absent) or f"any of {', '.join(sorted(row.name for row in wanted))}"
    return Problem(
        what=f"no Python of {reference} has {named}",
        because=tuple(
            f"{python.path} ({python.version}): {len(python.distributions)} distributions"
            for python in pythons[:6]
        ),
        remedy="name another framework with --framework, or another image",
    )


def _look(looking: _Looking, python: str, frameworks: Sequence[Framework]) -> Report | None:
    from cudaforge.verifier.inspecting import Question, inspect

    question = Question(python=python, proofs=tuple(row.proof for row in frameworks))
    return inspect(
        looking.image.id,
        question,
        engine=looking.engine,
        run_id=looking.run_id,
        findings=looking.findings,
    ).report
