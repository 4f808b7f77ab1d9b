"""`cudaforge data`: looking at the facts, and proving that they agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, AsJson, File
from cudaforge.cli.output import write_json, write_text
from cudaforge.errors import ExitCode, NegativeAnswer


def list_subjects(
    subject: Annotated[
        str | None, typer.Argument(metavar="SUBJECT", help="A subject, or a framework; all without one.")
    ] = None,
    *,
    file: File = DEFAULT_FILE,
    as_json: AsJson = False,
) -> int:
    """List what the matrix knows: its subjects, or the rows of one."""
    from cudaforge.pipeline import facts
    from cudaforge.records import values_of
    from cudaforge.report import facts as report

    matrix = facts.find_matrix(file)
    if subject is None:
        summaries = [values_of(one) for one in facts.summarise(matrix)]
        if as_json:
            write_json({"subjects": summaries})
        else:
            write_text(report.describe_summaries(summaries))
        return ExitCode.OK
    found, rows = facts.list_rows(matrix, subject)
    if as_json:
        write_json({"subject": found.name, "rows": [report.row_json(row) for row in rows]})
    else:
        write_text(report.describe_rows(found, rows))
    return ExitCode.OK


def show(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORD",
            help="What to look at: 'pytorch 2.8', 'gpu RTX 5090', 'cuda 12.8', 'torchvision', an image.",
        ),
    ],
    *,
    file: File = DEFAULT_FILE,
    as_json: AsJson = False,
) -> int:
    """Show facts with everything that they say, what follows from them, and their sources."""
    from cudaforge.matrix.catalogue import find_rows
    from cudaforge.pipeline import facts
    from cudaforge.report import facts as report

    matrix = facts.find_matrix(file)
    found = find_rows(matrix, words)
    pairs = [(row, facts.derive(matrix, row)) for row in found.rows]
    if as_json:
        rows = [report.row_json(row, derived) for row, derived in pairs]
        write_json({"subject": found.subject.name, "rows": rows})
    else:
        write_text("\n\n".join(report.describe_row(found.subject, row, derived) for row, derived in pairs))
    return ExitCode.OK


def check(
    *,
    matrices: Annotated[
        Path | None,
        typer.Option("--matrices", metavar="DIR", help="Check these files instead of the checkout's own."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Prove that the matrix files agree with themselves and with each other."""
    from cudaforge.pipeline import facts
    from cudaforge.records import values_of
    from cudaforge.report import facts as report

    outcome = facts.check_facts(matrices)
    coverage = [values_of(one) for one in outcome.coverage]
    if as_json:
        findings = [values_of(one) for one in outcome.findings]
        write_json({"directory": str(outcome.directory), "findings": findings, "coverage": coverage})
        return ExitCode.NEGATIVE if findings else ExitCode.OK
    if outcome.problems:
        raise NegativeAnswer(outcome.problems)
    write_text(f"{report.describe_summaries(coverage)}\n\n{outcome.directory}: the facts agree")
    return ExitCode.OK
