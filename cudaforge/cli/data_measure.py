"""`cudaforge data measure`: reading facts out of real wheels and images."""

from __future__ import annotations

from typing import Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, AsJson, File, Offline
from cudaforge.cli.output import write_json, write_note, write_text
from cudaforge.errors import ExitCode


def measure(
    artefact: Annotated[
        str,
        typer.Argument(
            metavar="WHEEL|IMAGE",
            help="A wheel (a path, an address, or 'torch==2.8.0' of an index), or an image of the engine.",
        ),
    ],
    *,
    file: File = DEFAULT_FILE,
    platform: Annotated[
        str, typer.Option("--platform", metavar="PLATFORM", help="Of the wheel that an index is asked for.")
    ] = "linux/amd64",
    python: Annotated[
        str | None,
        typer.Option("--python", metavar="MINOR", help="Likewise; the newest that there is without it."),
    ] = None,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough",
            help="Read all of a wheel on a server, not only libraries below 64 MiB. "
            "Files of this machine and images are always read whole.",
        ),
    ] = False,
    offline: Offline = False,
    as_json: AsJson = False,
) -> int:
    """Read arch list, CUDA, cuDNN and glibc out of a wheel or image, and compare them with its row.

    Nothing of it is run, and no GPU is needed. Exits 1 where a row differs, or where there is none; then
    it prints one to add.
    """
    from cudaforge.pipeline.measuring import Asked
    from cudaforge.pipeline.measuring import measure as ask
    from cudaforge.report import measured as report

    def tell(library: str, packed: int) -> None:
        if (text := report.describe_library(library, packed)) is not None:
            write_note(text)

    asked = Asked(word=artefact, platform=platform, python=python, is_thorough=thorough)
    found = ask(asked, file, offline=offline, on_library=tell)
    if as_json:
        write_json(report.measured_json(found))
    else:
        write_text(report.describe_measured(found))
    return ExitCode.OK if all(one.is_confirmed for one in found) else ExitCode.NEGATIVE
