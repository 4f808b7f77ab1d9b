"""Running the probe in a container of an image, and telling apart what can go wrong before it reports."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from cudaforge.codes import Code
from cudaforge.engine import ContainerOutcome, ContainerSpec, Engine, GpuRequest
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import replace
from cudaforge.verifier import causes, causes_gpu
from cudaforge.verifier.bundle import probe_arguments
from cudaforge.verifier.evidence import SEED, NoResult, parse_output
from cudaforge.verifier.inspecting import Findings, inspect, question_of
from cudaforge.verifier.model import Tier
from cudaforge.verifier.reference import draw_challenge
from cudaforge.verifier.situation import PYTHON, Situation

GRACE_SECONDS = 20.0
"""For starting Python and printing the result, on top of the probe's own deadline."""
PIDS = 4096
"""Frameworks start several threads for each CPU core."""
SHARED_MEMORY = 1024 * 2**20
"""Of /dev/shm, as NVIDIA has containers with several GPUs run; nothing is taken before it is used."""
# Compilers of the frameworks load what they wrote there, hence exec.
TMPFS = {"/tmp": "rw,exec,nosuid,nodev,mode=1777"}  # noqa: S108 -- inside the container
_NO_GPU = {"NVIDIA_VISIBLE_DEVICES": "void"}
"""Keeps GPUs out where NVIDIA's runtime is the engine's default one."""


def examine(
    situation: Situation,
    image_id: str,
    *,
    engine: Engine,
    run_id: str,
    findings: Findings,
    say: Callable[[str], None],
) -> Situation:
    """Look at the image's files, then run the probe, with the engine's GPUs if they are wanted; where it
    refuses them, without. How much of it the situation's depth says.

    Raises EngineError when the engine fails, SurroundingsError for a proof that does not exist.
    """
    image, offer = situation.image, situation.offer
    question = question_of(image, situation.python)
    looked = inspect(
        image_id,
        question,
        engine=engine,
        run_id=run_id,
        findings=findings,
        patience=image.verify.timeout,
    )
    situation = replace(
        situation,
        inspection=looked.report,
        inspection_failure=looked.failure,
        is_kept=looked.is_kept,
    )
    if situation.depth is Tier.STATIC or not looked.is_startable:
        return replace(situation, report=looked.report, failure=looked.failure)
    launch = _Launch(image, image_id, python=situation.python, engine=engine, run_id=run_id)
    if situation.wants_gpu:
        outcome = launch.run(offer.request)
        if outcome.start_error and causes_gpu.is_read_only_refusal(outcome.start_error):
            say("NVIDIA's hook needs a writable root file system: trying again with one")
            outcome = launch.run_writable(offer.request)
        if outcome.start_error is None:
            return launch.read(outcome, situation)
        say("the engine did not start the container with a GPU: trying again without")
        without = launch.run(None)
        if without.start_error is None:
            # It is the GPUs then, whatever the engine's words are.
            situation = replace(situation, refusal=outcome.start_error)
        return launch.read(without, situation)
    return launch.read(launch.run(None), situation)


def probe_of(image: LockedImage, *, nonce: str, challenge: int) -> tuple[str, ...]:
    """The arguments for the image's Python that prove it. Raises SurroundingsError as `probe_arguments`."""
    settings = image.verify
    return probe_arguments(
        tuple(dict.fromkeys(framework.proof for framework in image.frameworks)),
        nonce=nonce,
        steps=settings.steps,
        seed=SEED,
        challenge=challenge,
        timeout=settings.timeout,
        memory_limit=settings.memory_limit,
        has_compiler=image.flavor == "devel",
    )


class _Launch:
    """Everything that the containers of one verification share."""

    def __init__(
        self, image: LockedImage, image_id: str, *, engine: Engine, run_id: str, python: str = PYTHON
    ) -> None:
        self._image = image
        self._engine = engine
        self._python = python
        self._nonce = secrets.token_hex(16)
        self._challenge = draw_challenge()
        settings = image.verify
        self._spec = ContainerSpec(
            image=image_id,
            run_id=run_id,
            entrypoint=(python,),
            argv=probe_of(image, nonce=self._nonce, challenge=self._challenge),
            workdir="/",
            memory=settings.memory_limit,
            pids=PIDS,
            shared_memory=SHARED_MEMORY,
            tmpfs=TMPFS,
            read_only=True,
            drop_capabilities=True,
        )

    def run(self, gpu: GpuRequest | None) -> ContainerOutcome:
        """Run with a read-only root file system."""
        return self._run(replace(self._spec, gpu=gpu, env={} if gpu else _NO_GPU))

    def run_writable(self, gpu: GpuRequest | None) -> ContainerOutcome:
        """Run with a root file system that NVIDIA's hook can write its loader cache to."""
        return self._run(replace(self._spec, gpu=gpu, read_only=False))

    def read(self, outcome: ContainerOutcome, situation: Situation) -> Situation:
        """The situation with what the container left."""
        failure = self._find_failure(outcome)
        if failure is None:
            try:
                report = parse_output(outcome.stdout, self._nonce)
                return replace(situation, report=report, challenge=self._challenge)
            except NoResult as reason:
                failure = self._explain_silence(outcome, reason)
        return replace(situation, failure=failure)

    def _run(self, spec: ContainerSpec) -> ContainerOutcome:
        return self._engine.run_container(spec, timeout=self._image.verify.timeout + GRACE_SECONDS)

    def _find_failure(self, outcome: ContainerOutcome) -> causes.Cause | None:
        settings = self._image.verify
        if outcome.start_error is not None:
            return causes.explain_start_error(outcome.start_error, python=self._python)
        if outcome.timed_out:
            if outcome.dropped:
                return causes.out_of_time_with_a_flood(settings.timeout, outcome.dropped)
            return causes.out_of_time(settings.timeout)
        if outcome.exit_status != 0:
            if outcome.oom_killed:
                return causes.out_of_memory(settings.memory_limit)
            return causes.explain_exit(outcome.exit_status or 0, stderr=outcome.stderr)
        return None

    def _explain_silence(self, outcome: ContainerOutcome, reason: NoResult) -> causes.Cause:
        text = str(reason)
        if outcome.dropped:
            text += f"; {outcome.dropped / 2**20:.0f} MiB of other output were in the way"
        return causes.Cause(
            text=text,
            code=reason.code or (Code.OUTPUT_FLOOD if outcome.dropped else None),
            remedy="look for code that runs when Python starts: sitecustomize.py, .pth files, PYTHONSTARTUP",
        )
