"""The directory that `vendor` fills: whether it is one, and what stands in the way in it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from cudaforge.display import show_path
from cudaforge.errors import InputError, Location, Problem, SurroundingsError
from cudaforge.files import describe_obstacle, write_atomically, write_error
from cudaforge.pipeline.places import PARTS
from cudaforge.pipeline.store_troubles import in_the_way

MARK = "cudaforge-vendor.json"
SCHEMA = 1
PID = "vendor.pid"
_LARGEST_MARK = 64 * 1024
_NOT_OURS = frozenset({"lost+found"})
"""What a new file system has: its root counts as empty."""
_HALF_WRITTEN = ("*/.*", "*/*/.*")
_TEMPORARY = re.compile(r"\.new-.+|\..+\.[a-z0-9_]{8}")
_OTHER_PLACE = "name an empty directory, one that is not there yet, or one that cudaforge vendor filled"


def open_store(directory: Path) -> None:
    """Make the directory where it is not there yet, and mark it.

    Raises InputError for one that no build can be given, for one that is not empty and that `vendor` did not
    fill, and for a path that cannot be a directory; SurroundingsError where the disk does not take it.
    """
    _refuse_path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        is_new = all(_is_nothing(path) for path in directory.iterdir())
    except OSError as error:
        raise write_error(directory, error, in_the_way=_OTHER_PLACE) from None
    if is_new:
        write_atomically(directory / MARK, json.dumps({"schema": SCHEMA}) + "\n")
    check_store(directory)


def check_store(directory: Path) -> None:
    """Raise InputError where the directory is none that `vendor` filled, SurroundingsError where it cannot be
    read."""
    where = Location(file=str(directory))
    try:
        schema = _read_mark(directory / MARK).get("schema")
    except PermissionError as error:
        raise SurroundingsError(
            Problem(
                what=f"{directory} cannot be read: {error.strerror}",
                where=where,
                remedy="make it readable for you",
            )
        ) from None
    except (OSError, ValueError, AttributeError, RecursionError):
        raise InputError(_unmarked(directory)) from None
    if schema != SCHEMA:
        raise InputError(
            Problem(
                what=f"{directory} has format {schema!r}; this cudaforge knows format {SCHEMA}",
                where=where,
                remedy="collect anew into another directory: cudaforge vendor",
            )
        )


def _unmarked(directory: Path) -> Problem:
    mark = directory / MARK
    where = Location(file=str(mark))
    if mark.is_file():
        # Only whoever filled it can tell. What lies there is checked by its hash before it is used.
        restored = json.dumps({"schema": SCHEMA})
        remedy = (
            f"if cudaforge vendor filled this directory, put {restored} into that file; else name another"
        )
        return Problem(what=f"{mark} is damaged", where=where, remedy=remedy)
    if os.path.lexists(mark):
        return Problem(what=describe_obstacle(mark), where=where, remedy=_OTHER_PLACE)
    return Problem(
        what=f"{directory} is no directory that cudaforge vendor filled",
        where=Location(file=str(directory)),
        because=(f"it has no {MARK}",),
        remedy="name an empty directory for cudaforge vendor, or the one that it filled",
    )


def _read_mark(file: Path) -> Mapping[str, object]:
    if not file.is_file():
        raise FileNotFoundError(file)  # a pipe would be waited for without end
    with file.open("rb") as stream:
        document: Mapping[str, object] = json.loads(stream.read(_LARGEST_MARK))
    return document


def tidy_store(directory: Path) -> None:
    """Remove what runs that were killed left half-written, for the holder of the lock.

    Raises SurroundingsError with everything that has the place of a file, or of a directory, and is none.
    """
    for pattern in _HALF_WRITTEN:
        for path in directory.glob(pattern):
            if _TEMPORARY.fullmatch(path.name):
                _remove(path)
    obstacles = sorted(_find_obstacles(directory))
    if obstacles:
        raise SurroundingsError(in_the_way(path, directory) for path in obstacles)


def _find_obstacles(directory: Path) -> Iterator[Path]:
    yield from (path for path in (directory / MARK, directory / PID) if _is_no_file(path))
    for name, part in PARTS.items():
        root = directory / name
        if os.path.lexists(root) and not root.is_dir():
            yield root
        for path in root.rglob("*"):
            place = path.relative_to(root).parts
            if part.has_file(place):
                yield from (path,) if _is_no_file(path) else ()
            elif part.has_directory(place) and not part.is_anything(place) and not path.is_dir():
                yield path


def _is_no_file(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _is_nothing(path: Path) -> bool:
    """Whether a directory with this in it is new: the mark of a run that was killed may be half-written."""
    return path.name in _NOT_OURS or path.name.startswith(f".{MARK}.")


def _refuse_path(directory: Path) -> None:
    if any(not character.isprintable() or character == ":" for character in str(directory.absolute())):
        raise InputError(
            Problem(
                what="no build can be given the bases in this directory: its path has a colon or a character "
                "that cannot be printed",
                where=Location(file=show_path(directory)),
                remedy="name another directory",
            )
        )
