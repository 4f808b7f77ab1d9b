"""Commands that a project starts with: `init` and `schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from cudaforge.cli.options import DEFAULT_FILE, AsJson, File, Force
from cudaforge.cli.output import write_json, write_note, write_text


def init(
    framework: Annotated[
        str, typer.Argument(metavar="FRAMEWORK", help="The framework to start with.")
    ] = "pytorch",
    *,
    file: File = DEFAULT_FILE,
    ci: Annotated[
        Literal["github", "gitlab"] | None,
        typer.Option("--ci", help="Write files for a CI system, and no declaration."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> int:
    """Write a starter declaration, or the files for a CI system."""
    from cudaforge.pipeline.start import init_ci, init_project

    if ci is not None:
        written = init_ci(file, system=ci, force=force, on_note=write_note)
        if as_json:
            write_json({"written": [str(path) for path in written]})
        else:
            write_text("\n".join(f"wrote {path}" for path in written))
        return 0

    path = init_project(file, framework=framework, force=force)
    if as_json:
        write_json({"written": [str(path)]})
    else:
        write_text(f"wrote {path}\nnext: cudaforge resolve -f {path}" if path != DEFAULT_FILE else _NEXT)
    return 0


_NEXT = "wrote cudaforge.toml\nnext: cudaforge resolve, then cudaforge up"


def schema(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it to a file.")
    ] = None,
    *,
    force: Force = False,
) -> int:
    """Print the JSON Schema of the declaration, for editors."""
    from cudaforge.declaration.schema import declaration_schema
    from cudaforge.pipeline.start import write_schema

    if output is None:
        write_text(json.dumps(declaration_schema(), indent=2))
        return 0
    write_schema(output, force=force)
    write_note(f"wrote {output}")
    return 0
