"""Collecting the OS packages that apt would install in an image: apt in the base itself decides which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cudaforge.bootstrap import BootstrapImage
from cudaforge.bootstrap.apt import find_complaints
from cudaforge.builder.archives import site_archive, write_archive_secrets
from cudaforge.builder.bases import BaseContexts
from cudaforge.builder.command import BuildInputs, EngineTraits
from cudaforge.builder.inputs import from_text, site_secrets
from cudaforge.builder.protocol import BuildEnd, Listener
from cudaforge.builder.runner import run_buildx
from cudaforge.builder.scratch import scratch_directory, write_private
from cudaforge.engine import NamedBuilder
from cudaforge.errors import CudaforgeError, NegativeAnswer, Problem, SurroundingsError
from cudaforge.lockfile.model import LockedImage
from cudaforge.packages.site import Site
from cudaforge.renderer import render_collection
from cudaforge.renderer.model import BASE_CONTEXT

COLLECT_SECONDS = 3600.0
_SHOWN_LINES = 3


def collect_debs(
    image: LockedImage,
    platform: str,
    *,
    named: NamedBuilder,
    site: Site,
    base: BootstrapImage,
    clean: Callable[[str], str],
    directory: Path,
    log: Path,
) -> None:
    """Have apt in the base download what the image's steps would install on it, into `directory`.

    apt reads the archives that a build would read, and checks their signatures and the hashes of what it
    gets. `base` is the image's base as an OCI image layout. Raises NegativeAnswer where apt cannot install
    that, SurroundingsError where engine, network or disk fail.
    """
    named.engine.require_buildx()
    dockerfile = render_collection(image)
    with scratch_directory() as private:
        archive = site_archive(image, site, dockerfile)
        (private / "context").mkdir()
        write_private(private / "Dockerfile", dockerfile.encode())
        if image.base.is_bootstrap:
            contexts = {BASE_CONTEXT: BaseContexts(named, lambda _: base).find_context(image, private)}
        else:
            contexts = {from_text(image): base.build_context}
        inputs = BuildInputs(
            dockerfile=private / "Dockerfile",
            context=private / "context",
            tags=(),
            contexts=contexts,
            secrets={**site_secrets(site, private), **write_archive_secrets(archive, private)},
            platforms=(platform,),
            needs_host_network=site.needs_host_network or archive.needs_host_network,
            # An archive of today has other packages than one of yesterday.
            is_uncached=True,
            files=directory,
        )
        end = run_buildx(
            image.name,
            inputs,
            EngineTraits(builder=named.builder, has_containerd_store=False),
            cli_env=named.engine.cli_env,
            metadata=private / "metadata.json",
            listener=Listener(log=log, clean=clean, emit=lambda _: None),
            timeout=COLLECT_SECONDS,
        )
    if end.failure is not None:
        raise _failed(image, platform, end, log)


def _failed(image: LockedImage, platform: str, end: BuildEnd, log: Path) -> CudaforgeError:
    failure = end.failure
    if failure is None:
        raise AssertionError("it did not fail")
    # The step itself is long, and nothing in it is the user's.
    said = find_complaints("\n".join(end.last_lines)) or end.last_lines
    problem = Problem(
        what=f"the OS packages of {image.name} for {platform} cannot be collected: {failure.reason}",
        because=(*said[-_SHOWN_LINES:], f"log: {log}"),
        remedy=failure.remedy or "read the log; a build would fail alike",
    )
    return SurroundingsError(problem) if failure.kind.is_surroundings else NegativeAnswer(problem)
