"""From a lock to Dockerfiles, and to what `docker buildx bake` needs besides them."""

from __future__ import annotations

import os
from pathlib import Path

from cudaforge.declaration.model import Declaration
from cudaforge.lockfile.model import Lock
from cudaforge.pipeline.decide import load_current_lock
from cudaforge.pipeline.host import open_state
from cudaforge.renderer import render_lock, write_rendered
from cudaforge.renderer.model import RenderedFile, Written


def render(
    declaration: Declaration, directory: Path | str, *, inputs: bool = False, force: bool = False
) -> Written:
    """Write the Dockerfiles of the declaration's lock; with `inputs` also what makes `docker buildx bake`
    work in that directory, on this machine.

    Raises NegativeAnswer for a stale lock; with `inputs` what making them raises.
    """
    lock = load_current_lock(declaration)
    files = list(render_lock(lock))
    if inputs:
        files.append(_write_inputs(declaration, lock, Path(directory)))
    return write_rendered(files, Path(directory), force=force)


def _write_inputs(declaration: Declaration, lock: Lock, directory: Path) -> RenderedFile:
    from cudaforge.builder.bakery import write_bake_inputs
    from cudaforge.pipeline.providers import find_providers
    from cudaforge.renderer.bake import render_override

    providers = find_providers(declaration, lock)
    place = open_state(declaration) / "bake"
    added = write_bake_inputs(
        lock.images,
        root=declaration.root,
        directory=place,
        site=providers.site,
        indexes=providers.indexes,
        find_base=providers.find_base,
        find_python=providers.find_python,
        find_source=providers.find_source,
        find_uv=providers.find_uv,
    )
    here = directory.resolve()
    return render_override(
        project=os.path.relpath(declaration.root.resolve(), here),
        inputs=os.path.relpath(place.resolve(), here),
        targets={name: attributes for name, attributes in added.items() if attributes},
    )
