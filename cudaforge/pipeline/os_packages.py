"""The OS packages of a lock's images in a directory that `vendor` fills, each file once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.errors import InputError, Problem, SurroundingsError
from cudaforge.files import hash_file, write_atomically, write_error
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import values_of

if TYPE_CHECKING:
    from cudaforge.bootstrap import BootstrapImage, CollectedDeb
    from cudaforge.engine import NamedBuilder
    from cudaforge.packages.site import Site
    from cudaforge.pipeline.decide import Note

_SCHEMA = 1
_FILE_MODE = 0o644
"""apt reads them as a user of its own."""
_FILES = "debs"
_RECORDS = "os-packages"


def find_debs(directory: Path, image: LockedImage, platform: str) -> Mapping[CollectedDeb, Path]:
    """What apt installs in the image on a platform, as files whose hashes are those that were written down.

    Raises SurroundingsError for what is not there, or damaged.
    """
    from cudaforge.renderer.context import apt_steps

    if not apt_steps(image):
        return {}
    debs = _load_record(_record_file(directory, image, platform))
    if debs is None:
        raise not_collected(f"what apt installs in {image.name} on {platform}", directory)
    found = {deb: _file(directory, deb) for deb in debs}
    for deb, path in found.items():
        if not path.is_file():
            raise not_collected(f"the OS package {deb.name} {deb.version} of {image.name}", directory)
        if hash_file(path) != deb.sha256:
            raise SurroundingsError(
                Problem(
                    what=f"{path} is damaged: it is not what was collected as {deb.name} {deb.version}",
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
    """The images and platforms whose OS packages are not all there and whole; of equal ones, the first."""
    from cudaforge.renderer.context import apt_steps

    wanted = {
        _record_file(directory, image, platform): (image, platform)
        for image in reversed(images)
        if apt_steps(image)
        for platform in image.platforms
    }
    return tuple(one for file, one in reversed(wanted.items()) if not _is_whole(file, directory))


def collect_packages(
    wanted: Sequence[tuple[LockedImage, str]],
    directory: Path,
    *,
    named: NamedBuilder,
    site: Site,
    find_base: Callable[[LockedImage], BootstrapImage],
    logs: Path,
    on_note: Note,
) -> None:
    """Collect what apt installs in these images on these platforms, with the network.

    Raises what `collect_debs` raises, and SurroundingsError for files that are no packages; at the end also
    for platforms whose programs the builder does not run, as apt of their bases is one.
    """
    from cudaforge.builder.collect import collect_debs
    from cudaforge.builder.inputs import secret_cleaner

    known = named.find_platforms()
    foreign = [one for one in wanted if known and one[1] not in known]
    for image, platform in wanted:
        if (image, platform) in foreign:
            continue
        on_note(f"{image.name}: collecting OS packages for {platform}")
        with _arriving(directory / _FILES) as arriving:
            collect_debs(
                image,
                platform,
                named=named,
                site=site,
                base=find_base(image),
                clean=secret_cleaner(image, os.environ),
                directory=arriving,
                log=logs / f"{image.name}.vendor.log",
            )
            debs = tuple(_take(path, directory) for path in sorted(arriving.iterdir()))
        _save_record(_record_file(directory, image, platform), image, platform, debs)
    if foreign:
        raise SurroundingsError(_foreign(image, platform, known, directory) for image, platform in foreign)


def _foreign(image: LockedImage, platform: str, known: Iterable[str], directory: Path) -> Problem:
    from cudaforge.builder.failures import EMULATION_REMEDY

    return Problem(
        what=f"the OS packages of {image.name} for {platform} are not collected: this engine runs no "
        "programs of that platform",
        because=(
            "apt of the base says which they are",
            f"the engine runs: {', '.join(sorted(known))}",
            "everything else is collected",
        ),
        remedy=f"{EMULATION_REMEDY}, or run cudaforge vendor {directory} on a machine of that platform, too",
    )


def not_collected(what: str, directory: Path) -> SurroundingsError:
    """The error for something that a directory should have."""
    return SurroundingsError(
        Problem(
            what=f"{what} is not in {directory}",
            remedy=f"collect this lock where there is a network: cudaforge vendor {directory}",
        )
    )


def _is_whole(record: Path, directory: Path) -> bool:
    debs = _load_record(record)
    if debs is None:
        return False
    files = [(deb, _file(directory, deb)) for deb in debs]
    return all(path.is_file() and hash_file(path) == deb.sha256 for deb, path in files)


def _take(path: Path, directory: Path) -> CollectedDeb:
    """Put a file that has arrived in its place. What it is called there counts for nothing."""
    from cudaforge.bootstrap import describe_deb

    if path.is_symlink() or not path.is_file():
        raise SurroundingsError(Problem(what=f"apt has left {path.name[:80]!r}, which is no package"))
    deb = describe_deb(path)
    path.chmod(_FILE_MODE)
    path.replace(_file(directory, deb))
    return deb


def _file(directory: Path, deb: CollectedDeb) -> Path:
    return directory / _FILES / f"{deb.sha256}.deb"


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
    """Where it is written down what apt installs: the same for images in which that is the same."""
    text = json.dumps(_question(image, platform), sort_keys=True, separators=(",", ":"))
    return directory / _RECORDS / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


def _question(image: LockedImage, platform: str) -> Mapping[str, object]:
    """All that decides what apt installs, besides the archive's day."""
    from cudaforge.renderer.context import apt_steps

    return {
        "base": image.base.digest,
        "platform": platform,
        "steps": apt_steps(image),
        "snapshot": values_of(image.snapshot) if image.snapshot is not None else None,
    }


def _save_record(file: Path, image: LockedImage, platform: str, debs: Iterable[CollectedDeb]) -> None:
    ordered = sorted(debs, key=lambda deb: (deb.name, deb.version, deb.architecture))
    document = {
        "schema": _SCHEMA,
        **_question(image, platform),
        "packages": [values_of(deb) for deb in ordered],
    }
    write_atomically(file, json.dumps(document, indent=1) + "\n")


def _load_record(file: Path) -> tuple[CollectedDeb, ...] | None:
    """What is written down; None where nothing is that this version can use."""
    from cudaforge.bootstrap import CollectedDeb, is_sound

    try:
        document = json.loads(file.read_bytes())
        if document["schema"] != _SCHEMA:
            return None
        debs = tuple(
            CollectedDeb(
                name=str(row["name"]),
                version=str(row["version"]),
                architecture=str(row["architecture"]),
                sha256=str(row["sha256"]),
                size=int(row["size"]),
            )
            for row in document["packages"]
        )
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return debs if all(map(is_sound, debs)) else None
