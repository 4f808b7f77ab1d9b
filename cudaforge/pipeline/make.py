"""From a lock to proven images: the stages that make, and what is kept of each run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.builder.model import BuildEvent, BuildResult, BuildState, Reproducible
from cudaforge.declaration.model import Declaration
from cudaforge.errors import InputError, Problem
from cudaforge.files import held_lock, write_atomically
from cudaforge.lockfile.model import Lock, LockedImage
from cudaforge.pipeline.decide import Note, load_current_lock, matrix_of
from cudaforge.pipeline.expecting import expected_of
from cudaforge.pipeline.host import ignore, open_state, state_directory
from cudaforge.pipeline.leftovers import known_run
from cudaforge.records import record, replace
from cudaforge.report.evidence import HOST_FACTS, TIME_FACT
from cudaforge.units import utc_now
from cudaforge.verifier.model import Tier, Verdict

if TYPE_CHECKING:
    from cudaforge.builder.cache import Caches
    from cudaforge.engine import Engine, NamedBuilder

_MOST_VERIFICATIONS = 2
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
    from cudaforge.pipeline.vendoring import open_vendored

    if vendored is not None:
        open_vendored(vendored)
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
        vendored=vendored,
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

    `builders` and `keep_going` are as in `build`; each image is proven by the engine that has it.
    With `offline` nothing is asked but the engines, and build steps find no network.
    """
    from cudaforge.pipeline.builders import connect_builders
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
        offline=offline,
        on_event=on_event,
        on_note=on_note,
    )
    builds = {result.name: result for result in results}
    verdicts: list[Verdict] = []
    for one in named:
        here = [image for image in lock.images if builds[image.name].builder == one.name]
        built = tuple(image for image in here if is_built(builds[image.name]))
        if built:
            verdicts += verify_locked(
                replace(lock, images=built, dropped=()),
                one.engine,
                declaration=declaration,
                again=again,
                on_note=on_note,
            )
    run = Run(lock=lock, builds=builds, verdicts={verdict.name: verdict for verdict in verdicts})
    document = {"schema": 1, **run_json(lock.images, run.builds, run.verdicts, lock.dropped)}
    write_atomically(
        state_directory(declaration) / "results.json",
        json.dumps(document, indent=2, ensure_ascii=False) + "\n",
    )
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
        raise InputError(Problem(what=f"there is no image {name!r}", remedy=f"known: {known}"))
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
    reproducible: Reproducible = Reproducible.NO,
    vendored: Path | None = None,
    caches: Caches | None = None,
    offline: bool = False,
    on_event: _OnEvent,
    on_note: Note,
) -> tuple[BuildResult, ...]:
    from cudaforge.builder import build_images
    from cudaforge.pipeline.providers import find_providers
    from cudaforge.pipeline.sizes import check_disk
    from cudaforge.pipeline.vendoring import open_vendored

    state = open_state(declaration)
    providers = find_providers(declaration, lock, vendored=vendored, offline=offline)
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
            vendored=open_vendored(vendored) if vendored is not None else None,
            on_event=on_event,
            base_provider=providers.find_base,
            python_provider=providers.find_python,
            source_provider=providers.find_source,
            uv_provider=providers.find_uv,
        )


def verify_locked(
    lock: Lock,
    engine: Engine,
    *,
    declaration: Declaration,
    again: bool,
    devices: tuple[str, ...] = (),
    tier: Tier | None = None,
    on_note: Note,
) -> tuple[Verdict, ...]:
    """`verify` on an engine that is connected. A verdict is kept as soon as it is there, whatever becomes of
    the others."""
    from cudaforge.pipeline.findings import KeptFindings
    from cudaforge.verifier import VerifyEvent, VerifyJob, VerifyPhase, verify_images

    asked = [_Verification(image, declaration, tier, devices) for image in lock.images]
    kept = {} if again else {one.image.name: one.find(engine) for one in asked}
    waiting = {one.image.name: one for one in asked if kept.get(one.image.name) is None}
    host = _describe_host(engine) if waiting else {}
    found: dict[str, Verdict] = {}

    def say(event: VerifyEvent) -> None:
        if event.verdict is not None:
            verdict = replace(
                event.verdict, facts={**event.verdict.facts, HOST_FACTS: host, TIME_FACT: utc_now()}
            )
            waiting[event.name].save(verdict)
            found[event.name] = verdict
        word = "verifying" if event.phase is VerifyPhase.STARTED else event.phase.value
        on_note(f"{event.name}: {word}: {event.text}")

    with known_run(engine, state_directory(declaration) / "runs") as run_id:
        verify_images(
            [
                VerifyJob(image=one.image, reference=one.image.tags[0], expected=one.expected)
                for one in waiting.values()
            ],
            engine=engine,
            devices=devices,
            on_event=say,
            parallel=min(_MOST_VERIFICATIONS, os.cpu_count() or 1),
            run_id=run_id,
            tier=tier,
            findings=KeptFindings(),
        )
    return tuple(kept.get(image.name) or found[image.name] for image in lock.images)


def _describe_host(engine: Engine) -> Mapping[str, object]:
    """On what machine; without its name, since results are published."""
    info = engine.info()
    return {
        "os": info.get("OperatingSystem"),
        "kernel": info.get("KernelVersion"),
        "architecture": info.get("Architecture"),
        "cpus": info.get("NCPU"),
        "memory": info.get("MemTotal"),
        "engine": f"{engine.kind} {engine.server_version}",
    }


class _Verification:
    """One image of a project to one depth, and its verdict's place."""

    def __init__(
        self, image: LockedImage, declaration: Declaration, tier: Tier | None, devices: tuple[str, ...]
    ) -> None:
        self.image = image
        self._tier = tier
        self._devices = devices
        wishes = {one.name: one.wishes for one in declaration.images}.get(image.name)
        self.expected = expected_of(image, matrix_of(declaration), gpus=wishes.gpus if wishes else ())
        name = image.name if tier is None else f"{image.name}.{tier.value}"
        self._file = verdict_file(name, declaration)

    def find(self, engine: Engine) -> Verdict | None:
        """The verdict of an earlier run, if it is good and everything is as it was."""
        from cudaforge.verifier import reuse_key, reuse_verdict

        facts = engine.find_image(self.image.tags[0])
        if facts is None:
            return None
        try:
            saved = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        key = reuse_key(
            self.image,
            image_id=facts.id,
            offer=engine.gpu_offer(),
            devices=self._devices,
            tier=self._tier,
            expected=self.expected,
        )
        return reuse_verdict(saved, key=key)

    def save(self, verdict: Verdict) -> None:
        """Keep a verdict for later runs and reports."""
        from cudaforge.verifier import verdict_to_json

        text = json.dumps(verdict_to_json(verdict), indent=2, ensure_ascii=False) + "\n"
        write_atomically(self._file, text)


def verdict_file(name: str, declaration: Declaration) -> Path:
    """Where the last verdict of an image is kept."""
    return state_directory(declaration) / "verdicts" / f"{name}.json"
