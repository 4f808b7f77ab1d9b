"""Writing the declaration that makes what a Dockerfile, or a `cog.yaml`, means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import tomli_w

from cudaforge.audit import Asked, Facts, Report
from cudaforge.audit.adopt import Wishes, loosened, wishes_of
from cudaforge.declaration import load_declaration
from cudaforge.errors import CudaforgeError, InputError, Location, NegativeAnswer, Problem
from cudaforge.files import write_atomically
from cudaforge.matrix import Matrix
from cudaforge.pipeline.cog import facts_of_cog, is_cog
from cudaforge.records import record
from cudaforge.resolver import resolve
from cudaforge.resolver.model import Conflict

_NAME = re.compile(r"[^a-z0-9]+")
_HEAD = "# Written by `cudaforge audit --adopt` from {file}: read it, then `cudaforge resolve`.\n"


@record()
class Adopted:
    """A declaration that was written, and the wishes that had to be given up for it to resolve."""

    path: Path
    dropped: tuple[str, ...]


def adopt(report: Report, asked: Asked, matrix: Matrix, *, force: bool) -> Adopted:
    """Write `cudaforge.toml` next to an audited file.

    Raises InputError where there is one already, unless `force`, and where no framework is known;
    NegativeAnswer where no wishes that come near it resolve.
    """
    source = Path(report.file)
    target = source.parent / "cudaforge.toml"
    if target.exists() and not force:
        raise InputError(
            Problem(
                what=f"{target} is there already",
                where=Location(file=str(target)),
                remedy="--force overwrites it",
            )
        )
    facts = facts_of_cog(source, asked, matrix) if is_cog(source) else report.facts
    if not facts.frameworks:
        raise InputError(
            Problem(
                what=f"{source} installs no framework that the facts know: there is nothing to adopt",
                where=Location(file=str(source)),
            )
        )
    name = _NAME.sub("-", source.resolve().parent.name.lower()).strip("-") or "image"
    text, dropped = _first_that_resolves(facts, asked, matrix, target, name)
    write_atomically(target, _HEAD.format(file=source.name) + _given_up(dropped) + text)
    return Adopted(path=target, dropped=dropped)


def _given_up(dropped: tuple[str, ...]) -> str:
    return f"# Given up, as nothing has all of it: {', '.join(dropped)}.\n" if dropped else ""


def _first_that_resolves(
    facts: Facts, asked: Asked, matrix: Matrix, target: Path, name: str
) -> tuple[str, tuple[str, ...]]:
    last: CudaforgeError | None = None
    for wishes, dropped in loosened(wishes_of(facts, asked)):
        text = _text(wishes, name)
        try:
            answers = _resolved(text, target, matrix)
        except InputError as error:
            last = error
            continue
        if answers:
            return text, dropped
    raise last or NegativeAnswer(
        Problem(
            what="nothing that comes near this file resolves",
            where=Location(file=str(target)),
            remedy="`cudaforge resolve` with words says which wishes collide",
        )
    )


def _text(wishes: Wishes, name: str) -> str:
    document: Mapping[str, object] = {
        "schema": 1,
        "project": {"name": name},
        "images": {"adopted": dict(wishes)},
    }
    return tomli_w.dumps(document)


def _resolved(text: str, target: Path, matrix: Matrix) -> bool:
    """Whether a declaration with that text, in that place, resolves. Raises InputError for a bad one."""
    draft = target.with_name(f".{target.name}.draft")
    try:
        write_atomically(draft, text)
        declaration = load_declaration(draft)
    finally:
        draft.unlink(missing_ok=True)
    return not any(isinstance(resolve(image.wishes, matrix), Conflict) for image in declaration.images)
