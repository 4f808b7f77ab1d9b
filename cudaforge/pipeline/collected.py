"""What only steps on bases can give, in a directory that `vendor` fills: OS packages, and built wheels.

Each file is there once, and its hash is written down.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.display import show
from cudaforge.errors import InputError, Problem, SurroundingsError
from cudaforge.files import hash_file, write_error
from cudaforge.lockfile.model import LockedImage
from cudaforge.pipeline.collected_records import (
    DEBS,
    WHEEL_NAME,
    WHEELS,
    BuiltWheel,
    StepRecord,
    UnusableRecord,
    built_file,
    deb_file,
    load_record,
    record_file,
    save_record,
    unusable_record,
)
from cudaforge.pipeline.store_troubles import not_collected, require_file_place, vendor_command

if TYPE_CHECKING:
    from cudaforge.bootstrap import CollectedDeb
    from cudaforge.builder.collect import Collecting
    from cudaforge.engine import NamedBuilder
    from cudaforge.pipeline.decide import Note

_FILE_MODE = 0o644
"""apt reads them as a user of its own."""


def find_debs(directory: Path, image: LockedImage, platform: str) -> Mapping[CollectedDeb, Path]:
    """What apt installs in the image on a platform, as files whose hashes are those that were written down.

    Raises SurroundingsError for what is not there, or damaged.
    """
    found = _find(directory, image, platform)
    return {deb: deb_file(directory, deb) for deb in found.packages}


def find_built(directory: Path, image: LockedImage, platform: str) -> Mapping[str, Path]:
    """The wheels that were built for the image on a platform, by name. Raises as `find_debs` does."""
    found = _find(directory, image, platform)
    return {wheel.filename: built_file(directory, wheel) for wheel in found.wheels}


def _find(directory: Path, image: LockedImage, platform: str) -> StepRecord:
    if not _needs_steps(image):
        return StepRecord(packages=(), wheels=())
    found = _load(directory, image, platform)
    missing = found.find_missing(directory)
    if missing is not None:
        raise not_collected(f"{missing} of {image.name}", directory)
    trouble = found.find_trouble(directory)
    if trouble is not None:
        raise SurroundingsError(trouble)
    return found


def _load(directory: Path, image: LockedImage, platform: str) -> StepRecord:
    file = record_file(directory, image, platform)
    require_file_place(file, directory)
    try:
        found = load_record(directory, image, platform)
    except UnusableRecord as reason:
        raise SurroundingsError(unusable_record(file, reason, directory)) from None
    if found is None:
        raise not_collected(f"what the steps of {image.name} install on {platform}", directory)
    return found


def find_step_files(directory: Path, image: LockedImage, platform: str) -> tuple[Path, ...]:
    """The record of what the steps of the image give on a platform, and its files; none where it needs none.

    Raises SurroundingsError for a record that is not there, or not as it was written.
    """
    if not _needs_steps(image):
        return ()
    file = record_file(directory, image, platform)
    return (file, *(one.path for one in _load(directory, image, platform).files(directory)))


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


def find_uncollected(
    images: Sequence[LockedImage], directory: Path, *, on_note: Note
) -> tuple[tuple[LockedImage, str], ...]:
    """The images and platforms of whose steps not all is there and whole; of equal ones, the first.

    `on_note` is told what is there and cannot be used. Raises SurroundingsError for what is in the way of
    collecting it anew.
    """
    wanted = {
        record_file(directory, image, platform): (image, platform)
        for image in reversed(images)
        if _needs_steps(image)
        for platform in image.platforms
    }
    return tuple(one for one in reversed(wanted.values()) if not _is_whole(*one, directory, on_note))


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
            with _arriving(directory / DEBS) as arriving:
                collect_debs(one, arriving)
                packages = tuple(_take_deb(path, directory) for path in sorted(arriving.iterdir()))
        if _built(image):
            on_note(f"{image.name}: building {', '.join(_built(image))} for {platform}")
            with _arriving(directory / WHEELS) as arriving:
                collect_built(one, arriving)
                wheels = tuple(_take_wheel(path, directory) for path in sorted(arriving.iterdir()))
        found = StepRecord(packages=packages, wheels=wheels)
        save_record(directory, image, platform, found)
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
        remedy=f"{emulation}, or run {vendor_command(directory)} on a machine of that platform, too",
    )


def _needs_steps(image: LockedImage) -> bool:
    from cudaforge.renderer.context import find_missing_packages

    return bool(find_missing_packages(image) or _built(image))


def _built(image: LockedImage) -> tuple[str, ...]:
    return tuple(wheel.package for wheel in image.closure.wheels if wheel.is_built)


def _is_whole(image: LockedImage, platform: str, directory: Path, on_note: Note) -> bool:
    file = record_file(directory, image, platform)
    require_file_place(file, directory)
    try:
        found = load_record(directory, image, platform)
    except UnusableRecord as reason:
        on_note(f"{unusable_record(file, reason, directory).what}; collecting anew")
        return False
    if found is None:
        return False
    for one in found.files(directory):
        require_file_place(one.path, directory)
    if found.find_missing(directory) is not None:
        return False
    trouble = found.find_trouble(directory)
    if trouble is not None:
        on_note(f"{trouble.what}; collecting anew")
    return trouble is None


def _take_deb(path: Path, directory: Path) -> CollectedDeb:
    """Put a file that has arrived in its place. What it is called there counts for nothing."""
    from cudaforge.bootstrap import describe_deb

    _require_file(path)
    deb = describe_deb(path)
    _put(path, deb_file(directory, deb), directory)
    return deb


def _take_wheel(path: Path, directory: Path) -> BuiltWheel:
    _require_file(path)
    if not WHEEL_NAME.fullmatch(path.name):
        raise SurroundingsError(Problem(what=f"a step has left {show(path.name)}, which is no wheel"))
    wheel = BuiltWheel(filename=path.name, sha256=hash_file(path))
    _put(path, built_file(directory, wheel), directory)
    return wheel


def _require_file(path: Path) -> None:
    if path.is_symlink() or not path.is_file():
        raise SurroundingsError(Problem(what=f"a step has left {show(path.name)}, which is no file"))


def _put(path: Path, target: Path, directory: Path) -> None:
    require_file_place(target, directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    path.chmod(_FILE_MODE)
    path.replace(target)


@contextlib.contextmanager
def _arriving(parent: Path) -> Iterator[Path]:
    """A directory for what is not looked at yet, which is gone afterwards."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=parent) as name:
            yield Path(name)
    except OSError as error:
        raise write_error(parent, error) from None
