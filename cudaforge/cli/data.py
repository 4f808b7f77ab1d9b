"""`cudaforge data`: looking at the facts, and proving that they agree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, AsJson, File
from cudaforge.cli.output import terminal_width, write_json, write_text
from cudaforge.errors import ExitCode, NegativeAnswer


def list_subjects(
    subject: Annotated[
        str | None, typer.Argument(metavar="SUBJECT", help="A subject, or a framework; all without one.")
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE", help="Only rows that say so: 'os=ubuntu22.04' 'cuda=12.8'."),
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
    found, rows = facts.list_rows(matrix, subject, filters or ())
    if as_json:
        write_json({"subject": found.name, "rows": [report.row_json(row) for row in rows]})
    else:
        write_text(report.describe_rows(found, rows, width=terminal_width()))
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
        write_text(report.describe_found(found.subject, pairs, width=terminal_width()))
    return ExitCode.OK


def check(
    *,
    file: File = DEFAULT_FILE,
    matrices: Annotated[
        Path | None,
        typer.Option("--matrices", metavar="DIR", help="Check the matrix files of a directory."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Prove that facts agree: a project's overlays with the facts below them, else the matrix files."""
    from cudaforge.pipeline import facts
    from cudaforge.records import values_of
    from cudaforge.report import facts as report

    outcome = facts.check_facts(file, matrices)
    coverage = [values_of(one) for one in outcome.coverage]
    if as_json:
        findings = [values_of(one) for one in outcome.findings]
        write_json(
            {
                "path": outcome.path,
                "overlays": list(outcome.overlays),
                "findings": findings,
                "disputes": [report.plain(one) for one in outcome.disputes],
                "coverage": coverage,
            }
        )
        return ExitCode.NEGATIVE if findings else ExitCode.OK
    if outcome.problems:
        raise NegativeAnswer(outcome.problems)
    write_text(report.describe_summaries(coverage))
    write_text(report.describe_agreement(outcome.path, outcome.overlays, outcome.disputes))
    return ExitCode.OK
