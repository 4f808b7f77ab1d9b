"""Commands that decide: `resolve`, `explain`, `lock`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cudaforge.cli.beside import chosen_format
from cudaforge.cli.ci import chosen_part, write_plan
from cudaforge.cli.options import DEFAULT_FILE, AllowUnpinned, AsJson, File, Offline, Words
from cudaforge.cli.output import write_json, write_json_lists, write_note, write_text
from cudaforge.errors import ExitCode, InputError, Location, Problem

if TYPE_CHECKING:
    from cudaforge.declaration.model import Declaration
    from cudaforge.resolver import ImageAnswer, ImageExplanation

_MOST_LISTED = 1_000_000
"""More answers than anybody reads, and few enough to count with."""


def resolve(
    words: Words = None,
    *,
    file: File = DEFAULT_FILE,
    top: Annotated[
        int,
        typer.Option(
            "--top", min=1, max=_MOST_LISTED, metavar="N", help="List the best N answers of each image."
        ),
    ] = 1,
    every: Annotated[bool, typer.Option("--all", help="List all answers of each image, best first.")] = False,
    fleet: Annotated[
        bool, typer.Option("--fleet", help="Find the fewest images that serve the file's whole fleet.")
    ] = False,
    dump: Annotated[
        list[str] | None,
        typer.Option(
            "--dump",
            metavar="PATH",
            help="Take as the fleet what `nvidia-smi -q -x` wrote: a file or a directory. May repeat.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Pick the best set of versions, or say which wishes collide."""
    from cudaforge.pipeline import decide

    if fleet or dump:
        if top > 1 or every:
            option = "--all" if every else "--top"
            raise InputError(Problem(what=f"{option} lists answers to one question; a fleet asks several"))
        return _resolve_fleet(decide.load_asked(words or (), file), file, dump or (), as_json=as_json)
    if top > 1 and every:
        raise InputError(Problem(what="--all lists every answer, --top N the first N: one of them is enough"))
    from cudaforge.report import answers as report

    declaration = decide.load_asked(words or (), file)
    answers = decide.resolve(declaration)
    listed = decide.alternatives(declaration, limit=None if every else top) if top > 1 or every else ()
    if as_json:
        write_json({"images": report.answers_json(answers, listed)})
    else:
        write_text(report.describe_answers(answers, listed))
    return _exit_code(declaration, answers)


def explain(words: Words = None, *, file: File = DEFAULT_FILE, as_json: AsJson = False) -> int:
    """Say why each value was chosen, what it beat, and what excluded better ones."""
    from cudaforge.pipeline import decide
    from cudaforge.report import answers as report

    declaration = decide.load_asked(words or (), file)
    answers = decide.explain(declaration)
    if as_json:
        write_json({"images": report.explanations_json(answers)})
    else:
        write_text(report.explain_answers(answers))
    return _exit_code(declaration, answers)


def matrix(
    *,
    file: File = DEFAULT_FILE,
    form: Annotated[
        Literal["text", "json", "github", "gitlab", "names"] | None,
        typer.Option(
            "--format",
            help="text for people, json for machines; of locked images: jobs for GitHub or GitLab, or names.",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts of about equal cost."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="COMMIT", help="Only images that are not as they were in that commit."
        ),
    ] = None,
    max_jobs: Annotated[
        int | None,
        typer.Option(
            "--max-jobs",
            min=1,
            metavar="N",
            help="Of github and gitlab: several images in one job rather than more jobs [256].",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Expand the matrix: every image with its answer, and what is dropped, by what is wrong with it."""
    from cudaforge.pipeline import decide

    asked = chosen_format(form, as_json=as_json)
    if max_jobs is not None and asked not in ("github", "gitlab"):
        raise InputError(
            Problem(
                what=f"--format {asked} makes no jobs",
                where=Location(file="command line", key="--max-jobs"),
                remedy="leave --max-jobs out, or add --format github or gitlab",
            )
        )
    declaration = decide.load(file)
    if asked in ("github", "gitlab", "names"):
        locked = chosen_part(declaration, shard=shard, since=since)
        write_plan(locked, form=asked, max_jobs=max_jobs)
        return ExitCode.OK
    from cudaforge.report import answers as report

    answers = decide.resolve(declaration)
    if shard is not None or since is not None:
        chosen = {image.name for image in chosen_part(declaration, shard=shard, since=since).images}
        answers = tuple(answer for answer in answers if answer.name in chosen)
    if asked == "json":
        flags = decide.is_dropped(declaration, answers)
        kept = [one for one, is_dropped in zip(answers, flags, strict=True) if not is_dropped]
        dropped = [one for one, is_dropped in zip(answers, flags, strict=True) if is_dropped]
        write_json_lists({"images": report.point_lines(kept), "dropped": report.dropped_lines(dropped)})
    else:
        write_text(report.describe_matrix(answers))
    return _exit_code(declaration, answers)


def lock(
    *,
    file: File = DEFAULT_FILE,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the lock is there and up to date.")
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="DAY",
            help="Only what was released by that day (2026-06-01); the lock keeps it. 'none' ends that.",
        ),
    ] = None,
    allow_unpinned: AllowUnpinned = False,
    offline: Offline = False,
    as_json: AsJson = False,
) -> int:
    """Pin bases by digest and wheels by hash; what is locked stays where it still fits."""
    from cudaforge.lockfile.effects import known_gpus
    from cudaforge.pipeline import decide, host, locking
    from cudaforge.report.locks import describe_lock, lock_json

    declaration = decide.load(file)
    if check:
        current = locking.current_lock(declaration, as_of=as_of)
        outcome = locking.LockOutcome(path=host.lock_path(declaration), lock=current, previous=current)
    else:
        outcome = locking.lock(
            declaration,
            as_of=as_of,
            allow_unpinned=allow_unpinned,
            offline=offline,
            on_note=write_note,
        )
    gpus = known_gpus(decide.matrix_of(declaration))
    if as_json:
        told = lock_json(outcome.path, outcome.lock, outcome.previous, gpus=gpus)
        write_json({**told, "moves": outcome.moves, "warnings": outcome.warnings})
    elif check:
        write_text("the lock is up to date")
    else:
        moved = (outcome.path, outcome.lock, outcome.previous)
        write_text(describe_lock(*moved, gpus=gpus, warnings=outcome.warnings))
    return ExitCode.OK


def _resolve_fleet(declaration: Declaration, file: Path, dumps: Sequence[str], *, as_json: bool) -> int:
    from cudaforge.fleet import fleet_answer_to_json
    from cudaforge.pipeline import fleets
    from cudaforge.report.fleets import describe_fleet

    nodes = fleets.dumped_nodes(dumps) if dumps else fleets.declared_nodes(file)
    answers = fleets.resolve_fleet(declaration, nodes)
    if as_json:
        write_json({"images": [fleet_answer_to_json(answer) for answer in answers]})
    else:
        write_text(describe_fleet(answers))
    return ExitCode.NEGATIVE if fleets.has_fatal_gap(declaration, answers) else ExitCode.OK


def _exit_code(declaration: Declaration, answers: Sequence[ImageAnswer] | Sequence[ImageExplanation]) -> int:
    from cudaforge.pipeline.decide import has_fatal_conflict

    return ExitCode.NEGATIVE if has_fatal_conflict(declaration, answers) else ExitCode.OK
