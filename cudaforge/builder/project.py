"""Building the images of a project."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cudaforge.bootstrap import BootstrapImage
from cudaforge.builder.bases import BaseContexts, BaseProvider
from cudaforge.builder.buildkit import BuildKit
from cudaforge.builder.cache import Caches
from cudaforge.builder.epoch import find_epoch
from cudaforge.builder.ignore import read_own_ignore, with_own_ignore
from cudaforge.builder.images import ImageBuilds
from cudaforge.builder.inputs import PythonProvider, Sources, UvProvider, Vendored, secret_cleaner
from cudaforge.builder.model import BuildEvent, BuildResult, Reproducible
from cudaforge.builder.platforms import check_platforms
from cudaforge.builder.podman import Podman, check_podman
from cudaforge.builder.protocol import Builder, ImageJob
from cudaforge.builder.scratch import sweep_scratch
from cudaforge.builder.settings import BuildSettings
from cudaforge.display import show
from cudaforge.engine import NamedBuilder
from cudaforge.errors import InputError, Problem
from cudaforge.lockfile.model import WHEELS_DIRECTORY, LockedImage
from cudaforge.packages.fetch import SourceProvider
from cudaforge.packages.model import LockedWheel
from cudaforge.packages.site import Site
from cudaforge.packages.uv import uv_binary
from cudaforge.renderer import RenderedImage, render_image

BUILD_SECONDS = 6 * 3600.0
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_WAITING = 2
"""So many builds more than processors: some always wait for the network, the disk or the engine."""


def _ignore(_: BuildEvent) -> None:
    """Nobody listens."""


def _no_python(image: LockedImage, _: str) -> Path:
    raise ValueError(f"{image.name} needs a standalone Python, and nobody said how to find one")


def _no_source(wheel: LockedWheel, _: str) -> Path:
    raise ValueError(f"{wheel.package} is built from its source, and nobody said how to find that")


def build_images(  # noqa: PLR0913 -- what a build needs comes from as many places
    images: Sequence[LockedImage],
    *,
    builders: Sequence[NamedBuilder],
    site: Site,
    root: Path,
    state: Path,
    base_provider: BaseProvider,
    python_provider: PythonProvider = _no_python,
    source_provider: SourceProvider = _no_source,
    uv_provider: UvProvider = uv_binary,
    indexes: Mapping[str, str] | None = None,
    vendored: Vendored | None = None,
    jobs: int | None = None,
    no_cache: bool = False,
    reproducible: Reproducible = Reproducible.NO,
    keep_going: bool = False,
    caches: Caches | None = None,
    on_event: Callable[[BuildEvent], None] = _ignore,
    environment: Mapping[str, str] | None = None,
    timeout: float = BUILD_SECONDS,
) -> tuple[BuildResult, ...]:
    """Build locked images, `jobs` at once on each builder, and say of each how it ended, in the order given.

    The builders are handed the images from one queue. What one of them was building when it was lost goes
    to the others; only where none is left has the run failed. Once an image has failed no other is begun,
    unless `keep_going`.

    `root` is the project, `state` keeps logs and records between runs, `indexes` has the public addresses
    of the package indexes that the lock names. An image that a builder has from the same lock entry and
    the same files is not built again, unless `no_cache`; a second run goes on where the first stopped. With
    `vendored` no step has a network. What Podman cannot do is refused before anything is built.

    A step that fails is that image's result. Raises BuildAborted when surroundings failed any image, else
    BuildRefused when something for one was not given or is not what the lock says, both with the
    results of all; InputError for values that are wrong. Nothing temporary is left on any way out.
    """
    chosen = os.environ if environment is None else environment
    _check(images, chosen)
    check_podman(
        images,
        builders,
        is_reproducible=reproducible is not Reproducible.NO,
        caches=caches or Caches(),
    )
    check_platforms(images, builders)
    sweep_scratch()
    sweep_scratch(state / "tmp")
    provide = _one_at_a_time(base_provider)

    def builder(named: NamedBuilder) -> Builder:
        sources = Sources(
            root=root,
            own_wheels=root / WHEELS_DIRECTORY,
            site=site,
            indexes=indexes or {},
            bases=BaseContexts(named, provide),
            find_python=python_provider,
            find_source=source_provider,
            find_uv=uv_provider,
            environment=chosen,
            vendored=vendored,
        )
        return Podman(named, sources) if named.engine.is_podman else BuildKit(named, sources)

    settings = BuildSettings(
        root=root,
        state=state,
        workers=count_workers(jobs, len(images)),
        is_uncached=no_cache,
        reproducible=reproducible,
        timeout=timeout,
        keeps_going=keep_going,
        caches=caches or Caches(),
    )
    own = read_own_ignore(root)
    prepared = [_job(image, with_own_ignore(render_image(image), own), chosen) for image in images]
    places = [builder(named) for named in builders]
    return ImageBuilds(places, settings, on_event=on_event).run(prepared)


def count_workers(jobs: int | None, images: int) -> int:
    """How many images are built at once: as asked, else some more than processors, never more than images."""
    return max(1, min(images, jobs or (os.cpu_count() or 1) + _WAITING))


def _one_at_a_time(provide: BaseProvider) -> BaseProvider:
    """Builders share the bases of this machine: the first makes one, the others find it made."""
    lock = threading.Lock()

    def find(image: LockedImage) -> BootstrapImage:
        with lock:
            return provide(image)

    return find


def _job(image: LockedImage, rendered: RenderedImage, environment: Mapping[str, str]) -> ImageJob:
    return ImageJob(image=image, rendered=rendered, clean=secret_cleaner(image, environment))


def _check(images: Sequence[LockedImage], environment: Mapping[str, str]) -> None:
    """What is wrong with all of it, before anything is built."""
    problems = [
        Problem(what=f"{show(image.name)} is no name of an image", remedy="lock again: cudaforge lock")
        for image in images
        if not _FILE_NAME.fullmatch(image.name)
    ]
    problems += [
        Problem(what=f"the lock has no tag for {image.name}", remedy="lock again: cudaforge lock")
        for image in images
        if not image.tags
    ]
    if problems:
        raise InputError(problems)
    find_epoch(environment)
