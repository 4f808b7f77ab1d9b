"""`vendor`: all that builds need, in one directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, AsJson, File
from cudaforge.cli.output import write_json, write_note, write_text
from cudaforge.errors import ExitCode


def vendor(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An empty directory, or an earlier one.")],
    *,
    file: File = DEFAULT_FILE,
    as_json: AsJson = False,
) -> int:
    """Collect bases, OS packages, wheels, sources and Pythons of the lock, for `build --offline DIR`."""
    from cudaforge.pipeline import decide, vendoring
    from cudaforge.units import bytes_text

    declaration = decide.load(file)
    lock = decide.load_current_lock(declaration)
    found = vendoring.vendor(lock, declaration, directory, on_note=write_note)
    if as_json:
        write_json({"directory": str(found.directory), "files": found.files, "bytes": found.size})
    else:
        write_text(f"{found.directory}: {found.files} files, {bytes_text(found.size)}")
    return ExitCode.OK
