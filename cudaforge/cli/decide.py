"""Commands that decide: `resolve`, `explain`, `lock`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, AllowUnpinned, AsJson, File, Offline, Words
from cudaforge.cli.output import write_json, write_note, write_text
from cudaforge.errors import ExitCode

if TYPE_CHECKING:
    from cudaforge.declaration.model import Declaration


def resolve(
    words: Words = None,
    *,
    file: File = DEFAULT_FILE,
    top: Annotated[
        int, typer.Option("--top", min=1, metavar="N", help="List the best N answers of each image.")
    ] = 1,
    as_json: AsJson = False,
) -> int:
    """Pick the best set of versions, or say which wishes collide."""
    from cudaforge import pipeline
    from cudaforge.report.answers import answers_json, describe_answers

    declaration = _declaration(words, file)
    answers = pipeline.resolve(declaration, top=top)
    if as_json:
        write_json({"images": answers_json(answers)})
    else:
        write_text(describe_answers(answers))
    return _exit_code(declaration, answers)


def explain(words: Words = None, *, file: File = DEFAULT_FILE, as_json: AsJson = False) -> int:
    """Say why each value was chosen, and by which fact."""
    from cudaforge import pipeline
    from cudaforge.report.answers import explain_answers, explanations_json

    declaration = _declaration(words, file)
    answers = pipeline.resolve(declaration)
    if as_json:
        write_json({"images": explanations_json(answers)})
    else:
        write_text(explain_answers(answers))
    return _exit_code(declaration, answers)


def lock(
    *,
    file: File = DEFAULT_FILE,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the lock is there and up to date.")
    ] = False,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Take the newest packages instead of keeping those locked.")
    ] = False,
    allow_unpinned: AllowUnpinned = False,
    offline: Offline = False,
    as_json: AsJson = False,
) -> int:
    """Pin bases by digest and wheels by hash."""
    from cudaforge import pipeline
    from cudaforge.report.locks import describe_lock, lock_json

    declaration = pipeline.load(file)
    if check:
        locked = pipeline.load_current_lock(declaration)
        if as_json:
            write_json(
                {"lock": str(pipeline.lock_path(declaration)), "stale": [], "images": len(locked.images)}
            )
        else:
            write_text("the lock is up to date")
        return ExitCode.OK
    outcome = pipeline.lock(
        declaration,
        allow_unpinned=allow_unpinned,
        offline=offline,
        upgrade=upgrade,
        on_note=write_note,
    )
    if as_json:
        write_json(lock_json(outcome))
    else:
        write_text(describe_lock(outcome))
    return ExitCode.OK


def _declaration(words: Sequence[str] | None, file: Path) -> Declaration:
    from cudaforge import pipeline

    if words and all(_is_name(word) for word in words) and file.exists():
        declaration = pipeline.load(file)
        if all(pipeline.has_image(declaration, word) for word in words):
            return pipeline.only_images(declaration, words)
    return pipeline.load_words(words) if words else pipeline.load(file)


def _is_name(word: str) -> bool:
    return not any(character in word for character in "=<>!~")


def _exit_code(declaration: Declaration, answers: Sequence[object]) -> int:
    from cudaforge.pipeline import has_fatal_conflict

    return ExitCode.NEGATIVE if has_fatal_conflict(declaration, answers) else ExitCode.OK
