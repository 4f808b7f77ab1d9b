"""`cudaforge audit`: Dockerfiles that cudaforge did not write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cudaforge.cli.beside import chosen_format
from cudaforge.cli.options import AsJson, Force
from cudaforge.cli.output import write_diff, write_json, write_note, write_text
from cudaforge.errors import ExitCode, InputError, Problem

if TYPE_CHECKING:
    from cudaforge.audit import Asked, Report
    from cudaforge.matrix import Matrix

_Format = Literal["text", "json", "sarif", "github"]
_Level = Literal["broken", "risky", "wasteful", "unknown"]


def audit(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE|DIR|WORD",
            help="Dockerfiles, directories to look for them in, and gpu=..., driver=..., platform=... .",
        ),
    ] = None,
    *,
    build_arg: Annotated[
        list[str] | None,
        typer.Option("--build-arg", metavar="NAME=VALUE", help="As `docker build` takes it. May repeat."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", metavar="DATE", help="The day on which pip installs; the facts' own without."
        ),
    ] = None,
    fail_on: Annotated[
        _Level, typer.Option("--fail-on", help="Exit 1 for this verdict and for every worse one.")
    ] = "broken",
    form: Annotated[
        _Format | None,
        typer.Option("--format", help="For people, machines, code scanning, or workflows of GitHub."),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write the mended lines into the files, and show the difference.")
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt", help="Write cudaforge.toml for the same image next to a Dockerfile, or a cog.yaml."
        ),
    ] = False,
    about: Annotated[
        str | None,
        typer.Option("--about", metavar="CODE", help="Print what a code means, with an example, and end."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> int:
    """Say what is wrong with Dockerfiles, why, and what line mends it. Builds and runs nothing."""
    from cudaforge import __version__
    from cudaforge.audit import Verdict
    from cudaforge.pipeline import auditing
    from cudaforge.report import audits as report

    wanted = chosen_format(form, as_json=as_json)
    if about is not None:
        from cudaforge.audit.pages import read_page

        write_text(read_page(about).rstrip("\n"))
        return ExitCode.OK
    matrix = auditing.load_facts()
    given = auditing.read_arguments(words or (), build_args=build_arg or (), as_of=as_of, matrix=matrix)
    reports = auditing.audit(given, matrix)
    if fix:
        mended = auditing.mend(reports, given.asked, matrix)
        reports = tuple(one.report for one in mended)
        for one in mended:
            if one.diff:
                write_diff(one.diff.rstrip("\n"))
    if adopt:
        _adopt(reports, given.asked, matrix, force=force)
        if wanted == "text":
            return ExitCode.OK
    if wanted == "json":
        write_json(report.audits_json(reports, auditing.worst(reports)))
    elif wanted == "sarif":
        write_text(json.dumps(report.audits_sarif(reports, __version__), indent=2))
    elif wanted == "github":
        write_text(report.audits_github(reports))
    else:
        write_text(report.describe_audits(reports))
    return ExitCode.NEGATIVE if auditing.fails(reports, Verdict(fail_on)) else ExitCode.OK


def _adopt(reports: Sequence[Report], asked: Asked, matrix: Matrix, *, force: bool) -> None:
    from cudaforge.pipeline.adopting import adopt

    if len(reports) != 1:
        raise InputError(
            Problem(what=f"--adopt takes one file, and {len(reports)} are named", remedy="name one of them")
        )
    adopted = adopt(reports[0], asked, matrix, force=force)
    write_note(f"wrote {adopted.path}")
    if adopted.dropped:
        write_note(f"given up, as nothing has all of it: {', '.join(adopted.dropped)}")
