"""What only steps on bases can give, in a directory that `vendor` fills: OS packages, and built wheels.

Each file is there once, and its hash is written down.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.errors import InputError, Problem, SurroundingsError
from cudaforge.files import hash_file, write_atomically, write_error
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import record, values_of

if TYPE_CHECKING:
    from cudaforge.bootstrap import CollectedDeb
    from cudaforge.builder.collect import Collecting
    from cudaforge.engine import NamedBuilder
    from cudaforge.pipeline.decide import Note

_SCHEMA = 1
_FILE_MODE = 0o644
"""apt reads them as a user of its own."""
_DEBS = "debs"
_WHEELS = "wheels"
_RECORDS = "collected"
_WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!]*(?:-[A-Za-z0-9._+!]+){4,5}\.whl")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@record()
class BuiltWheel:
    """A wheel that was built."""

    filename: str
    sha256: str


@record()
class _Record:
    """What was collected for an image on a platform."""

    packages: tuple[CollectedDeb, ...]
    wheels: tuple[BuiltWheel, ...]

    def files(self, directory: Path) -> Iterator[tuple[str, str, Path]]:
        """Each file's name for people, SHA-256 and place."""
        for deb in self.packages:
            yield f"the OS package {deb.name} {deb.version}", deb.sha256, _deb_file(directory, deb)
        for wheel in self.wheels:
            yield f"the wheel {wheel.filename}", wheel.sha256, _wheel_file(directory, wheel)


def find_debs(directory: Path, image: LockedImage, platform: str) -> Mapping[CollectedDeb, Path]:
    """What apt installs in the image on a platform, as files whose hashes are those that were written down.

    Raises SurroundingsError for what is not there, or damaged.
    """
    found = _find(directory, image, platform)
    return {deb: _deb_file(directory, deb) for deb in found.packages}


def find_built(directory: Path, image: LockedImage, platform: str) -> Mapping[str, Path]:
    """The wheels that were built for the image on a platform, by name. Raises as `find_debs` does."""
    found = _find(directory, image, platform)
    return {wheel.filename: _wheel_file(directory, wheel) for wheel in found.wheels}


def _find(directory: Path, image: LockedImage, platform: str) -> _Record:
    if not _needs_steps(image):
        return _Record(packages=(), wheels=())
    found = _load_record(_record_file(directory, image, platform))
    if found is None:
        raise not_collected(f"what the steps of {image.name} install on {platform}", directory)
    for what, sha256, path in found.files(directory):
        if not path.is_file():
            raise not_collected(f"{what} of {image.name}", directory)
        if hash_file(path) != sha256:
            raise SurroundingsError(
                Problem(
                    what=f"{path} is damaged: it is not what was collected as {what}",
                    remedy=f"collect it again where there is a network: cudaforge vendor {directory}",
                )
            )
    return found


def refuse_others(images: Iterable[LockedImage]) -> None:
    """Raise InputError with all images that get OS packages by something else than apt."""
    from cudaforge.renderer.context import find_missing_packages, has_apt

    problems = [
        Problem(
            what=f"{image.name} installs OS packages on {image.os}, which are not collected: "
            + ", ".join(names),
            because=("only those that apt installs are",),
            remedy="use a Debian or Ubuntu base, or a base that has them already",
        )
        for image in images
        if not has_apt(image) and (names := find_missing_packages(image))
    ]
    if problems:
        raise InputError(problems)


def find_uncollected(images: Sequence[LockedImage], directory: Path) -> tuple[tuple[LockedImage, str], ...]:
    """The images and platforms of whose steps not all is there and whole; of equal ones, the first."""
    wanted = {
        _record_file(directory, image, platform): (image, platform)
        for image in reversed(images)
        if _needs_steps(image)
        for platform in image.platforms
    }
    return tuple(one for file, one in reversed(wanted.items()) if not _is_whole(file, directory))


def collect_steps(
    wanted: Sequence[tuple[LockedImage, str]],
    directory: Path,
    *,
    named: NamedBuilder,
    prepare: Callable[[LockedImage, str], Collecting],
    on_note: Note,
) -> None:
    """Collect what the steps of these images install on these platforms, with the network.

    Raises what `collect_debs` and `collect_built` raise, and SurroundingsError for files that are none of
    theirs; at the end also for platforms whose programs the builder does not run, as apt of their bases is
    one.
    """
    from cudaforge.builder.collect import collect_built, collect_debs
    from cudaforge.renderer.context import find_missing_packages

    known = named.find_platforms()
    foreign = [one for one in wanted if known and one[1] not in known]
    for image, platform in wanted:
        if (image, platform) in foreign:
            continue
        one = prepare(image, platform)
        packages: tuple[CollectedDeb, ...] = ()
        wheels: tuple[BuiltWheel, ...] = ()
        if find_missing_packages(image):
            on_note(f"{image.name}: collecting OS packages for {platform}")
            with _arriving(directory / _DEBS) as arriving:
                collect_debs(one, arriving)
                packages = tuple(_take_deb(path, directory) for path in sorted(arriving.iterdir()))
        if _built(image):
            on_note(f"{image.name}: building {', '.join(_built(image))} for {platform}")
            with _arriving(directory / _WHEELS) as arriving:
                collect_built(one, arriving)
                wheels = tuple(_take_wheel(path, directory) for path in sorted(arriving.iterdir()))
        found = _Record(packages=packages, wheels=wheels)
        _save_record(_record_file(directory, image, platform), image, platform, found)
    if foreign:
        emulation = named.engine.words.emulation
        raise SurroundingsError(
            _foreign(image, platform, known, directory, emulation=emulation) for image, platform in foreign
        )


