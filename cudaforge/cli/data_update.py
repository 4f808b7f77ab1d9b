"""`cudaforge data update`: comparing the facts with their sources."""

from __future__ import annotations

from typing import Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, AsJson, File, Offline
from cudaforge.cli.output import write_json, write_note, write_text
from cudaforge.errors import ExitCode


def update(
    subjects: Annotated[
        list[str] | None, typer.Argument(metavar="SUBJECT", help="Frameworks; all without any.")
    ] = None,
    *,
    file: File = DEFAULT_FILE,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when something is out of date.")] = False,
    offline: Offline = False,
    as_json: AsJson = False,
) -> int:
    """Ask the package indexes again, and show what they say and the facts do not. Changes no file."""
    from cudaforge.pipeline.refreshing import refresh
    from cudaforge.report import changes as report

    found = refresh(subjects or (), file, offline=offline)
    if as_json:
        write_json(report.changes_json(found.changes, found.asked, found.unreachable))
    else:
        if found.unreachable:
            write_note(report.describe_unreachable(found.unreachable))
        write_text(report.describe_changes(found.changes, found.asked))
    return ExitCode.NEGATIVE if check and found.changes else ExitCode.OK
