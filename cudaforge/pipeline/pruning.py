"""Taking out of a vendored directory what no project's lock needs any more.

Each project that was collected has a list of what its lock needs, by which a directory serves several of
them: what another project's list names stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cudaforge.declaration.model import Declaration
from cudaforge.errors import Location, NegativeAnswer, Problem, SurroundingsError
from cudaforge.files import write_atomically, write_error
from cudaforge.lockfile.model import Lock, LockedImage
from cudaforge.pipeline.collected import find_step_files
from cudaforge.pipeline.places import PARTS, PROJECTS, Part, base_directory, python_file, source_file
from cudaforge.pipeline.store_troubles import vendor_command
from cudaforge.records import record
from cudaforge.units import bytes_text

SCHEMA = 1


@record()
class KeptFor:
    """What stays in a directory for another project alone."""

    declaration: str
    """Path of its declaration, where it was collected."""
    list: Path
    """The file that says so: without it, the project's part goes with the next pruning."""
    files: int
    size: int
    """Bytes."""


@record()
class Pruned:
    """What was taken out of a directory, and what was not."""

    files: int
    size: int
    """Bytes."""
    kept: tuple[KeptFor, ...] = ()
    strange: tuple[Path, ...] = ()
    """Files where `vendor` has its own that are none of its own, and directories that are links."""


@record()
class _Need:
    declaration: str
    places: frozenset[str]


def list_needs(lock: Lock, declaration: Declaration, directory: Path) -> Path:
    """Write down what the project's lock needs of the directory, in the place of what an earlier lock of it
    needed. Raises SurroundingsError where the disk does not take it."""
    path = str(declaration.path.resolve())
    places = sorted({place for image in lock.images for place in _places(image, directory)})
    document = {"schema": SCHEMA, "project": lock.project, "declaration": path, "needs": places}
    name = hashlib.sha256(json.dumps([lock.project, path]).encode()).hexdigest()
    file = directory / PROJECTS / f"{name}.json"
    write_atomically(file, json.dumps(document, indent=1) + "\n")
    return file


def has_lists(directory: Path) -> bool:
    """Whether it was written down for any project what it needs."""
    return any((directory / PROJECTS).glob("*.json"))


def prune(directory: Path, own: Path, *, is_listed: bool) -> Pruned:
    """Remove what neither the list at `own` names nor that of another project. What `vendor` did not write
    stays. Whoever calls holds the directory's lock. `is_listed` says whether there were lists before the one
    at `own`: else whose the rest is cannot be told.

    A run that is killed leaves what is needed whole, and what is half removed to the next run. Raises
    NegativeAnswer, with nothing removed, where whose the rest is cannot be told, SurroundingsError for a list
    that cannot be read, also with nothing removed; and where something cannot be removed.
    """
    needs = {file: _read(file, directory) for file in sorted((directory / PROJECTS).glob("*.json"))}
    needed = frozenset().union(*(need.places for need in needs.values()))
    found, strange = _look(directory)
    rest = [path for place, path in found.items() if place not in needed]
    if rest and not is_listed:
        raise NegativeAnswer(_unlisted(rest, directory))
    files = size = 0
    for path in rest:
        removed = _weigh([path])
        _remove(path)
        files, size = files + removed[0], size + removed[1]
    for part in ("sources", "wheels"):
        _remove_empty(directory / part)
    return Pruned(
        files=files,
        size=size,
        kept=tuple(_kept(file, needs, own, found) for file in needs if file != own),
        strange=tuple(strange),
    )


def _places(image: LockedImage, directory: Path) -> Iterator[str]:
    """What an image needs, relative to the directory."""
    from cudaforge.packages.collect import wheel_file
    from cudaforge.packages.foreign import uv_directory

    paths = [
        base_directory(directory, image.base),
        *(
            source_file(directory, wheel) if wheel.is_built else wheel_file(directory, wheel)
            for wheel in image.closure.wheels
        ),
    ]
    for platform in image.platforms:
        archive = image.standalone.find_archive(platform) if image.standalone is not None else None
        paths += [] if archive is None else [python_file(directory, archive)]
        # Also that of this machine's platform: the directory may have been filled by another one, too.
        uv = uv_directory(platform, directory)
        paths += [] if uv is None else [uv]
        paths += find_step_files(directory, image, platform)
    return (path.relative_to(directory).as_posix() for path in paths)


