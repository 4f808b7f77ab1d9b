"""Verifying images: the public functions of this stage."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from enum import Enum

from cudaforge.codes import Code
from cudaforge.display import show
from cudaforge.engine import Engine, EngineError, GpuOffer, ImageFacts, select_gpus
from cudaforge.errors import InputError, Location, Problem
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import record, replace
from cudaforge.verifier.bundle import probe_digest
from cudaforge.verifier.checks import judge
from cudaforge.verifier.expected import Expected, ForeignImage
from cudaforge.verifier.inspecting import Findings, NothingKept
from cudaforge.verifier.launching import examine
from cudaforge.verifier.model import CheckResult, CheckState, Tier, Verdict
from cudaforge.verifier.serial import REUSE_KEY
from cudaforge.verifier.situation import PYTHON, GpuWish, Situation
from cudaforge.verifier.summary import is_good, summarise

_POLL_SECONDS = 0.5
_LAST_SECONDS = 20.0
"""So long an engine may take for an answer when a run is ended."""
_WISHES: Mapping[Tier | None, str] = {Tier.CPU: GpuWish.OFF.value, Tier.GPU: GpuWish.REQUIRED.value}
"""What a tier that was asked for means for the GPU."""


class VerifyPhase(str, Enum):
    """Where the verification of one image stands."""

    STARTED = "started"
    NOTE = "note"
    FINISHED = "finished"


@record()
class VerifyEvent:
    """Something to show while images are verified."""

    name: str
    phase: VerifyPhase
    text: str
    verdict: Verdict | None = None
    """What was found, of an image that is finished: others may still be at work, and fail."""


@record()
class VerifyJob:
    """One image to verify: its lock entry and the reference under which the engine has it."""

    image: LockedImage
    reference: str
    expected: Expected = Expected()


OnEvent = Callable[[VerifyEvent], None]


def verify_image(  # noqa: PLR0913 -- one image, how deep, and what it is held against
    image: LockedImage,
    reference: str,
    *,
    engine: Engine,
    run_id: str | None = None,
    on_event: OnEvent | None = None,
    gpu: str | None = None,
    devices: tuple[str, ...] = (),
    tier: Tier | None = None,
    expected: Expected | None = None,
    findings: Findings | None = None,
    foreign: ForeignImage | None = None,
) -> Verdict:
    """Prove one built image from inside and compare it with its lock entry.

    `gpu` overrides the lock's `verify.gpu`; `devices` are the GPUs to prove it on (`select_gpus`), which
    an image with CUDA then requires. `tier` is the last that is gone into: `cpu` asks for no GPU, `gpu`
    requires one; without it all is done that the host allows. `expected` is what facts say besides,
    `findings` where what the image's files say is kept. Of a `foreign` image the entry says what facts say
    of its content. An image that cannot be proven gives a verdict that says so; EngineError is raised when
    the engine itself fails, InputError for an unknown `gpu` or device.
    """
    wish = _wish_for(image, gpu, devices, tier)
    say = on_event or _ignore
    started = time.monotonic()
    say(VerifyEvent(name=image.name, phase=VerifyPhase.STARTED, text=reference))
    built = engine.find_image(reference)
    if built is None:
        verdict = _not_built(image, reference)
    elif not _is_native(built, engine):
        verdict = _of_other_architecture(image, reference, built, engine=engine)
    else:
        situation = Situation(
            image=image,
            labels=dict(built.labels),
            gpu=wish,
            offer=select_gpus(engine.gpu_offer(), devices),
            depth=tier or Tier.GPU,
            layers=built.layers,
            expected=expected or Expected(),
            python=foreign.python if foreign is not None else PYTHON,
            foreign=foreign,
        )
        verdict = _verify_built(
            situation,
            reference,
            built,
            engine=engine,
            run_id=run_id or secrets.token_hex(8),
            findings=findings or NothingKept(),
            say=say,
        )
    verdict = _timed(verdict, time.monotonic() - started)
    say(VerifyEvent(name=image.name, phase=VerifyPhase.FINISHED, text=verdict.summary, verdict=verdict))
    return verdict


def verify_images(  # noqa: PLR0913 -- one for each way in which a run may be narrowed
    jobs: Sequence[VerifyJob],
    *,
    engine: Engine,
    run_id: str | None = None,
    on_event: OnEvent | None = None,
    gpu: str | None = None,
    devices: tuple[str, ...] = (),
    tier: Tier | None = None,
    findings: Findings | None = None,
    parallel: int = 2,
) -> tuple[Verdict, ...]:
    """Verify several images, at most `parallel` at a time; verdicts in the order of the jobs.

    `on_event` is called from several threads. The first error that is raised ends the rest. EngineError is
    raised, whatever came first, where their containers could not be taken away.
    """
    shared_run = run_id or secrets.token_hex(8)
    is_ending = threading.Event()

    def say(event: VerifyEvent) -> None:
        # What becomes of an image whose container is taken away says nothing about the image.
        if on_event is not None and not is_ending.is_set():
            on_event(event)

    pool = ThreadPoolExecutor(max_workers=max(1, min(parallel, len(jobs))))
    futures = [
        pool.submit(
            verify_image,
            job.image,
            job.reference,
            engine=engine,
            run_id=shared_run,
            on_event=say,
            gpu=gpu,
            devices=devices,
            tier=tier,
            expected=job.expected,
            findings=findings,
        )
        for job in jobs
    ]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
        found = tuple(future.result() for future in futures if future.done())
    except BaseException as error:
        is_ending.set()
        # Threads that wait for an engine which does not answer are not waited for.
        pool.shutdown(wait=False, cancel_futures=True)
        try:
            _end_containers(futures, engine=engine, run_id=shared_run)
        except EngineError:
            if isinstance(error, EngineError):
                raise error from None
            raise
        raise
    pool.shutdown()
    return found


def reuse_key(
    image: LockedImage,
    *,
    image_id: str,
    offer: GpuOffer,
    gpu: str | None = None,
    devices: tuple[str, ...] = (),
    tier: Tier | None = None,
    expected: Expected | None = None,
) -> str:
    """What a verdict depends on: the image's bytes, the lock entry, the probe, the settings, the GPUs.

    Two verifications with one key give the same verdict, as far as the host's driver stays the same.
    """
    wish = _wish_for(image, gpu, devices, tier)
    request = select_gpus(offer, devices).request
    facts = expected or Expected()
    parts = {
        "image": image_id,
        "lock": image.digest,
        "probe": probe_digest([framework.proof for framework in image.frameworks]),
        "gpu": wish.value,
        "steps": image.verify.steps,
        "memory_limit": image.verify.memory_limit,
        "timeout": image.verify.timeout,
        "offer": [request.method.value, *request.devices] if request else None,
        "host": list(offer.host_devices),
        "tier": (tier or Tier.GPU).value,
        "expected": [
            {name: list(one) for name, one in facts.gpus.items()},
            facts.driver,
            facts.floor,
            dict(facts.gpu_floors),
        ],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _verify_built(
    situation: Situation,
    reference: str,
    built: ImageFacts,
    *,
    engine: Engine,
    run_id: str,
    findings: Findings,
    say: OnEvent,
) -> Verdict:
    image = situation.image
    situation = examine(
        situation,
        built.id,
        engine=engine,
        run_id=run_id,
        findings=findings,
        say=lambda text: say(VerifyEvent(name=image.name, phase=VerifyPhase.NOTE, text=text)),
    )
    key = reuse_key(
        image,
        image_id=built.id,
        offer=situation.offer,
        gpu=situation.gpu.value,
        tier=situation.depth,
        expected=situation.expected,
    )
    return conclude(situation, reference=reference, image_id=built.id, facts={REUSE_KEY: key})


def conclude(situation: Situation, *, reference: str, image_id: str, facts: Mapping[str, object]) -> Verdict:
    """The verdict on what was seen. `facts` go into the verdict's own."""
    results = judge(situation)
    return Verdict(
        name=situation.image.name,
        reference=reference,
        image_id=image_id,
        lock_digest=None if situation.is_foreign else situation.image.digest,
        ok=is_good(situation, results),
        summary=summarise(situation, results),
        checks=results,
        facts={**facts, **_facts(situation)},
        seconds=situation.report.seconds if situation.report else 0.0,
    )


