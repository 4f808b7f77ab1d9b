"""`vendor`: all that builds need, in one directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cudaforge.cli.options import DEFAULT_FILE, AsJson, File
from cudaforge.cli.output import write_json, write_note, write_text
from cudaforge.display import show_path
from cudaforge.errors import ExitCode
from cudaforge.units import bytes_text

if TYPE_CHECKING:
    from cudaforge.pipeline.pruning import Pruned

_SHOWN = 5


def vendor(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An empty directory, or an earlier one.")],
    *,
    file: File = DEFAULT_FILE,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Then remove what neither this lock needs nor what other projects last collected in DIR.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Collect bases, OS packages, wheels, sources and Pythons of the lock, for `build --offline DIR`."""
    from cudaforge.pipeline import decide, vendoring

    declaration = decide.load(file)
    lock = decide.load_current_lock(declaration)
    found = vendoring.vendor(lock, declaration, directory, prune_rest=prune, on_note=write_note)
    if as_json:
        pruned = {"pruned": _pruned_json(found.pruned)} if found.pruned is not None else {}
        write_json({"directory": str(found.directory), "files": found.files, "bytes": found.size, **pruned})
        return ExitCode.OK
    lines = [f"{found.directory}: {_count(found.files)}, {bytes_text(found.size)}"]
    write_text("\n".join((*lines, *_pruned_lines(found.pruned))))
    return ExitCode.OK


def _pruned_lines(pruned: Pruned | None) -> Iterator[str]:
    if pruned is None:
        return
    yield (
        f"removed: {_count(pruned.files)}, {bytes_text(pruned.size)}"
        if pruned.files
        else "removed: nothing, all of it is needed"
    )
    for one in pruned.kept:
        if one.files:
            yield f"kept for '{show_path(one.declaration)}': {_count(one.files)}, {bytes_text(one.size)}"
            yield f"  if that project is gone: remove {one.list}, and prune again"
    for path in pruned.strange[:_SHOWN]:
        yield f"left alone, since it is none that vendor wrote: '{show_path(path)}'"
    if len(pruned.strange) > _SHOWN:
        yield f"  and {len(pruned.strange) - _SHOWN} more"


def _pruned_json(pruned: Pruned) -> dict[str, object]:
    return {
        "files": pruned.files,
        "bytes": pruned.size,
        "kept_for": [
            {"declaration": one.declaration, "list": str(one.list), "files": one.files, "bytes": one.size}
            for one in pruned.kept
        ],
        "left_alone": [str(path) for path in pruned.strange],
    }


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"
