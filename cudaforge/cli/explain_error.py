"""`cudaforge explain-error`: what an error message means, and what to do."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, AsJson, File
from cudaforge.cli.output import write_json, write_text
from cudaforge.errors import ExitCode, InputError, Location, Problem

_STDIN = "-"


def explain_error(
    text: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT", help="The message; several words are joined. '-' reads a log from stdin."
        ),
    ],
    *,
    file: File = DEFAULT_FILE,
    as_json: AsJson = False,
) -> int:
    """Say what an error message means: cause and remedy, the likeliest first.

    Knows messages of drivers, container engines, frameworks, installers and registries. Exits 1 with
    'unknown' where it does not know the text: it never guesses.
    """
    from cudaforge.pipeline import explaining
    from cudaforge.report.causes import causes_json, describe_causes

    if list(text) == [_STDIN]:
        causes = explaining.explain_log(sys.stdin.buffer, file)
    elif not "".join(text).strip():
        where = Location(file="command line", key="TEXT")
        raise InputError(
            Problem(what="the message is empty", where=where, remedy="quote the message, or give '-'")
        )
    else:
        causes = explaining.explain_text(" ".join(text), file)
    if as_json:
        write_json({"causes": causes_json(causes)})
    else:
        write_text(describe_causes(causes))
    return ExitCode.OK if causes else ExitCode.NEGATIVE
