"""Proving built images of a project: verdicts that are still good are kept, others are made and kept."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.declaration.model import Declaration
from cudaforge.errors import Problem
from cudaforge.files import write_atomically
from cudaforge.lockfile.model import Lock, LockedImage
from cudaforge.pipeline.decide import Note, matrix_of
from cudaforge.pipeline.expecting import expected_of
from cudaforge.pipeline.host import state_directory
from cudaforge.pipeline.leftovers import known_run
from cudaforge.records import replace
from cudaforge.report.evidence import HOST_FACTS, TIME_FACT
from cudaforge.units import utc_now
from cudaforge.verifier.model import Tier, Verdict

if TYPE_CHECKING:
    from cudaforge.engine import Engine, NamedBuilder

_MOST_VERIFICATIONS = 2


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
    """The verdicts of a lock's images on an engine. One is kept as soon as it is there, whatever becomes of
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


def verify_by_holders(
    lock: Lock,
    holders: Mapping[str, str],
    named: tuple[NamedBuilder, ...],
    *,
    declaration: Declaration,
    again: bool,
    on_note: Note,
) -> tuple[tuple[Verdict, ...], tuple[Problem, ...]]:
    """The verdicts of images by the engines that have them, and the problems of engines that went away.

    `holders` has the builder of each image that was built; others are left out. Raises EngineError where the
    only builder went away, and what `verify` raises.
    """
    from cudaforge.engine import EngineError
    from cudaforge.pipeline.builders import blame

    verdicts: list[Verdict] = []
    lost: list[Problem] = []
    for one in named:
        images = tuple(image for image in lock.images if holders.get(image.name) == one.name)
        if not images:
            continue
        try:
            verdicts += verify_locked(
                replace(lock, images=images, dropped=()),
                one.engine,
                declaration=declaration,
                again=again,
                on_note=on_note,
            )
        except EngineError as error:
            if len(named) == 1:
                raise
            lost += blame(one.name, error)
    return tuple(verdicts), tuple(lost)


def verdict_file(name: str, declaration: Declaration) -> Path:
    """Where the last verdict of an image is kept."""
    return state_directory(declaration) / "verdicts" / f"{name}.json"


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

        text = json.dumps(verdict_to_json(verdict), indent=2) + "\n"
        write_atomically(self._file, text)
