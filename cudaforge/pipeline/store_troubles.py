"""What can be wrong with a directory that `vendor` fills, as problems."""

from __future__ import annotations

import shlex
from pathlib import Path

from cudaforge.errors import Location, Problem, SurroundingsError
from cudaforge.files import describe_obstacle


def vendor_command(directory: Path) -> str:
    """The command that fills the directory."""
    return f"cudaforge vendor {shlex.quote(str(directory))}"


def collect_again(directory: Path) -> str:
    """What to do about a file that is damaged, or another one."""
    return f"collect it again where there is a network: {vendor_command(directory)}"


def not_collected(what: str, directory: Path) -> SurroundingsError:
    """The error for something that a directory should have."""
    return SurroundingsError(
        Problem(
            what=f"{what} is not in {directory}",
            remedy=f"collect this lock where there is a network: {vendor_command(directory)}",
        )
    )


def in_the_way(path: Path, directory: Path) -> Problem:
    """The problem of something at `path` that is no regular file, or no directory, and has to be."""
    return Problem(
        what=describe_obstacle(path),
        where=Location(file=str(path)),
        remedy=f"remove it, and collect again where there is a network: {vendor_command(directory)}",
    )


def require_file_place(path: Path, directory: Path) -> None:
    """Raise SurroundingsError where something that is no regular file is at `path`."""
    if path.exists() and not path.is_file():
        raise SurroundingsError(in_the_way(path, directory))


def damaged(path: Path, what: str, directory: Path) -> Problem:
    """The problem of a file whose hash is another than the one that was written down."""
    return Problem(
        what=f"{path} is damaged: it is not what was collected as {what}",
        where=Location(file=str(path)),
        remedy=collect_again(directory),
    )
