"""Lock to text: Dockerfiles, their ignore files and a bake file.

Rendering is pure: the same lock gives the same bytes, everywhere and offline. `write_rendered` alone
touches the disk.
"""

from __future__ import annotations

from cudaforge.lockfile.model import Lock
from cudaforge.renderer.bake import BAKE_PATH, render_bake
from cudaforge.renderer.files import write_rendered
from cudaforge.renderer.image import (
    dockerfile_path,
    dump_apt_config,
    extend_ignore,
    ignore_path,
    render_built,
    render_collection,
    render_image,
)
from cudaforge.renderer.model import RenderedFile, RenderedImage

__all__ = [
    "RenderedFile",
    "RenderedImage",
    "dump_apt_config",
    "extend_ignore",
    "render_built",
    "render_collection",
    "render_image",
    "render_lock",
    "write_rendered",
]


def render_lock(lock: Lock) -> tuple[RenderedFile, ...]:
    """Every file of the lock's images. Raises InputError as `render_image` does."""
    images = [render_image(image) for image in lock.images]
    return (
        *(RenderedFile(path=dockerfile_path(image.name), text=image.dockerfile) for image in images),
        *(RenderedFile(path=ignore_path(image.name), text=image.ignore) for image in images),
        RenderedFile(path=BAKE_PATH, text=render_bake(lock)),
    )
