"""The lock on disk: read whole or not at all, written atomically, closures first."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cudaforge.declaration.model import Declaration
from cudaforge.declaration.source import file_type
from cudaforge.declaration.written import PROJECT, written_values
from cudaforge.display import show
from cudaforge.errors import CudaforgeError, InputError, Location, NegativeAnswer, Problem
from cudaforge.files import copy_atomically, hash_file, path_error, sweep, write_atomically, write_error
from cudaforge.indexes import PROJECT_INDEX
from cudaforge.lockfile.declared import DeclaredChange, declared_changes, unpack
from cudaforge.lockfile.misfits import find_misfits
from cudaforge.lockfile.model import WHEELS_DIRECTORY, Lock, LockedWheel
from cudaforge.lockfile.salvage import Remains, salvage_lock
from cudaforge.lockfile.text import MEND, damaged, dump_lock, load_lock, load_lock_alone
from cudaforge.records import values_of

CLOSURE_DIRECTORY = "cudaforge.lock.d"
_WAITING = ".new"
_CHANGED = (
    "the declaration was changed since the lock was made, or a file that it names: extends, requirements, "
    "overlays, wheels"
)
MAXIMUM_BYTES = 64 * 1024 * 1024
_CLOSURE_FILE = re.compile(rf"{re.escape(CLOSURE_DIRECTORY)}/pylock\.[A-Za-z0-9][A-Za-z0-9._-]*\.toml")


def read_lock(path: Path) -> Lock:
    """The lock at `path`. Raises NegativeAnswer where there is none, or none that can be used."""
    text = _read(path, missing="there is no lock yet")
    try:
        return load_lock(text, file=str(path), read_closure=lambda file: _read_closure(path, file, lock=text))
    except NegativeAnswer:
        newer = _read(path, missing="there is no lock yet")
        if newer == text:
            raise
        # Another process has put its lock here meanwhile, and its closures.
        return read_lock(path)


def read_remains(path: Path) -> Remains:
    """What is left of the lock at `path`, which `read_lock` refuses."""
    text = _text_of(path)
    return salvage_lock(text, find_closure=closures_beside(path, lock=text))


def read_lock_alone(path: Path) -> Lock:
    """The lock at `path` for comparing, with those of its closures that are beside it.

    Raises InputError where there is no such file, NegativeAnswer for a lock that cannot be used.
    """
    if not path.exists():
        raise InputError(
            Problem(
                what=f"there is no lock at {path}",
                where=Location(file="command line"),
                remedy="name two lock files; - is one that comes on standard input",
            )
        )
    text = _read(path, missing="there is no lock")
    return load_lock_alone(text, file=str(path), find_closure=closures_beside(path, lock=text))


def closures_beside(path: Path, *, lock: str = "") -> Callable[[str], str | None]:
    """Finds the text of a closure by its path relative to the lock at `path`; None where it is not there.

    `lock` is the lock's text, which says what closure is meant where a run was cut off.
    """

    def find(file: str) -> str | None:
        try:
            return _read_closure(path, file, lock=lock)
        except NegativeAnswer:
            return None

    return find


def write_lock(lock: Lock, closures: Mapping[str, str], path: Path) -> None:
    """Write the lock and its closures, and take away what it does not name any more.

    `closures` has the text of those that are new; the lock's others are there already. A run that is cut
    off at any point leaves the old lock or the new one, whole: closures that other ones are in the place of
    wait beside them until the lock is written, and are found there. Files that are as they should be are not
    touched. One that fails leaves nothing else behind. One process at a time may do it.
    """
    new: list[Path] = []
    try:
        for file, text in closures.items():
            place = path.parent / file
            if not os.path.lexists(place):
                new.append(place)
            _write(_waiting(place) if place.exists() and not _has(place, text) else place, text)
        _write(path, dump_lock(lock))
    except BaseException:
        with contextlib.suppress(OSError, CudaforgeError):
            _take_back(new, path)
            settle_closures(path)
        raise
    settle_closures(path)
    drop_unnamed(lock, path)


def drop_unnamed(lock: Lock, path: Path) -> None:
    """Take away closures and wheels beside the lock at `path` that it does not name."""
    closures = {image.closure.file for image in lock.images}
    wheels = {wheel.filename for wheel in _own_wheels(lock)}
    for old in sorted((path.parent / CLOSURE_DIRECTORY).glob("pylock.*.toml")):
        if f"{CLOSURE_DIRECTORY}/{old.name}" not in closures:
            _unlink(old)
    for old in sorted((path.parent / WHEELS_DIRECTORY).glob("*.whl")):
        if old.name not in wheels:
            _unlink(old)


def settle_closures(path: Path) -> None:
    """End what a run that was cut off began: closures that wait for the lock at `path` take their places if
    it means them, and are taken away if not, as is everything half-written.

    One process at a time may do it.
    """
    sweep(path)
    for one in sorted((path.parent / WHEELS_DIRECTORY).glob(".*.whl.*")):
        _unlink(one)
    left = sorted((path.parent / CLOSURE_DIRECTORY).glob(".*pylock.*.toml*"))
    lock = _text_of(path) if left else ""
    for one in left:
        place = one.with_name(one.name.removeprefix(".").removesuffix(_WAITING))
        if one == _waiting(place) and _is_meant(one, place, lock):
            _move(one, place)
        else:
            _unlink(one)


def _take_back(new: Sequence[Path], path: Path) -> None:
    """Remove closures that were not there before, unless the lock means them by now."""
    lock = _text_of(path)
    for place in new:
        if place.exists() and not _is_meant(place, place, lock):
            _unlink(place)


def _is_meant(closure: Path, place: Path, lock: str) -> bool:
    """Whether the text of the lock means this file by what it has at `place`."""
    file = f"{CLOSURE_DIRECTORY}/{place.name}"
    return closure.is_file() and _has_closure(lock, file, hash_file(closure))


def _has_closure(lock: str, file: str, sha256: str) -> bool:
    entry = rf'^file = "{re.escape(file)}"\s+^sha256 = "{sha256}"'
    return re.search(entry, lock, re.MULTILINE) is not None


def _text_of(path: Path) -> str:
    """The text of a lock; nothing where there is none, or no file."""
    try:
        return _read(path, missing="there is no lock yet")
    except (InputError, NegativeAnswer):
        return ""


def _waiting(place: Path) -> Path:
    return place.with_name(f".{place.name}{_WAITING}")


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        raise write_error(target, error) from None


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise write_error(path, error) from None


def write_wheels(lock: Lock, sources: Mapping[str, Path], path: Path) -> None:
    """Put the project's own wheels of a lock beside it, from `sources` by their SHA-256.

    Raises NegativeAnswer for one that is another file by now.
    """
    directory = path.parent / WHEELS_DIRECTORY
    own = {wheel.filename: wheel.sha256 for wheel in _own_wheels(lock)}
    for filename, sha256 in own.items():
        target = directory / filename
        if target.is_file() and hash_file(target) == sha256:
            continue
        if sha256 not in sources or not copy_atomically(sources[sha256], target, sha256=sha256):
            raise NegativeAnswer(
                Problem(
                    what=f"the wheel {filename} is gone, or another file than the one that was looked at",
                    where=Location(file=str(target)),
                    remedy="cudaforge lock",
                )
            )


def has_own_wheels(lock: Lock, path: Path) -> bool:
    """Whether the project's own wheels lie beside the lock."""
    return all((path.parent / WHEELS_DIRECTORY / wheel.filename).is_file() for wheel in _own_wheels(lock))


