"""`cudaforge data update`: comparing the facts with their sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, AsJson, File, Offline
from cudaforge.cli.output import write_json, write_note, write_text
from cudaforge.errors import ExitCode, InputError, Location, Problem

if TYPE_CHECKING:
    from cudaforge.pipeline.recording import Record
    from cudaforge.pipeline.refreshing import Refreshed


def update(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUBJECT",
            help="Frameworks, companions, cuda, cudnn, base_images, framework_images; all without any.",
        ),
    ] = None,
    *,
    file: File = DEFAULT_FILE,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when something is out of date.")] = False,
    write: Annotated[
        bool,
        typer.Option("--write", help="Write the rows: into a checkout's matrices/, else into an overlay."),
    ] = False,
    offline: Offline = False,
    as_json: AsJson = False,
) -> int:
    """Ask the sources of the facts again, and show what they say and the facts do not."""
    if check and write:
        where = Location(file="command line", key="--check --write")
        raise InputError(Problem(what="--check changes no file, and --write does", where=where))
    from datetime import datetime, timezone

    from cudaforge.pipeline import recording
    from cudaforge.pipeline.refreshing import refresh

    found = refresh(subjects or (), file, offline=offline)
    today = datetime.now(tz=timezone.utc).date().isoformat()
    prepared = recording.prepare(found.difference, file, today=today)
    if as_json:
        if write:
            recording.write(prepared)
        _write_json(found, prepared, written=write)
    else:
        _describe(found, prepared)
        if write:
            recording.write(prepared)
            _describe_written(found, prepared, file)
        for problem in prepared.findings:
            write_note(f"--write would refuse this: {problem.what}")
    return ExitCode.NEGATIVE if check and found.difference.changes else ExitCode.OK


def _write_json(found: Refreshed, prepared: Record, *, written: bool) -> None:
    from cudaforge.report import changes as report

    known = report.changes_json(found.difference.changes, found.asked, found.unreachable)
    texts = {path: text for path, (_, text) in prepared.files.items()}
    rows = report.rows_json(
        found.difference.proposals, prepared.refused, texts, written=written and bool(texts)
    )
    findings = [problem.what for problem in prepared.findings]
    write_json(
        {
            **known,
            **rows,
            "silent": list(found.difference.silent),
            "findings": findings,
            "diff": prepared.diff(),
        }
    )


def _describe(found: Refreshed, prepared: Record) -> None:
    from cudaforge.report import changes as report

    if found.unreachable:
        write_note(report.describe_unreachable(found.unreachable))
    difference = found.difference
    write_text(report.describe_changes(difference.changes, found.asked))
    if unread := report.describe_rows(difference.proposals, prepared.refused, difference.silent):
        write_text(f"\n{unread}")
    if prepared.files:
        write_text(f"\n{prepared.diff().rstrip()}")


def _describe_written(found: Refreshed, prepared: Record, file: Path) -> None:
    from cudaforge.report import changes as report

    difference = found.difference
    left = report.describe_unwritten(
        difference.changes, difference.proposals, prepared.refused, difference.silent
    )
    if prepared.files:
        write_text("\nwritten: " + ", ".join(str(path) for path in prepared.files))
        if left:
            write_text(f"not written: {left}")
    else:
        write_text(f"\nnothing was written: {left or '0 differences'}")
    if prepared.undeclared:
        write_text(report.describe_undeclared(prepared.undeclared, file))
