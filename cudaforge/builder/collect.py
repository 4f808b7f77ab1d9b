"""What only a step on the base of an image can give: the OS packages that apt would install, and wheels that
are built."""

from __future__ import annotations

from pathlib import Path

from cudaforge.bootstrap import BootstrapImage
from cudaforge.bootstrap.apt import find_complaints
from cudaforge.builder.archives import blame_snapshot, site_archive, write_archive_secrets
from cudaforge.builder.command import BuildInputs, EngineTraits
from cudaforge.builder.failures import Failure
from cudaforge.builder.inputs import Sources, from_text, prepare_inputs, secret_cleaner, site_secrets
from cudaforge.builder.protocol import BuildEnd, Listener
from cudaforge.builder.runner import run_buildx
from cudaforge.builder.scratch import scratch_directory, write_private
from cudaforge.engine import NamedBuilder
from cudaforge.errors import CudaforgeError, NegativeAnswer, Problem, SurroundingsError
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import record, replace
from cudaforge.renderer import render_built, render_collection, render_image
from cudaforge.renderer.model import BASE_CONTEXT

COLLECT_SECONDS = 3600.0
_SHOWN_LINES = 3


@record()
class Collecting:
    """One image's step on one platform, and by whom it is run."""

    image: LockedImage
    platform: str
    base: BootstrapImage
    """The image's base as an OCI image layout."""
    named: NamedBuilder
    sources: Sources
    state: Path
    """Where large temporary files may lie, below `tmp`, and logs, below `logs`."""

    @property
    def log(self) -> Path:
        """What the step printed."""
        return self.state / "logs" / f"{self.image.name}.vendor.log"


def collect_debs(one: Collecting, directory: Path) -> None:
    """Have apt in the base download what it would install in the image, into `directory`.

    apt reads the archives that a build would read, and checks their signatures and the hashes of what it
    gets. Raises NegativeAnswer where apt cannot install that, SurroundingsError where engine, network or
    disk fail.
    """
    dockerfile, site = render_collection(one.image), one.sources.site
    with scratch_directory() as private:
        archive = site_archive(one.image, site, dockerfile)
        (private / "context").mkdir()
        write_private(private / "Dockerfile", dockerfile.encode())
        inputs = BuildInputs(
            dockerfile=private / "Dockerfile",
            context=private / "context",
            tags=(),
            secrets={**site_secrets(site, private), **write_archive_secrets(archive, private)},
            needs_host_network=site.needs_host_network or archive.needs_host_network,
        )
        _run(one, inputs, directory, private, what="the OS packages")


def collect_built(one: Collecting, directory: Path) -> None:
    """Build the image's wheels that are built from their source, into `directory`.

    Raises NegativeAnswer where one cannot be built, and what `prepare_inputs` raises.
    """
    public = replace(one.image, secrets=(), ssh=False)
    rendered = replace(render_image(public), dockerfile=render_built(one.image))
    with scratch_directory() as private, scratch_directory(one.state / "tmp") as staging:
        inputs = prepare_inputs(public, rendered, one.sources, private=private, staging=staging)
        _run(one, inputs, directory, private, what="the wheels that are built")


def _run(one: Collecting, inputs: BuildInputs, directory: Path, private: Path, *, what: str) -> None:
    one.named.engine.require_buildx()
    if one.image.base.is_bootstrap:
        scratch = private / "base"
        scratch.mkdir()
        base = {BASE_CONTEXT: one.sources.bases.find_context(one.image, scratch)}
    else:
        base = {from_text(one.image): one.base.build_context}
    end = run_buildx(
        one.image.name,
        replace(
            inputs,
            tags=(),
            contexts={**inputs.contexts, **base},
            platforms=(one.platform,),
            # An archive of today has other packages than one of yesterday.
            is_uncached=True,
            files=directory,
        ),
        EngineTraits(builder=one.named.builder, has_containerd_store=False),
        cli_env=one.named.engine.cli_env,
        metadata=private / "metadata.json",
        listener=Listener(
            log=one.log, clean=secret_cleaner(one.image, one.sources.environment), emit=lambda _: None
        ),
        timeout=COLLECT_SECONDS,
    )
    end = blame_snapshot(end, one.image, one.sources.site)
    if end.failure is not None:
        raise _failed(one, end, end.failure, what)


def _failed(one: Collecting, end: BuildEnd, failure: Failure, what: str) -> CudaforgeError:
    # The step itself is long, and nothing in it is the user's.
    said = find_complaints("\n".join(end.last_lines)) or end.last_lines
    problem = Problem(
        what=f"{what} of {one.image.name} for {one.platform} cannot be collected: {failure.reason}",
        because=(*said[-_SHOWN_LINES:], f"log: {one.log}"),
        remedy=failure.remedy or "read the log; a build would fail alike",
    )
    return SurroundingsError(problem) if failure.kind.is_surroundings else NegativeAnswer(problem)
