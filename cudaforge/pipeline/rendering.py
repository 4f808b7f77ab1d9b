"""From a lock to Dockerfiles."""

from __future__ import annotations

from pathlib import Path

from cudaforge.declaration.model import Declaration
from cudaforge.pipeline.decide import load_current_lock
from cudaforge.renderer import render_lock, write_rendered
from cudaforge.renderer.model import Written


def render(declaration: Declaration, directory: Path | str, *, force: bool = False) -> Written:
    """Write the Dockerfiles of the declaration's lock. Raises NegativeAnswer for a stale lock."""
    return write_rendered(render_lock(load_current_lock(declaration)), Path(directory), force=force)
