"""Commands about this machine: `doctor` and `clean`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, AsJson, File
from cudaforge.cli.output import write_json, write_note, write_text
from cudaforge.errors import ExitCode, InputError, Location, Problem


def doctor(
    image: Annotated[
        str | None, typer.Argument(metavar="IMAGE", help="A locked image: can this machine run it?")
    ] = None,
    *,
    file: File = DEFAULT_FILE,
    as_json: AsJson = False,
) -> int:
    """Say what is wrong with this machine. Exits with 1 where something is."""
    from cudaforge.pipeline import doctoring
    from cudaforge.report.health import describe_health, health_json

    findings = doctoring.examine(file, image)
    is_healthy = doctoring.is_healthy(findings)
    if as_json:
        write_json({"ok": is_healthy, "image": image, **health_json(findings)})
    else:
        write_text(describe_health(findings))
    return ExitCode.OK if is_healthy else ExitCode.NEGATIVE


def clean(
    *,
    file: File = DEFAULT_FILE,
    everything: Annotated[
        bool, typer.Option("--all", help="What every project of this machine left, and what they share.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Remove nothing, and say what would go.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> int:
    """Remove what cudaforge made: images, containers, caches, logs."""
    from cudaforge.doctor.leftovers import Cleaned
    from cudaforge.engine import connect
    from cudaforge.pipeline import cleaning, decide
    from cudaforge.pipeline.host import ignore
    from cudaforge.report.leftovers import describe_leftovers, leftovers_json

    declaration = None if everything else decide.load_besides_packages(file, on_wrong=ignore)
    engine = connect()
    found = cleaning.find(declaration, engine)
    is_shown = dry_run or all(one.is_kept for one in found)
    if is_shown:
        cleaned = Cleaned(items=found, freed=0)
    else:
        if not yes:
            write_note(describe_leftovers(Cleaned(items=found, freed=0), is_done=False))
            if not _is_confirmed():
                write_note("nothing was removed")
                if as_json:
                    write_json({"dry_run": True, **leftovers_json(Cleaned(items=found, freed=0))})
                return ExitCode.OK
        cleaned = cleaning.clean(found, declaration, engine, on_note=write_note)
    if as_json:
        write_json({"dry_run": dry_run, **leftovers_json(cleaned)})
    else:
        write_text(describe_leftovers(cleaned, is_done=not is_shown))
    return ExitCode.OK


def _is_confirmed() -> bool:
    """Whether the user says yes. Raises InputError where there is no terminal to ask on."""
    if not sys.stdin.isatty():
        raise InputError(
            Problem(
                what="nothing is removed without a yes, and there is no terminal to ask on",
                where=Location(file="command line"),
                remedy="--yes removes it, --dry-run only says what would go",
            )
        )
    return typer.confirm("Remove it?", err=True)
