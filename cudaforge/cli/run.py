"""`run`: a command inside a built image, with the GPU flags that this engine wants."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, Devices, File
from cudaforge.errors import InputError, Problem


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
    from cudaforge.engine.gpus import parse_gpu_names
    from cudaforge.pipeline import decide, make

    devices = parse_gpu_names(tuple(device or ()))
    if devices and without_gpu:
        raise InputError(Problem(what="--device and --no-gpu cannot be asked for together"))

    return make.run_image(
        decide.load(file),
        image,
        tuple(command or ()),
        with_gpu=not without_gpu,
        devices=devices,
        is_terminal=sys.stdin.isatty() and sys.stdout.isatty(),
    )
