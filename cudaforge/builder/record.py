"""Whether an image has to be built: what the last build of it was made from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from cudaforge.builder.model import BuildResult, BuildState, result_to_json
from cudaforge.builder.protocol import Builder
from cudaforge.engine import Engine, ImageFacts
from cudaforge.errors import CudaforgeError
from cudaforge.files import write_atomically
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import record
from cudaforge.renderer.model import ENTRY_LABEL, RenderedImage
from cudaforge.units import utc_now

RECORD_SCHEMA = 1
OUTCOMES = "outcomes"
"""The directory of `.cudaforge` with how the last build of each image ended."""
_VERSION_CONTROL = frozenset({".git", ".hg", ".svn"})


@record()
class BuildRecord:
    """The last successful build of an image on this machine."""

    image_id: str
    inputs: str
    """Fingerprint of its Dockerfile and of the project's files in it."""
    is_reproducible: bool = False


def fingerprint_inputs(image: LockedImage, rendered: RenderedImage, *, root: Path, state: Path) -> str:
    """A value that changes with the Dockerfile, or a file that the image copies.

    Files are compared by size and time of change, as `make` does: a touched file costs one run of
    BuildKit, which compares contents.
    """
    digest = hashlib.sha256()
    for text in (rendered.dockerfile, rendered.ignore, *image.platforms):
        digest.update(text.encode() + b"\0")
    for copy in image.copy:
        for line in _describe_tree(root / copy.source, skip=state):
            digest.update(line.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def find_current(
    engine: Engine | Builder,
    image: LockedImage,
    *,
    inputs: str,
    record: BuildRecord | None,
    is_reproducible: bool = False,
) -> ImageFacts | None:
    """The engine's image of exactly this lock entry and these files, or None if it has to be built.

    Without a record of how it was built, an image that has files of the project in it is built again, and
    so is one that has to be reproducible.
    """
    facts = engine.find_image(image.tags[0])
    if facts is None and record is not None:
        facts = engine.find_image(record.image_id)
    if facts is None or facts.labels.get(ENTRY_LABEL) != image.digest:
        return None
    if record is None:
        return None if image.copy or is_reproducible else facts
    if is_reproducible and not record.is_reproducible:
        return None
    is_same = record.image_id == facts.id and record.inputs == inputs
    return facts if is_same else None


def load_record(path: Path) -> BuildRecord | None:
    """The record in this file; None where there is none, or none that this version understands."""
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != RECORD_SCHEMA:
            return None
        return BuildRecord(
            image_id=str(document["image_id"]),
            inputs=str(document["inputs"]),
            is_reproducible=document.get("reproducible") is True,
        )
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def save_record(path: Path, record: BuildRecord) -> None:
    """Write the record, whole or not at all."""
    document = {
        "schema": RECORD_SCHEMA,
        "image_id": record.image_id,
        "inputs": record.inputs,
        "reproducible": record.is_reproducible,
    }
    write_atomically(path, json.dumps(document, indent=1) + "\n")


def keep_outcome(state: Path, image: LockedImage, result: BuildResult) -> None:
    """Leave for reports how the build of an image ended. One that was cancelled says nothing."""
    if result.state is BuildState.CANCELLED:
        return
    path = state / OUTCOMES / f"{image.name}.json"
    document = {
        "schema": RECORD_SCHEMA,
        "name": image.name,
        "lock_digest": image.digest,
        "ended": utc_now(),
        "build": dict(result_to_json(result)),
    }
    try:
        write_atomically(path, json.dumps(document, indent=1) + "\n")
    except (CudaforgeError, OSError):
        # The build is told all the same: a full disk may be why it failed. What was left before is over.
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _describe_tree(path: Path, *, skip: Path) -> Iterator[str]:
    """One line for each file, in a stable order."""
    is_directory = path.is_dir() and not path.is_symlink()
    yield _describe(path, path.parent, is_directory=is_directory)
    for directory, names, files in os.walk(path):
        here = Path(directory)
        names[:] = sorted(name for name in names if name not in _VERSION_CONTROL and here / name != skip)
        for name in names:
            # A directory's own size and time change with what the ignore file leaves out.
            yield _describe(here / name, path, is_directory=not (here / name).is_symlink())
        for name in sorted(files):
            yield _describe(here / name, path, is_directory=False)


def _describe(path: Path, root: Path, *, is_directory: bool) -> str:
    place = path.relative_to(root)
    try:
        status = path.lstat()
    except OSError as error:
        return f"{place} {error.errno}"
    if is_directory:
        return f"{place}/ {status.st_mode}"
    return f"{place} {status.st_mode} {status.st_size} {status.st_mtime_ns}"
