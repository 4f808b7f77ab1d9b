"""Directories in the cache that several runs may want at once, and that never show half-made."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from cudaforge.bootstrap.deadline import Deadline
from cudaforge.files import path_error

_POLL_SECONDS = 0.05


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the file system into the error that names where it happened, and says what to do."""
    try:
        yield
    except OSError as error:
        raise path_error(Path(error.filename or path), error, "use") from error


@contextlib.contextmanager
def hold_lock(directory: Path, deadline: Deadline) -> Iterator[None]:
    """Be the only run that works on what stands, or will stand, at `directory`.

    The lock is a file beside it; the kernel frees the lock of a dead run.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    beside = directory.with_name(f"{directory.name}.lock")
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while not _try_lock(descriptor):
            time.sleep(min(_POLL_SECONDS, deadline.remaining()))
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def build_directory(place: Path) -> Iterator[Path]:
    """A new directory that becomes `place` when the block ends well, and vanishes when it does not.

    For the holder of the lock: what a killed run left behind is removed first.
    """
    scratch = place.with_name(f".{place.name}.new")
    _remove(scratch)
    scratch.mkdir(parents=True)
    try:
        yield scratch
        _remove(place)
        scratch.rename(place)
    finally:
        _remove(scratch)


@contextlib.contextmanager
def scratch_directory(place: Path) -> Iterator[Path]:
    """An empty directory at `place`, for the holder of the lock, gone when the block ends."""
    _remove(place)
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        _remove(place)


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