def _facts(situation: Situation) -> Mapping[str, object]:
    request = situation.offer.request
    return {
        "gpu": situation.gpu.value,
        "gpu_method": request.method.value if request and situation.wants_gpu else None,
        "gpu_devices": list(request.devices) if request and situation.wants_gpu else [],
        "gpu_refusal": situation.refusal,
        "challenge": situation.challenge,
        "tier": situation.depth.value,
        "files": dict(situation.inspection.raw) if situation.inspection else None,
        "probe": dict(situation.report.raw)
        if situation.report and situation.depth is not Tier.STATIC
        else None,
    }


def _end_containers(futures: Sequence[Future[Verdict]], *, engine: Engine, run_id: str) -> None:
    """Take away what the threads wait for, until none waits: one may be about to start a container."""
    while True:
        engine.remove_leftovers(run_id, patience=_LAST_SECONDS)
        # `wait` never counts futures as done that were cancelled before they ran.
        running = [future for future in futures if not future.done()]
        if not running:
            return
        wait(running, timeout=_POLL_SECONDS)


def _is_native(built: ImageFacts, engine: Engine) -> bool:
    return not built.architecture or built.architecture == engine.architecture


def _of_other_architecture(
    image: LockedImage, reference: str, built: ImageFacts, *, engine: Engine
) -> Verdict:
    check = CheckResult(
        id="architecture",
        title="CPU architecture",
        tier=Tier.STATIC,
        state=CheckState.FAIL,
        detail=f"the image is for {built.architecture}, and this engine runs {engine.architecture}",
        remedy="verify it where its platform is native, or build it for this one: `platforms`",
        code=Code.WRONG_ARCHITECTURE,
    )
    return _nothing_started(image, reference, check, image_id=built.id, summary="nothing was run")


