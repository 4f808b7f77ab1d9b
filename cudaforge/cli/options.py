"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_FILE = Path("cudaforge.toml")

File = Annotated[Path, typer.Option("-f", "--file", metavar="FILE", help="The declaration.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Offline = Annotated[bool, typer.Option("--offline", help="Open no network connection.")]
Images = Annotated[list[str] | None, typer.Argument(metavar="IMAGE", help="Images by name; all without any.")]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="WORD",
        help="Ad-hoc wishes such as 'pytorch==2.8.*' 'gpu=RTX 5090', or names of the file's images.",
    ),
]
AllowUnpinned = Annotated[
    bool,
    typer.Option("--allow-unpinned", help="Go on when a registry does not tell a base image's digest."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that cudaforge did not write.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        metavar="N",
        help="Builds at a time on each builder; without it two more than processors.",
    ),
]
Builders = Annotated[
    list[str] | None,
    typer.Option(
        "--builder",
        metavar="NAME",
        help="Build here: a buildx builder, a docker context or an engine's address. May be repeated.",
    ),
]
KeepGoing = Annotated[bool, typer.Option("--keep-going", help="Begin further images after one has failed.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Build every step again.")]
NoDiskCheck = Annotated[
    bool, typer.Option("--no-disk-check", help="Begin even if the images are known not to fit on the disk.")
]
MaxImages = Annotated[
    int, typer.Option("--max-images", min=1, metavar="N", help="Refuse to make more images than this.")
]
Devices = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        metavar="GPU",
        help="This GPU alone: its index, GPU-UUID, MIG-UUID, or all. May be repeated.",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Verify also what is already proven.")]
