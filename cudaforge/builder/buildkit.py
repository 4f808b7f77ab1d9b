"""The first builder: BuildKit, driven through buildx, with an engine that keeps the images."""

from __future__ import annotations

from cudaforge import process
from cudaforge.builder.command import EngineTraits
from cudaforge.builder.inputs import Sources, prepare_inputs
from cudaforge.builder.protocol import BuildEnd, BuildOrder, GivenUp, ImageJob, Listener
from cudaforge.builder.runner import run_buildx
from cudaforge.builder.scratch import scratch_directory
from cudaforge.engine import Engine, ImageFacts, NamedBuilder
from cudaforge.records import replace


class BuildKit:
    """A buildx builder and the engine that takes its images."""

    def __init__(self, named: NamedBuilder, sources: Sources) -> None:
        self.name = named.name
        self.engine: Engine = named.engine
        self._named = named
        self._sources = sources

    def build(self, job: ImageJob, order: BuildOrder, listener: Listener) -> BuildEnd:
        """See `Builder`."""
        self.engine.require_buildx()
        # A builder of its own hands images over as the older store takes them, whichever store there is.
        traits = EngineTraits(
            builder=self._named.builder,
            has_containerd_store=self._named.is_own and self.engine.has_containerd_store,
        )
        with scratch_directory() as scratch, scratch_directory(order.state / "tmp") as staging:
            inputs = prepare_inputs(job.image, job.rendered, self._sources, private=scratch, staging=staging)
            inputs = replace(inputs, is_uncached=order.is_uncached)
            if order.is_given_up():
                raise GivenUp
            return run_buildx(
                job.image.name,
                inputs,
                traits,
                cli_env=self.engine.cli_env,
                metadata=scratch / "metadata.json",
                listener=listener,
                timeout=order.timeout,
                owner=self,
            )

    def find_image(self, reference: str) -> ImageFacts | None:
        """See `Builder`."""
        return self.engine.find_image(reference)

    def tag_image(self, image_id: str, reference: str) -> None:
        """See `Builder`."""
        self.engine.tag_image(image_id, reference)

    def check_alive(self) -> None:
        """See `Builder`."""
        self.engine.check_alive()
        if not self._named.is_own:
            self._named.check_builder()

    def stop(self) -> None:
        """See `Builder`."""
        process.end_all(owner=self)
