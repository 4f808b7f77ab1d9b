"""Paths of a project: are they there, and inside it?"""

from __future__ import annotations

import os
from pathlib import Path

from cudaforge.declaration.kinds import bad
from cudaforge.display import show, show_path


def check_inside(root: Path, path: str) -> Path:
    """The real path. Raises BadValue unless it is there and, all links followed, inside the project."""
    try:
        real = Path(os.path.realpath(root / path))
        is_there = real.exists()
    except (OSError, ValueError):
        bad(f"{show(path)} is no path that can be read")
    if not real.is_relative_to(root):
        bad(f"{show(path)} is a link that leaves the project directory", "copy the file into the project")
    if not is_there:
        bad(f"there is no {show(path)} in {show_path(root)}", "make it, or leave the entry out")
    return real
