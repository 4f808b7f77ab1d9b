"""Commands about what moves between locks: `outdated`, `upgrade`, `diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, AllowUnpinned, AsJson, File, Images, Offline
from cudaforge.cli.output import read_input, write_json, write_note, write_text
from cudaforge.errors import ExitCode

_Lock = Annotated[str, typer.Argument(help="A lock file; - for one that comes on standard input.")]


def outdated(
    images: Images = None, *, file: File = DEFAULT_FILE, offline: Offline = False, as_json: AsJson = False
) -> int:
    """Say what could move, and what the wishes hold back. Exits with 1 where something could, with 3 where
    that is not known and was to be asked."""
    from cudaforge.pipeline import decide, outlook
    from cudaforge.report.outlooks import describe_outlook, outlook_json

    found = outlook.find_outdated(decide.load(file), images or (), offline=offline, on_note=write_note)
    if as_json:
        write_json(outlook_json(found))
    else:
        write_text(describe_outlook(found))
    if found.is_current is None and not offline:
        return ExitCode.SURROUNDINGS
    return ExitCode.NEGATIVE if found.is_current is False else ExitCode.OK


def upgrade(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE|PACKAGE",
            help="Images by name, all without any; or packages, which then move alone, in the images that "
            "are named besides, or in all that have them.",
        ),
    ] = None,
    *,
    file: File = DEFAULT_FILE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing, and say what would.")] = False,
    allow_unpinned: AllowUnpinned = False,
    offline: Offline = False,
    as_json: AsJson = False,
) -> int:
    """Move what is locked, all of it together or single packages, and say what is gained and lost."""
    from cudaforge.lockfile.effects import known_gpus
    from cudaforge.pipeline import decide, upgrading
    from cudaforge.report.locks import describe_warnings
    from cudaforge.report.outlooks import describe_upgrade, upgrade_json

    declaration = decide.load(file)
    run = upgrading.plan_upgrade if dry_run else upgrading.upgrade
    outcome = run(
        declaration, names or (), allow_unpinned=allow_unpinned, offline=offline, on_note=write_note
    )
    gpus = known_gpus(decide.matrix_of(declaration))
    moved = (outcome.path, outcome.lock, outcome.previous)
    if as_json:
        told = upgrade_json(*moved, dry_run=dry_run, gpus=gpus)
        write_json({**told, "moves": outcome.moves, "warnings": outcome.warnings})
    else:
        if outcome.warnings:
            write_note(describe_warnings(outcome.warnings))
        write_text(describe_upgrade(*moved, dry_run=dry_run, gpus=gpus))
    return ExitCode.OK


def diff(
    old: _Lock,
    new: _Lock,
    *,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 where the locks differ.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Say what differs between two locks."""
    from cudaforge.pipeline import comparing
    from cudaforge.report.differences import changes_json, describe_changes

    found, gpus = comparing.compare(old, new, read_input=read_input)
    if as_json:
        write_json({"old": old, "new": new, **changes_json(found)})
    else:
        write_text(describe_changes(found, gpus=gpus))
    return ExitCode.NEGATIVE if exit_code and not found.is_empty else ExitCode.OK
