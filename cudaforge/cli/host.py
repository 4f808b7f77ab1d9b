"""Commands about this machine: `doctor` and `clean`."""

from __future__ import annotations

from typing import Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, AsJson, File
from cudaforge.cli.output import write_json, write_text
from cudaforge.errors import ExitCode


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
