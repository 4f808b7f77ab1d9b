"""`cudaforge verify`: images of the declaration by name, and images of the engine by reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cudaforge.errors import InputError, Location, Problem
from cudaforge.lockfile.model import Lock
from cudaforge.pipeline import decide
from cudaforge.pipeline.decide import Note
from cudaforge.pipeline.foreign import asked_of, check_names, facts_beside, is_word, verify_foreign
from cudaforge.pipeline.host import cache_directory, ignore
from cudaforge.pipeline.leftovers import known_run
from cudaforge.records import record
from cudaforge.verifier.model import Verdict


@record()
class VerifyRequest:
    """What `cudaforge verify` was asked."""

    words: tuple[str, ...] = ()
    """Names, references, and wishes such as `gpu=H100`."""
    frameworks: tuple[str, ...] = ()
    tier: str | None = None
    devices: tuple[str, ...] = ()
    """GPUs of the host to prove the images on."""
    again: bool = False
    pull: bool = False


def verify_asked(
    request: VerifyRequest, file: Path, *, maximum: int, on_note: Note = ignore
) -> tuple[Verdict, ...]:
    """The verdicts, of the declaration's images first. A name of the declaration wins over a reference.

    Raises InputError, NegativeAnswer and SurroundingsError as `verify` and `verify_foreign` do, and
    InputError for wishes and frameworks without an image that they could be asked of.
    """
    from cudaforge.engine import connect
    from cudaforge.pipeline.findings import KeptFindings
    from cudaforge.pipeline.proving import verify_locked
    from cudaforge.verifier import parse_tier

    tier = None if request.tier is None else parse_tier(request.tier)
    wishes = [word for word in request.words if is_word(word)]
    named = [word for word in request.words if not is_word(word)]
    if not named and (wishes or request.frameworks):
        raise _nobody_asked(wishes, request.frameworks)
    declaration = decide.load(file) if file.exists() or not named else None
    ours = [name for name in named if declaration is not None and decide.has_image(declaration, name)]
    others = [name for name in named if name not in ours]
    if not others and (wishes or request.frameworks):
        raise _nobody_asked(wishes, request.frameworks)
    known = [image.name for image in declaration.images] if declaration is not None else []
    check_names(others, known)
    asked = asked_of(wishes, request.frameworks)
    locked = None
    if declaration is not None and (ours or not named):
        locked = decide.select(decide.load_current_lock(declaration), ours, maximum=maximum)
    if request.devices and not others and locked is not None:
        _check_gpu_images(locked)
    matrix = facts_beside(file) if others else None
    engine = connect()
    verdicts: tuple[Verdict, ...] = ()
    if locked is not None and declaration is not None:
        verdicts = verify_locked(
            locked,
            engine,
            declaration=declaration,
            again=request.again,
            devices=request.devices,
            tier=tier,
            on_note=on_note,
        )
    if matrix is None:
        return verdicts
    with known_run(engine, cache_directory() / "runs") as run_id:
        return (
            *verdicts,
            *(
                verify_foreign(
                    reference,
                    asked,
                    matrix=matrix,
                    engine=engine,
                    run_id=run_id,
                    findings=KeptFindings(),
                    tier=tier,
                    devices=request.devices,
                    pull=request.pull,
                    known=known,
                    on_note=on_note,
                )
                for reference in dict.fromkeys(others)
            ),
        )


def _check_gpu_images(lock: Lock) -> None:
    """Raise InputError where no image of the lock could use the GPUs that were named."""
    if lock.images and all(image.cuda is None for image in lock.images):
        names = ", ".join(image.name for image in lock.images)
        raise InputError(
            Problem(
                what=f"{names}: made for CPUs alone, and --device names GPUs to prove it on",
                where=Location(file="command line: --device"),
                remedy="leave --device out, or name an image with CUDA",
            )
        )


def _nobody_asked(wishes: Sequence[str], frameworks: Sequence[str]) -> InputError:
    said = ", ".join((*wishes, *(f"--framework {name}" for name in frameworks)))
    return InputError(
        Problem(
            what=f"{said}: no image is named that this could be asked of",
            where=Location(file="command line"),
            remedy="name an image of the engine by its reference; what images of the declaration are for, "
            "their lock says",
        )
    )
