"""`run`: a command inside a built image, with the GPU flags that this engine wants."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, Devices, File


def run(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="An image of the declaration.")],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- CMD ...", help="What to run; the image's own without.")
    ] = None,
    *,
    file: File = DEFAULT_FILE,
    device: Devices = None,
    without_gpu: Annotated[
        bool, typer.Option("--no-gpu", help="Ask the engine for no GPU even where it has some.")
    ] = False,
) -> int:
    """Run an image with the right GPU flags."""
    from cudaforge.pipeline import decide, make

    return make.run_image(
        decide.load(file),
        image,
        tuple(command or ()),
        with_gpu=not without_gpu,
        devices=tuple(device or ()),
        is_terminal=sys.stdin.isatty() and sys.stdout.isatty(),
    )
