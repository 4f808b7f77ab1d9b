"""`cudaforge gate`: a scanner's report against a threshold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal

import typer

from cudaforge.cli.options import AsJson
from cudaforge.cli.output import read_input, write_json, write_text
from cudaforge.errors import ExitCode, InputError, Location, Problem
from cudaforge.records import replace

_LARGEST_REPORT = 256 * 1024 * 1024
_Level = Literal["negligible", "low", "medium", "high", "critical"]


def gate(
    reports: Annotated[
        list[str],
        typer.Argument(
            metavar="REPORT...", help="Scanners' reports: SARIF, or JSON of Trivy or Grype; '-' is stdin."
        ),
    ],
    *,
    fail_on: Annotated[
        _Level, typer.Option("--fail-on", help="Exit 1 for this severity and for every worse one.")
    ] = "high",
    allow: Annotated[
        Path | None,
        typer.Option("--allow", metavar="FILE", help="TOML of what may be there: id, reason, expires."),
    ] = None,
    ignore_unfixed: Annotated[
        bool, typer.Option("--ignore-unfixed", help="Let what has no fix pass; it is counted.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Say whether the vulnerabilities that a scanner found let an image pass. Scans nothing itself."""
    from cudaforge.declaration.source import read_bytes, read_source
    from cudaforge.gate import (
        Allowance,
        Finding,
        Severity,
        judge,
        judgement_to_json,
        parse_allowances,
        parse_findings,
    )
    from cudaforge.report.gate import describe_judgement

    today = datetime.now(tz=timezone.utc).date()
    allowances: tuple[Allowance, ...] = ()
    if allow is not None:
        with _given_as("--allow", "name the TOML file of what may be there, or leave the option out"):
            tree = read_source(allow).tree
        allowances = parse_allowances(tree, file=str(allow), today=today)
    findings: list[Finding] = []
    for name in reports:
        if name == "-":
            text = read_input(_LARGEST_REPORT + 1)
            if len(text) > _LARGEST_REPORT:
                raise InputError(Problem(what="the report on stdin is too large", where=Location(file="-")))
        else:
            with _given_as("REPORT", "name the file that the scanner wrote; '-' reads it from stdin"):
                text = read_bytes(Path(name), name, limit=_LARGEST_REPORT)
        findings += parse_findings(text, file=name)
    judgement = judge(
        findings, allowances, threshold=Severity[fail_on.upper()], ignores_unfixed=ignore_unfixed
    )
    if as_json:
        write_json(judgement_to_json(judgement))
    else:
        write_text(describe_judgement(judgement))
    return ExitCode.OK if judgement.ok else ExitCode.NEGATIVE


@contextlib.contextmanager
def _given_as(word: str, remedy: str) -> Iterator[None]:
    """Say of a file that cannot be read at all which word of the command line named it."""
    try:
        yield
    except InputError as error:
        where = Location(file="command line", key=word)
        raise InputError(
            problem
            if problem.where is not None
            else replace(problem, where=where, remedy=problem.remedy or remedy)
            for problem in error.problems
        ) from None
