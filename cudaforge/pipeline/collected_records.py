"""What steps gave for an image on a platform, written down: each file with its hash.

A record lies under the hash of the question that it answers, has that question in it, and a checksum of all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.errors import Location, Problem
from cudaforge.files import hash_file, write_atomically
from cudaforge.lockfile.model import LockedImage
from cudaforge.pipeline.store_troubles import collect_again, damaged, in_the_way
from cudaforge.records import record, values_of

if TYPE_CHECKING:
    from cudaforge.bootstrap import CollectedDeb

SCHEMA = 2
DEBS = "debs"
WHEELS = "wheels"
WHEEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!]*(?:-[A-Za-z0-9._+!]+){4,5}\.whl")
_RECORDS = "collected"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST = 16 * 1024 * 1024
_EDITED = "it was edited or is damaged"


@record()
class BuiltWheel:
    """A wheel that was built."""

    filename: str
    sha256: str


@record()
class StoredFile:
    """One collected file: what people call it, where it lies, and the hash that it should have."""

    name: str
    path: Path
    sha256: str


@record()
class StepRecord:
    """What was collected for an image on a platform."""

    packages: tuple[CollectedDeb, ...]
    wheels: tuple[BuiltWheel, ...]

    def files(self, directory: Path) -> Iterator[StoredFile]:
        """Its files in that directory, whether they are there or not."""
        for deb in self.packages:
            name = f"the OS package {deb.name} {deb.version}"
            yield StoredFile(name=name, path=deb_file(directory, deb), sha256=deb.sha256)
        for wheel in self.wheels:
            name = f"the wheel {wheel.filename}"
            yield StoredFile(name=name, path=built_file(directory, wheel), sha256=wheel.sha256)

    def find_missing(self, directory: Path) -> str | None:
        """The name of a file that is not there."""
        return next((one.name for one in self.files(directory) if not one.path.exists()), None)

    def find_trouble(self, directory: Path) -> Problem | None:
        """What is wrong with one of the files, which are all there: damaged, or another than is written."""
        return next((found for found in self._troubles(directory) if found is not None), None)

    def _troubles(self, directory: Path) -> Iterator[Problem | None]:
        for one in self.files(directory):
            yield _file_trouble(one, directory)
        for deb in self.packages:
            yield _other_package(deb_file(directory, deb), deb, directory)


class UnusableRecord(Exception):
    """A record that is not as it was written; its text is the reason."""


def deb_file(directory: Path, deb: CollectedDeb) -> Path:
    """Where a collected OS package lies."""
    return directory / DEBS / f"{deb.sha256}.deb"


def built_file(directory: Path, wheel: BuiltWheel) -> Path:
    """Where a built wheel lies."""
    return directory / WHEELS / wheel.sha256 / wheel.filename


def record_file(directory: Path, image: LockedImage, platform: str) -> Path:
    """Where it is written down what steps install: the same for images in which that is the same."""
    return directory / _RECORDS / f"{_hash(_question(image, platform))}.json"


def unusable_record(file: Path, reason: object, directory: Path) -> Problem:
    """The problem of a record that is not as it was written."""
    return Problem(
        what=f"{file} is not as cudaforge vendor wrote it: {reason}",
        where=Location(file=str(file)),
        remedy=collect_again(directory),
    )


def save_record(directory: Path, image: LockedImage, platform: str, found: StepRecord) -> None:
    """Write a record down. Raises SurroundingsError where the disk does not take it."""
    packages = sorted(found.packages, key=lambda deb: (deb.name, deb.version, deb.architecture))
    document = {
        "schema": SCHEMA,
        **_question(image, platform),
        "packages": [values_of(deb) for deb in packages],
        "wheels": [values_of(wheel) for wheel in found.wheels],
    }
    text = json.dumps({**document, "sha256": _hash(document)}, indent=1)
    write_atomically(record_file(directory, image, platform), text + "\n")


def load_record(directory: Path, image: LockedImage, platform: str) -> StepRecord | None:
    """What is written down for an image on a platform, None where nothing is.

    Raises UnusableRecord for what is not as `save_record` has left it, or is about something else.
    """
    file = record_file(directory, image, platform)
    if not file.is_file():
        return None
    document = _read(file)
    if document.get("schema") != SCHEMA:
        raise UnusableRecord(
            f"it has format {document.get('schema')!r:.40}; this cudaforge knows format {SCHEMA}"
        )
    asked = json.loads(json.dumps(_question(image, platform)))
    other = [key for key, value in asked.items() if key not in document or document[key] != value]
    if other:
        are = "is" if len(other) == 1 else "are"
        raise UnusableRecord(f"its {' and '.join(other)} {are} not what its name stands for")
    checksum = document.pop("sha256", None)
    if checksum != _hash(document):
        raise UnusableRecord(_EDITED)
    return _parse(document)


def _read(file: Path) -> dict[str, object]:
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
        document = json.loads(content) if len(content) <= _LARGEST else None
    except OSError as error:
        raise UnusableRecord(f"it cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UnusableRecord(_EDITED)
    return document


def _parse(document: Mapping[str, object]) -> StepRecord:
    from cudaforge.bootstrap import CollectedDeb, is_sound

    rows: Mapping[str, list[dict[str, str]]] = document  # type: ignore[assignment]  # else it raises
    try:
        packages = tuple(
            CollectedDeb(
                name=str(row["name"]),
                version=str(row["version"]),
                architecture=str(row["architecture"]),
                sha256=str(row["sha256"]),
                size=int(row["size"]),
            )
            for row in rows["packages"]
        )
        wheels = tuple(
            BuiltWheel(filename=str(row["filename"]), sha256=str(row["sha256"])) for row in rows["wheels"]
        )
    except (ValueError, LookupError, TypeError):
        raise UnusableRecord("it names a file that none can be") from None
    is_right = all(map(is_sound, packages)) and all(
        WHEEL_NAME.fullmatch(wheel.filename) and _SHA256.fullmatch(wheel.sha256) for wheel in wheels
    )
    if not is_right:
        raise UnusableRecord("it names a file that none can be")
    return StepRecord(packages=packages, wheels=wheels)


def _question(image: LockedImage, platform: str) -> Mapping[str, object]:
    """All that decides what is collected, besides the archive's day."""
    from cudaforge.renderer.context import find_missing_packages

    question: dict[str, object] = {
        "base": image.base.digest,
        "platform": platform,
        "apt": find_missing_packages(image),
        "snapshot": values_of(image.snapshot) if image.snapshot is not None else None,
    }
    sources = [wheel for wheel in image.closure.wheels if wheel.is_built]
    if sources:
        python = image.standalone.find_archive(platform) if image.standalone is not None else None
        question["python"] = [image.python, python.sha256 if python is not None else None]
        question["built"] = sorted(
            [wheel.package, wheel.version, wheel.filename, wheel.sha256 or ""] for wheel in sources
        )
    return question


def _hash(value: Mapping[str, object]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _file_trouble(stored: StoredFile, directory: Path) -> Problem | None:
    path = stored.path
    if not path.is_file():
        return in_the_way(path, directory)
    try:
        is_right = hash_file(path) == stored.sha256
    except OSError as error:
        return Problem(what=f"{path} cannot be read: {error.strerror}", where=Location(file=str(path)))
    return None if is_right else damaged(path, stored.name, directory)


def _other_package(path: Path, deb: CollectedDeb, directory: Path) -> Problem | None:
    """The problem of a record that gives a package another name, version or size than it has."""
    from cudaforge.bootstrap import describe_deb

    is_ = describe_deb(path)
    if is_ == deb:
        return None
    return Problem(
        what=f"{path} is another package than the record of it says",
        where=Location(file=str(path)),
        because=(
            f"it is {is_.name} {is_.version} ({is_.architecture}, {is_.size} bytes)",
            f"written down: {deb.name} {deb.version} ({deb.architecture}, {deb.size} bytes)",
        ),
        remedy=collect_again(directory),
    )
