"""From a lock to proven images: the stages that make, and what is kept of each run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.builder.model import BuildEvent, BuildResult, BuildState, Reproducible
from cudaforge.declaration.model import Declaration
from cudaforge.display import show
from cudaforge.errors import InputError, Problem, SurroundingsError
from cudaforge.files import held_lock, write_atomically
from cudaforge.lockfile.model import Lock
from cudaforge.pipeline.decide import Note, load_current_lock
from cudaforge.pipeline.host import ignore, open_state, state_directory
from cudaforge.pipeline.proving import verify_by_holders, verify_locked
from cudaforge.records import record
from cudaforge.verifier.model import Verdict

if TYPE_CHECKING:
    from cudaforge.builder import Vendored
    from cudaforge.builder.cache import Caches
    from cudaforge.engine import NamedBuilder
    from cudaforge.pipeline.providers import Providers

_WAIT_SECONDS = 6 * 3600.0
"""How long one run waits for another on the same project: no build takes longer."""
_OnEvent = Callable[[BuildEvent], None]


@record()
class Run:
    """What one `up` did: every image's build, and the verdict of those that were built."""

    lock: Lock
    builds: Mapping[str, BuildResult]
    verdicts: Mapping[str, Verdict]

    @property
    def ok(self) -> bool:
        """Whether every image was built and proven."""
        return all(self.is_proven(image.name) for image in self.lock.images)

    @property
    def proven(self) -> tuple[BuildResult, ...]:
        """The builds of those images whose proof is good."""
        return tuple(result for name, result in self.builds.items() if self.is_proven(name))

    def is_proven(self, name: str) -> bool:
        """Whether an image was built, and its proof is good."""
        return name in self.verdicts and self.verdicts[name].ok


def build(  # noqa: PLR0913 -- one keyword for each option of `build`
    lock: Lock,
    *,
    declaration: Declaration,
    jobs: int | None = None,
    builders: tuple[str, ...] = (),
    keep_going: bool = False,
    disk_check: bool = True,
    no_cache: bool = False,
    reproducible: Reproducible = Reproducible.NO,
    vendored: Path | None = None,
    caches: Caches | None = None,
    on_event: _OnEvent = ignore,
    on_note: Note = ignore,
) -> tuple[BuildResult, ...]:
    """Build the lock's images, several at once, with `vendored` from what that directory has alone.

    `builders` share the work: buildx builders, docker contexts, addresses of engines; without any, the
    engine of the docker command line does it. `keep_going` begins further images after one has failed.
    `caches` are caches of steps outside the builders.
    Raises SurroundingsError when engine or network fail, or something is not in the directory, and what
    `prepare_places` raises.
    """
    from cudaforge.builder.cache import prepare_places
    from cudaforge.pipeline.builders import connect_builders
    from cudaforge.pipeline.providers import find_providers
    from cudaforge.pipeline.vendoring import open_vendored

    opened = open_vendored(vendored) if vendored is not None else None
    if caches is not None:
        for note in prepare_places(caches, [image.name for image in lock.images]):
            on_note(note)
    return _build(
        lock,
        connect_builders(builders, on_note=on_note),
        declaration=declaration,
        jobs=jobs,
        keep_going=keep_going,
        disk_check=disk_check,
        no_cache=no_cache,
        reproducible=reproducible,
        providers=find_providers(declaration, lock, vendored=vendored),
        vendored=opened,
        caches=caches,
        on_event=on_event,
        on_note=on_note,
    )


def verify(
    lock: Lock,
    *,
    declaration: Declaration,
    again: bool = False,
    devices: tuple[str, ...] = (),
    tier: str | None = None,
    on_note: Note = ignore,
) -> tuple[Verdict, ...]:
    """Prove the lock's images. A good verdict of an unchanged image is kept, unless `again`.

    `devices` are the GPUs to prove them on: indexes, UUIDs, MIG instances, or `all`. `tier` is the last that
    is gone into: `static`, `cpu`, or `gpu`, which requires one. Without it all is done that the host allows.
    Raises InputError for a device or a tier that does not exist.
    """
    from cudaforge.engine import connect
    from cudaforge.verifier import parse_tier

    return verify_locked(
        lock,
        connect(),
        declaration=declaration,
        again=again,
        devices=devices,
        tier=None if tier is None else parse_tier(tier),
        on_note=on_note,
    )


