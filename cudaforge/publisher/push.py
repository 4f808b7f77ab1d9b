"""Pushing one reference by the engine that has the image, patiently, and looking at what arrived."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from cudaforge import process
from cudaforge.engine import DOCKER, Engine, EngineWords
from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.publisher.troubles import Trouble, TroubleKind, classify_push, last_words
from cudaforge.records import record
from cudaforge.references import DIGEST, parse_reference
from cudaforge.registry import Access, Subject, asked_pause, find_subject, upload_refusal

PUSH_SECONDS = 2 * 3600.0
TRIES = 5
_FIRST_PAUSE = 1.0
LONGEST_PAUSE = 120.0
"""Seconds: a registry that asks for more is told to the user instead."""
_HAS_FAILED = re.compile(r"\b500\b")
_DIGEST = re.compile(rf"^\S+: digest: (?P<digest>{DIGEST}) size: \d+$", re.MULTILINE)


class PushFailed(SurroundingsError):
    """The registry did not take an image. `kind` says why."""

    def __init__(self, problem: Problem, kind: TroubleKind) -> None:
        super().__init__(problem)
        self.kind = kind


def _say_nothing(_: str) -> None:
    """Nobody listens."""


@record()
class Patience:
    """How a push waits between its tries."""

    sleep: Callable[[float], None] = time.sleep
    on_note: Callable[[str], None] = _say_nothing
    tries: int = TRIES


def push(engine: Engine, reference: str, access: Access, *, image_id: str, patience: Patience) -> Subject:
    """Push what the engine has under `reference`, and give the manifest of it that the registry has now.

    Trouble that may pass is tried again, with growing pauses or those that the registry asks for; wrong
    logins, missing rights and the like never are. Raises PushFailed, and SurroundingsError where the
    registry has another image afterwards, or the engine is lost.
    """
    said = push_patiently(
        lambda: _push_once(engine, reference), reference, access, patience=patience, words=engine.words
    )
    found = _DIGEST.search(said)
    try:
        subject = find_subject(reference, access, image_id=image_id)
    except NegativeAnswer:
        subject = None
    if subject is None or (found is not None and found["digest"] not in (subject.digest, image_id)):
        told = (f"pushed was {found['digest']}",) if found is not None else ()
        raise SurroundingsError(
            Problem(
                what=f"{reference} in its registry is not the image that was built here",
                because=(f"built was {image_id}", *told),
                remedy="see who else pushes under this tag, then push again",
            )
        )
    return subject


def push_patiently(
    push_once: Callable[[], process.Completed],
    reference: str,
    access: Access,
    *,
    patience: Patience,
    words: EngineWords = DOCKER,
) -> str:
    """What the first push that succeeds says. Raises PushFailed after the last, in the engine's `words`."""
    pause = _FIRST_PAUSE
    for attempt in range(1, patience.tries + 1):
        done = push_once()
        if done.returncode == 0:
            return done.stdout
        trouble = classify_push(f"{done.stdout}\n{done.stderr}", reference=reference)
        if trouble.kind is TroubleKind.PASSING and _HAS_FAILED.search(done.stderr):
            told = classify_push(upload_refusal(reference, access), reference=reference)
            trouble = told if told.kind is TroubleKind.DISK else trouble
        if not trouble.kind.may_pass or attempt == patience.tries:
            raise _failed(reference, trouble, done.stderr, tries=attempt, words=words)
        asked = asked_pause(reference, access) if trouble.kind is TroubleKind.LIMIT else None
        wait = pause if asked is None else asked
        if wait > LONGEST_PAUSE:
            said = f"it asks for a pause of {wait:.0f} s"
            raise _failed(reference, trouble, said, tries=attempt, words=words)
        patience.on_note(
            f"{reference}: {trouble.reason.format(host=_host(reference))}; try {attempt + 1} of "
            f"{patience.tries} in {wait:.0f} s"
        )
        patience.sleep(wait)
        pause *= 2
    raise AssertionError("the last try returns or raises")


def _push_once(engine: Engine, reference: str) -> process.Completed:
    done = process.run((*engine.program, "push", "--", reference), timeout=PUSH_SECONDS, env=engine.cli_env)
    if done.returncode != 0:
        engine.check_alive()
    return done


def _host(reference: str) -> str:
    return parse_reference(reference).registry


def _failed(reference: str, trouble: Trouble, said: str, *, tries: int, words: EngineWords) -> PushFailed:
    host = _host(reference)
    because = tuple(line for line in (last_words(said), f"after {tries} tries" if tries > 1 else "") if line)
    return PushFailed(
        Problem(
            what=f"{reference} was not pushed: {trouble.reason.format(host=host)}",
            because=because,
            remedy=trouble.remedy.format(host=host, words=words),
        ),
        trouble.kind,
    )