def _not_built(image: LockedImage, reference: str) -> Verdict:
    check = CheckResult(
        id="image",
        title="The image",
        tier=Tier.STATIC,
        state=CheckState.FAIL,
        detail=f"the engine has no image {reference}",
        remedy=f"build it: cudaforge build {image.name}",
    )
    return _nothing_started(image, reference, check, image_id="", summary="not built")


def _nothing_started(
    image: LockedImage, reference: str, check: CheckResult, *, image_id: str, summary: str
) -> Verdict:
    return Verdict(
        name=image.name,
        reference=reference,
        image_id=image_id,
        lock_digest=image.digest or None,
        ok=False,
        summary=summary if not image_id else f"{summary}; failed: {check.title}",
        checks=(check,),
        facts={},
        seconds=0.0,
    )


def _timed(verdict: Verdict, seconds: float) -> Verdict:
    return replace(verdict, seconds=seconds)


def _wish_for(image: LockedImage, gpu: str | None, devices: tuple[str, ...], tier: Tier | None) -> GpuWish:
    # Who names a device wants to know whether the image works on it.
    named = GpuWish.REQUIRED.value if devices and image.cuda is not None else None
    return _parse_wish(gpu or named or _WISHES.get(tier, image.verify.gpu))


def parse_tier(text: str) -> Tier:
    """The tier that somebody wrote. Raises InputError."""
    try:
        return Tier(text)
    except ValueError:
        allowed = ", ".join(tier.value for tier in Tier)
        raise InputError(
            Problem(
                what=f"tier {show(text)} is not one of {allowed}",
                where=Location(file="command line", key="--tier"),
            )
        ) from None


def _parse_wish(text: str) -> GpuWish:
    try:
        return GpuWish(text)
    except ValueError:
        allowed = ", ".join(wish.value for wish in GpuWish)
        raise InputError(Problem(what=f"gpu {show(text)} is not one of {allowed}")) from None


def _ignore(event: VerifyEvent) -> None:
    del event
