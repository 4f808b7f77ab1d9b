"""What builds and verifications left, here or in the directories of several CI jobs, as proofs of a lock."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cudaforge.builder.record import OUTCOMES
from cudaforge.declaration.model import Declaration
from cudaforge.errors import InputError, Location, Problem
from cudaforge.files import relative_to_here
from cudaforge.lockfile.model import Lock, LockedImage
from cudaforge.pipeline.decide import Note, load, load_current_lock
from cudaforge.pipeline.host import ignore, state_directory
from cudaforge.records import made, record, replace
from cudaforge.report.evidence import TIME_FACT, Made, Outcome, Proof, read_made, read_outcome
from cudaforge.report.summary import image_versions
from cudaforge.verifier.evidence import Fact
from cudaforge.verifier.model import Verdict
from cudaforge.verifier.serial import verdict_from_json

_LARGEST_FILE = 64 * 1024 * 1024
_MOST_FILES = 100_000
_LOG_END = 64 * 1024
"""Bytes of a log that a report shows: its end, which tells what went wrong."""


@record(kw_only=False)
class _Ended:
    """How a build ended, and the state directory that says so."""

    outcome: Outcome
    state: Path


@record()
class _Left:
    """Everything that was found, by image name."""

    verdicts: dict[str, list[Verdict]] = made(default_factory=dict)
    builds: dict[str, list[Made]] = made(default_factory=dict)
    logs: dict[str, list[Path]] = made(default_factory=dict)
    ended: dict[str, list[_Ended]] = made(default_factory=dict)


def gather(
    lock: Lock, declaration: Declaration, places: Sequence[Path] = (), *, on_note: Note = ignore
) -> tuple[Proof, ...]:
    """The proofs of the lock's images: from the project's own directory, or from all below `places`.

    Of several verdicts the newest counts; one of another lock entry does not. Files that are none of ours and
    places without any are told. Raises InputError for a place that is not there.
    """
    for place in places:
        if not place.is_dir():
            raise InputError(
                Problem(
                    what=f"{place} is no directory",
                    where=Location(file="command line", key="--merge"),
                    remedy="name the directory that the artifacts of the jobs were downloaded to",
                )
            )
    left = _Left()
    for place in places or (state_directory(declaration),):
        files = list(_files((place,)))
        if places and not files:
            on_note(f"{place}: no job of cudaforge has left anything there")
        for path in files:
            if not _take(path, left):
                on_note(f"{path}: left out, as it is no result that this cudaforge can read")
    strange = sorted(left.verdicts.keys() - {image.name for image in declaration.images})
    if strange:
        on_note(f"left out, as the declaration has no such image: {', '.join(strange)}")
    return tuple(_proof(image, left) for image in lock.images)


def with_lock(verdicts: Sequence[Verdict], file: Path) -> tuple[Proof, ...]:
    """The proofs that verdicts made just now are, with what is known of the builds of those images that a
    declaration has."""
    ours: dict[str, Proof] = {}
    if any(one.lock_digest is not None for one in verdicts):
        declaration = load(file)
        left = _Left(verdicts={one.name: [one] for one in verdicts})
        for path in _files((state_directory(declaration),)):
            if path.parent.name != "verdicts":
                _take(path, left)
        for one in verdicts:
            if one.image_id:  # the image that is there is what was asked about
                left.ended.pop(one.name, None)
        lock = load_current_lock(declaration)
        ours = {image.name: _proof(image, left) for image in lock.images if image.name in left.verdicts}
    return tuple(
        ours[one.name]
        if one.lock_digest is not None
        else Proof(name=one.name, reference=one.reference, verdict=one)
        for one in verdicts
    )


def _files(places: Sequence[Path]) -> Iterator[Path]:
    """Every file of a kind that counts, in the same order everywhere."""
    count = 0
    for place in places:
        for directory, below, names in os.walk(place):
            below.sort()
            for name in sorted(names):
                path = Path(directory, name)
                if name == "results.json" or (path.parent.name, path.suffix) in {
                    ("verdicts", ".json"),
                    (OUTCOMES, ".json"),
                    ("logs", ".log"),
                }:
                    count += 1
                    if count > _MOST_FILES:
                        raise InputError(
                            Problem(what=f"{place} holds more than {_MOST_FILES} results", remedy="name less")
                        )
                    yield path


def _take(path: Path, left: _Left) -> bool:
    """Whether it could be read."""
    # What a link leads to, others may have chosen: a report shows it to everybody.
    if path.is_symlink() or not path.is_file():
        return False
    if path.suffix == ".log":
        left.logs.setdefault(path.stem, []).append(path)
        return True
    saved = _read(path)
    if path.name == "results.json":
        for image in Fact(saved)["images"]:
            made = read_made(image["build"])
            name = image["name"].text
            if made is not None and name is not None:
                left.builds.setdefault(name, []).append(made)
        return isinstance(saved, dict)
    if path.parent.name == OUTCOMES:
        read = read_outcome(saved)
        if read is not None:
            left.ended.setdefault(read[0], []).append(_Ended(read[1], path.parents[1]))
        return read is not None
    verdict = verdict_from_json(saved) if isinstance(saved, dict) else None
    if verdict is None:
        return False
    left.verdicts.setdefault(verdict.name, []).append(verdict)
    return True


def _read(path: Path) -> object:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            return None
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)
    except (OSError, ValueError, RecursionError):
        return None


def _finite(text: str) -> float:
    """The number. Raises ValueError for infinity and not-a-number, which JSON does not have."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _proof(image: LockedImage, left: _Left) -> Proof:
    found = left.verdicts.get(image.name, [])
    counting = [one for one in found if one.lock_digest == image.digest]
    verdict = max(counting, key=_verified, default=None)
    last = _last_build(image, left)
    log = _log(left.logs.get(image.name, ()), last)
    failed = last.outcome.failed if last is not None else None
    if failed is not None and verdict is not None and verdict.image_id and _verified(verdict) >= failed.at:
        failed = None  # an image of this lock entry was looked at since then
    if failed is not None:
        verdict = None
        # Without a log, nothing was run: the one that is there is of an earlier build.
        log = log if failed.log else None
        failed = replace(failed, log=str(relative_to_here(log))) if log is not None else failed
    missing = None
    if verdict is None:
        missing = "not verified since the lock was changed" if found else "not verified yet"
    made = left.builds.get(image.name, [])
    return Proof(
        name=image.name,
        reference=image.tags[0],
        verdict=verdict,
        missing=missing,
        versions=image_versions(image),
        entry=image.digest,
        failed=failed,
        # A job that found the image built says nothing of what building it took.
        made=max(made, key=lambda one: one.seconds, default=None),
        dockerfile=_dockerfile(image),
        log=_log_end(log),
    )