def _foreign(
    image: LockedImage, platform: str, known: Iterable[str], directory: Path, *, emulation: str
) -> Problem:
    return Problem(
        what=f"what the steps of {image.name} install on {platform} is not collected: this engine runs no "
        "programs of that platform",
        because=(
            "apt of the base says which OS packages that is",
            f"the engine runs: {', '.join(sorted(known))}",
            "everything else is collected",
        ),
        remedy=f"{emulation}, or run cudaforge vendor {directory} on a machine of that platform, too",
    )


def not_collected(what: str, directory: Path) -> SurroundingsError:
    """The error for something that a directory should have."""
    return SurroundingsError(
        Problem(
            what=f"{what} is not in {directory}",
            remedy=f"collect this lock where there is a network: cudaforge vendor {directory}",
        )
    )


def _needs_steps(image: LockedImage) -> bool:
    from cudaforge.renderer.context import find_missing_packages

    return bool(find_missing_packages(image) or _built(image))


def _built(image: LockedImage) -> tuple[str, ...]:
    return tuple(wheel.package for wheel in image.closure.wheels if wheel.is_built)


def _is_whole(file: Path, directory: Path) -> bool:
    found = _load_record(file)
    return found is not None and all(
        path.is_file() and hash_file(path) == sha256 for _, sha256, path in found.files(directory)
    )


def _take_deb(path: Path, directory: Path) -> CollectedDeb:
    """Put a file that has arrived in its place. What it is called there counts for nothing."""
    from cudaforge.bootstrap import describe_deb

    _require_file(path)
    deb = describe_deb(path)
    _put(path, _deb_file(directory, deb))
    return deb


def _take_wheel(path: Path, directory: Path) -> BuiltWheel:
    _require_file(path)
    if not _WHEEL.fullmatch(path.name):
        raise SurroundingsError(Problem(what=f"a step has left {path.name[:80]!r}, which is no wheel"))
    wheel = BuiltWheel(filename=path.name, sha256=hash_file(path))
    _put(path, _wheel_file(directory, wheel))
    return wheel


def _require_file(path: Path) -> None:
    if path.is_symlink() or not path.is_file():
        raise SurroundingsError(Problem(what=f"a step has left {path.name[:80]!r}, which is no file"))


def _put(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    path.chmod(_FILE_MODE)
    path.replace(target)


def _deb_file(directory: Path, deb: CollectedDeb) -> Path:
    return directory / _DEBS / f"{deb.sha256}.deb"


def _wheel_file(directory: Path, wheel: BuiltWheel) -> Path:
    return directory / _WHEELS / wheel.sha256 / wheel.filename


@contextlib.contextmanager
def _arriving(parent: Path) -> Iterator[Path]:
    """A directory for what is not looked at yet, which is gone afterwards."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=parent) as name:
            yield Path(name)
    except OSError as error:
        raise write_error(parent, error) from None


def _record_file(directory: Path, image: LockedImage, platform: str) -> Path:
    """Where it is written down what steps install: the same for images in which that is the same."""
    text = json.dumps(_question(image, platform), sort_keys=True, separators=(",", ":"))
    return directory / _RECORDS / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


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


def _save_record(file: Path, image: LockedImage, platform: str, found: _Record) -> None:
    packages = sorted(found.packages, key=lambda deb: (deb.name, deb.version, deb.architecture))
    document = {
        "schema": _SCHEMA,
        **_question(image, platform),
        "packages": [values_of(deb) for deb in packages],
        "wheels": [values_of(wheel) for wheel in found.wheels],
    }
    write_atomically(file, json.dumps(document, indent=1) + "\n")


def _load_record(file: Path) -> _Record | None:
    """What is written down; None where nothing is that this version can use."""
    from cudaforge.bootstrap import CollectedDeb, is_sound

    try:
        document = json.loads(file.read_bytes())
        if document["schema"] != _SCHEMA:
            return None
        packages = tuple(
            CollectedDeb(
                name=str(row["name"]),
                version=str(row["version"]),
                architecture=str(row["architecture"]),
                sha256=str(row["sha256"]),
                size=int(row["size"]),
            )
            for row in document["packages"]
        )
        wheels = tuple(
            BuiltWheel(filename=str(row["filename"]), sha256=str(row["sha256"])) for row in document["wheels"]
        )
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    is_right = all(map(is_sound, packages)) and all(
        _WHEEL.fullmatch(wheel.filename) and _SHA256.fullmatch(wheel.sha256) for wheel in wheels
    )
    return _Record(packages=packages, wheels=wheels) if is_right else None