def make(  # noqa: PLR0913 -- one keyword for each option of `up`
    lock: Lock,
    *,
    declaration: Declaration,
    jobs: int | None = None,
    builders: tuple[str, ...] = (),
    keep_going: bool = False,
    disk_check: bool = True,
    no_cache: bool = False,
    again: bool = False,
    offline: bool = False,
    on_event: _OnEvent = ignore,
    on_note: Note = ignore,
) -> Run:
    """Build the lock's images and prove those that were built; the results are kept as JSON.

    `builders` and `keep_going` are as in `build`; each image is proven by the engine that has it. With
    `offline` nothing is asked but the engines, and build steps find no network. Raises what `build` raises,
    and SurroundingsError where an engine went away before its images were proven; those of others are then.
    """
    from cudaforge.pipeline.builders import connect_builders
    from cudaforge.pipeline.providers import find_providers
    from cudaforge.report.summary import run_json

    named = connect_builders(builders, on_note=on_note)
    results = _build(
        lock,
        named,
        declaration=declaration,
        jobs=jobs,
        keep_going=keep_going,
        disk_check=disk_check,
        no_cache=no_cache,
        providers=find_providers(declaration, lock, offline=offline),
        on_event=on_event,
        on_note=on_note,
    )
    builds = {result.name: result for result in results}
    holders = {result.name: result.builder for result in results if is_built(result)}
    verdicts, lost = verify_by_holders(
        lock, holders, named, declaration=declaration, again=again, on_note=on_note
    )
    run = Run(lock=lock, builds=builds, verdicts={verdict.name: verdict for verdict in verdicts})
    told = run_json(lock.images, run.builds, run.verdicts, lock.dropped)
    write_atomically(
        state_directory(declaration) / "results.json",
        json.dumps({"schema": 1, **told}, indent=2) + "\n",
    )
    if lost:
        error = SurroundingsError(lost)
        error.answer = told
        raise error
    return run


def is_built(result: BuildResult) -> bool:
    """Whether the image is there."""
    return result.state in (BuildState.BUILT, BuildState.CACHED)


def run_image(
    declaration: Declaration,
    name: str,
    command: tuple[str, ...],
    *,
    with_gpu: bool,
    devices: tuple[str, ...] = (),
    is_terminal: bool,
) -> int:
    """Run a command in a built image, on this terminal, with GPUs where the engine offers some.

    `devices` are the GPUs to run it with, all of them if there are none. Returns the command's exit
    status. Raises InputError for an image that is not in the lock or not built yet, for a device that
    does not exist, and for one that is asked for of an engine without GPUs.
    """
    from cudaforge import process
    from cudaforge.engine import connect, select_gpus
    from cudaforge.engine.gpus import gpu_flags

    lock = load_current_lock(declaration)
    image = next((image for image in lock.images if image.name == name), None)
    if image is None:
        known = ", ".join(image.name for image in lock.images)
        raise InputError(Problem(what=f"there is no image {show(name)}", remedy=f"known: {known}"))
    engine = connect()
    if engine.find_image(image.tags[0]) is None:
        raise InputError(Problem(what=f"{image.tags[0]} is not built yet", remedy=f"cudaforge build {name}"))
    offer = select_gpus(engine.gpu_offer(), devices)
    if devices and offer.request is None:
        raise InputError(Problem(what="this engine offers no GPU", remedy="run it without --device"))
    flags = gpu_flags(offer) if with_gpu and image.cuda is not None else ()
    terminal = ("--interactive", "--tty") if is_terminal else ("--interactive",)
    return process.run_attached(
        (*engine.program, "run", "--rm", *terminal, *flags, image.tags[0], *command), env=engine.cli_env
    )


def _build(  # noqa: PLR0913 -- what a build is told comes from as many options
    lock: Lock,
    builders: tuple[NamedBuilder, ...],
    *,
    declaration: Declaration,
    jobs: int | None,
    keep_going: bool,
    disk_check: bool,
    no_cache: bool,
    providers: Providers,
    reproducible: Reproducible = Reproducible.NO,
    vendored: Vendored | None = None,
    caches: Caches | None = None,
    on_event: _OnEvent,
    on_note: Note,
) -> tuple[BuildResult, ...]:
    from cudaforge.builder import build_images
    from cudaforge.pipeline.sizes import check_disk

    state = open_state(declaration)
    with held_lock(state / "build.pid", timeout=_WAIT_SECONDS, on_wait=on_note):
        if disk_check:
            engines = [one.engine for one in builders]
            check_disk(lock.images, engines, declaration=declaration, on_note=on_note)
        return build_images(
            lock.images,
            builders=builders,
            site=providers.site,
            indexes=providers.indexes,
            root=declaration.root,
            state=state,
            jobs=jobs,
            keep_going=keep_going,
            no_cache=no_cache,
            reproducible=reproducible,
            caches=caches,
            vendored=vendored,
            on_event=on_event,
            base_provider=providers.find_base,
            python_provider=providers.find_python,
            source_provider=providers.find_source,
            uv_provider=providers.find_uv,
        )
