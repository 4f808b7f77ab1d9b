"""What builds and verifications left, here or in the directories of several CI jobs, as proofs of a lock."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cudaforge.builder.record import FAILURES
from cudaforge.declaration.model import Declaration
from cudaforge.errors import InputError, Location, Problem
from cudaforge.files import relative_to_here
from cudaforge.lockfile.model import Lock, LockedImage
from cudaforge.pipeline.decide import Note, load, load_current_lock
from cudaforge.pipeline.host import ignore, state_directory
from cudaforge.records import record, replace
from cudaforge.report.evidence import TIME_FACT, FailedBuild, Made, Proof, read_failed, read_made
from cudaforge.report.summary import image_versions
from cudaforge.verifier.evidence import Fact
from cudaforge.verifier.model import Verdict
from cudaforge.verifier.serial import verdict_from_json

_LARGEST_FILE = 64 * 1024 * 1024
_MOST_FILES = 100_000
_LOG_END = 64 * 1024
"""Bytes of a log that a report shows: its end, which tells what went wrong."""


@record()
class _Left:
    """Everything that was found, by image name."""

    verdicts: dict[str, list[Verdict]]
    made: dict[str, list[Made]]
    logs: dict[str, Path]
    failed: dict[str, list[FailedBuild]]


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
    left = _Left(verdicts={}, made={}, logs={}, failed={})
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
        left = _Left(verdicts={one.name: [one] for one in verdicts}, made={}, logs={}, failed={})
        for path in _files((state_directory(declaration),)):
            if path.parent.name != "verdicts":
                _take(path, left)
        for one in verdicts:
            if one.image_id:  # the image that is there is what was asked about
                left.failed.pop(one.name, None)
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
                    (FAILURES, ".json"),
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
    if path.suffix == ".log":
        left.logs[path.stem] = path
        return True
    saved = _read(path)
    if path.name == "results.json":
        for image in Fact(saved)["images"]:
            made = read_made(image["build"])
            name = image["name"].text
            if made is not None and name is not None:
                left.made.setdefault(name, []).append(made)
        return isinstance(saved, dict)
    if path.parent.name == FAILURES:
        failed = read_failed(saved)
        if failed is not None:
            left.failed.setdefault(failed[0], []).append(failed[1])
        return failed is not None
    verdict = verdict_from_json(saved) if isinstance(saved, dict) else None
    if verdict is None:
        return False
    left.verdicts.setdefault(verdict.name, []).append(verdict)
    return True


def _read(path: Path) -> object:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_FILE:
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
    failed = _failed(image, verdict, left)
    if failed is not None:
        verdict = None
    missing = None
    if verdict is None:
        missing = "not verified since the lock was changed" if found else "not verified yet"
    made = left.made.get(image.name, [])
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
        log="" if failed is not None and not failed.log else _log_end(left.logs.get(image.name)),
    )


def _verified(verdict: Verdict) -> str:
    return Fact(verdict.facts.get(TIME_FACT)).text or ""


def _failed(image: LockedImage, verdict: Verdict | None, left: _Left) -> FailedBuild | None:
    """How the image's last build failed, unless an image of this lock entry was looked at since then."""
    found = [one for one in left.failed.get(image.name, ()) if one.lock_digest == image.digest]
    newest = max(found, key=lambda one: one.at, default=None)
    if newest is None or (verdict is not None and verdict.image_id and _verified(verdict) >= newest.at):
        return None
    log = left.logs.get(image.name)
    # Without a log, nothing was run: the one that is there is of an earlier build.
    return replace(newest, log=str(relative_to_here(log))) if log is not None and newest.log else newest


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