def _read(file: Path, directory: Path) -> _Need:
    try:
        document: Mapping[str, object] = json.loads(file.read_bytes())
        needs, declaration = document["needs"], document["declaration"]
        is_right = document["schema"] == SCHEMA and isinstance(needs, list)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        needs, declaration, is_right = [], "", False
    if not is_right or not isinstance(declaration, str) or not isinstance(needs, list):
        raise SurroundingsError(
            Problem(
                what=f"{file} does not say what its project needs: nothing was removed",
                where=Location(file=str(file)),
                because=("it was edited or is damaged, or another cudaforge wrote it",),
                remedy=f"run {vendor_command(directory)} in that project, or remove the file if it is gone",
            )
        )
    return _Need(declaration=declaration, places=frozenset(map(str, needs)))


def _look(directory: Path) -> tuple[dict[str, Path], list[Path]]:
    """Everything that `vendor` wrote, by its place; and what else lies there."""
    found: dict[str, Path] = {}
    strange: list[Path] = []
    for name, part in PARTS.items():
        root = directory / name
        if name == PROJECTS:
            continue
        if root.is_symlink():
            strange.append(root)
            continue
        for path in _trees(root) if part.is_of_trees else _files(root):
            if _is_own(path, root, part):
                found[path.relative_to(directory).as_posix()] = path
            else:
                strange.append(path)
    return found, strange


def _trees(root: Path) -> Iterator[Path]:
    yield from sorted(root.iterdir()) if root.is_dir() else ()


def _files(root: Path) -> Iterator[Path]:
    """The files below a directory, links not followed."""
    yield from (path for path in sorted(root.rglob("*")) if path.is_symlink() or not path.is_dir())


def _is_own(path: Path, root: Path, part: Part) -> bool:
    """Whether it is a file as `vendor` calls them, or a directory with nothing else in it."""
    if path.is_symlink():
        return False
    place = path.relative_to(root).parts
    if not part.is_of_trees or not path.is_dir():
        return not part.is_of_trees and part.has_file(place)
    return part.has_directory(place) and all(_is_in_tree(one, root, part) for one in path.rglob("*"))


def _is_in_tree(path: Path, root: Path, part: Part) -> bool:
    place = path.relative_to(root).parts
    return not path.is_symlink() and (part.has_file(place) or part.has_directory(place))


def _unlisted(rest: Iterable[Path], directory: Path) -> Problem:
    files, size = _weigh(rest)
    return Problem(
        what=f"nothing was removed: {files} files ({bytes_text(size)}) may be those of other projects",
        where=Location(file=str(directory)),
        because=("they were collected before it was written down here what a project needs",),
        remedy=f"run {vendor_command(directory)} in each other project that uses it, then --prune again",
    )


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            # At once, so that no base is ever half there; whoever tidies up next takes what a kill leaves.
            aside = Path(tempfile.mkdtemp(prefix=".new-", dir=path.parent))
            path.rename(aside / path.name)
            shutil.rmtree(aside)
            return
        path.unlink()
    except OSError as error:
        raise write_error(path, error) from None


def _remove_empty(part: Path) -> None:
    """Directories for one file each, which is gone: of this run, or of one that was killed."""
    for path in part.iterdir() if part.is_dir() and not part.is_symlink() else ():
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            with contextlib.suppress(OSError):  # somebody else has just put something there
                path.rmdir()


def _kept(file: Path, needs: Mapping[Path, _Need], own: Path, found: Mapping[str, Path]) -> KeptFor:
    places = needs[file].places - (needs[own].places if own in needs else frozenset())
    files, size = _weigh(found[place] for place in places if place in found)
    return KeptFor(declaration=needs[file].declaration, list=file, files=files, size=size)


def _weigh(paths: Iterable[Path]) -> tuple[int, int]:
    """How many files there are in files and directories, and their bytes."""
    trees = (path.rglob("*") if path.is_dir() else (path,) for path in paths)
    sizes = [path.stat().st_size for tree in trees for path in tree if path.is_file()]
    return len(sizes), sum(sizes)