def _verified(verdict: Verdict) -> str:
    return Fact(verdict.facts.get(TIME_FACT)).text or ""


def _last_build(image: LockedImage, left: _Left) -> _Ended | None:
    """The last build of this lock entry; of two in the same second, the one that failed."""
    found = [one for one in left.ended.get(image.name, ()) if one.outcome.lock_digest == image.digest]
    return max(found, key=lambda one: (one.outcome.at, one.outcome.failed is not None), default=None)


def _log(logs: Sequence[Path], last: _Ended | None) -> Path | None:
    """The log that lies beside what is told of the last build. Where that went well without one, any: the
    image was found, and another job has built it."""
    beside = [log for log in logs if last is not None and log.parents[1] == last.state]
    has_failed = last is not None and last.outcome.failed is not None
    return next(iter(beside if has_failed else (*beside, *reversed(logs))), None)


def _dockerfile(image: LockedImage) -> str:
    from cudaforge.renderer import render_image

    try:
        return render_image(image).dockerfile
    except InputError:  # the build says so, and a report has other things to tell
        return ""


def _log_end(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with path.open("rb") as opened:
            opened.seek(max(0, path.stat().st_size - _LOG_END))
            return opened.read(_LOG_END).decode("utf-8", "replace").expandtabs()
    except OSError:
        return ""
