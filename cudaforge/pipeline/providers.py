"""Where builds of a project find what no lock can hold: bases, Pythons, and what wheels are built from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.declaration.model import Declaration
from cudaforge.lockfile.model import Lock, LockedImage, LockedWheel
from cudaforge.packages.site import Site
from cudaforge.pipeline.host import cache_directory
from cudaforge.records import record

if TYPE_CHECKING:
    from cudaforge.bootstrap import BootstrapImage
    from cudaforge.builder.bases import BaseProvider
    from cudaforge.builder.inputs import PythonProvider, UvProvider
    from cudaforge.packages.fetch import SourceProvider


@record()
class Providers:
    """The site, the public addresses of the indexes that the lock names, and who finds the rest."""

    site: Site
    indexes: Mapping[str, str]
    find_base: BaseProvider
    find_python: PythonProvider
    find_source: SourceProvider
    find_uv: UvProvider


def find_providers(
    declaration: Declaration, lock: Lock, *, vendored: Path | None = None, offline: bool = False
) -> Providers:
    """What serves the images of a lock; with `vendored` all of it is in that directory."""
    from cudaforge.packages.archives import fetch_python
    from cudaforge.packages.built import fetch_source
    from cudaforge.packages.foreign import fetch_uv
    from cudaforge.pipeline.outside import find_feeds, find_indexes, find_site
    from cudaforge.pipeline.vendoring import find_python, find_uv

    site = find_site(declaration, offline=offline or vendored is not None)
    feeds = find_feeds(declaration, lock)

    def python(image: LockedImage, platform: str) -> Path:
        if vendored is not None:
            return find_python(vendored, image, platform)
        return fetch_python(image.standalone, platform, site=site, feeds=feeds, cache=cache_directory())

    return Providers(
        site=site,
        indexes=find_indexes(declaration, lock),
        find_base=partial(_base, vendored=vendored, site=site, offline=offline),
        find_python=python,
        find_source=(
            partial(_vendored_source, vendored)
            if vendored is not None
            else partial(fetch_source, site=site, cache=cache_directory())
        ),
        find_uv=(
            partial(find_uv, vendored)
            if vendored is not None
            else partial(fetch_uv, site=site, cache=cache_directory())
        ),
    )


def _vendored_source(directory: Path, wheel: LockedWheel, _: str) -> Path:
    from cudaforge.pipeline.vendoring import find_wheel

    return find_wheel(directory, wheel)


def _base(image: LockedImage, *, vendored: Path | None, site: Site, offline: bool) -> BootstrapImage:
    from cudaforge.pipeline.bases import assemble_locked_base
    from cudaforge.pipeline.vendoring import find_base

    if vendored is not None:
        return find_base(vendored, image)
    return assemble_locked_base(image, site=site, offline=offline)