def _own_wheels(lock: Lock) -> Iterator[LockedWheel]:
    for image in lock.images:
        yield from (wheel for wheel in image.closure.wheels if wheel.index == PROJECT_INDEX)


def find_staleness(lock: Lock, declaration: Declaration) -> tuple[str, ...]:
    """Why the lock is not that of the declaration; empty when it is."""
    return _staleness(lock, declaration, find_declared_changes(lock, declaration))


def _staleness(lock: Lock, declaration: Declaration, changes: Sequence[DeclaredChange]) -> tuple[str, ...]:
    if declaration.as_of is not None and declaration.as_of != lock.as_of:
        return (f"it was made as of {lock.as_of or 'the day of locking'}, not of {declaration.as_of}",)
    if lock.declaration == declaration.digest:
        return ()
    told = tuple(map(str, changes)) if lock.declared else find_misfits(lock, declaration)
    locked = {image.name for image in lock.images} | {point.name for point in lock.dropped}
    declared = {image.name for image in declaration.images}
    reasons = [f"{name} is not in the lock" for name in sorted(declared - locked)]
    reasons += [f"{name} is not declared any more" for name in sorted(locked - declared)]
    return (*reasons, *told) or (_CHANGED,)


def find_declared_changes(lock: Lock, declaration: Declaration) -> tuple[DeclaredChange, ...]:
    """The keys that are declared otherwise than when the lock was made, as far as the lock tells; none of a
    lock that is current, or that does not keep what was declared."""
    if lock.declaration == declaration.digest or not lock.declared:
        return ()
    changes = declared_changes(unpack(lock.declared), written_values(declaration))
    if lock.project != declaration.project:
        renamed = DeclaredChange(image=PROJECT, key="project.name", old=lock.project, new=declaration.project)
        return (renamed, *changes)
    return changes


def require_current(lock: Lock, declaration: Declaration, path: Path) -> None:
    """Raise NegativeAnswer unless the lock is that of the declaration."""
    changes = find_declared_changes(lock, declaration)
    reasons = _staleness(lock, declaration, changes)
    if reasons:
        mend = f"{MEND} --as-of {declaration.as_of}" if declaration.as_of else MEND
        error = NegativeAnswer(
            Problem(what="the lock is stale", where=Location(file=str(path)), because=reasons, remedy=mend)
        )
        error.answer = {"changes": [{**values_of(one), "image": one.image or None} for one in changes]}
        raise error


def _write(path: Path, text: str) -> None:
    if not _has(path, text):
        write_atomically(path, text)


def _has(path: Path, text: str) -> bool:
    try:
        return not path.is_symlink() and path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def _read_closure(path: Path, file: str, *, lock: str) -> str:
    """The closure that the text of the lock means: one that waits where a run was cut off may be it."""
    if not _CLOSURE_FILE.fullmatch(file):
        raise damaged(str(path), f"{show(file)} is no closure file")
    place = path.parent / file
    text = _read(place, missing="the closure is gone")
    waiting = _waiting(place)
    if not _has_closure(lock, file, _hash(text)) and waiting.exists():
        newer = _read(waiting, missing="the closure is gone")
        return newer if _has_closure(lock, file, _hash(newer)) else text
    return text


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path, *, missing: str) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            # A pipe would be waited for without end, and a device read without end.
            raise InputError(
                Problem(
                    what=f"{path} is {file_type(status.st_mode)}, not a file",
                    where=Location(file=str(path)),
                    remedy="move it away",
                )
            )
        if status.st_size > MAXIMUM_BYTES:
            raise damaged(str(path), "it is larger than any lock can be")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise damaged(str(path), f"it is not UTF-8 at byte {error.start}") from None
    except OSError as error:
        told = path_error(path, error, "read")
        if isinstance(error, FileNotFoundError) and not isinstance(told, InputError):
            raise NegativeAnswer(Problem(what=missing, where=Location(file=str(path)), remedy=MEND)) from None
        raise told from None
