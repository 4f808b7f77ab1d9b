"""Private directories for one build: gone on every way out, and swept up after a killed run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cudaforge.errors import Problem, SurroundingsError
from cudaforge.files import is_alive

_NAME = re.compile(r"cudaforge-(?P<pid>\d+)-.+")


@contextlib.contextmanager
def scratch_directory(parent: Path | None = None) -> Iterator[Path]:
    """A directory that only this user can read, below `parent` or the system's place for such.

    Raises SurroundingsError where none can be made.
    """
    try:
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix=f"cudaforge-{os.getpid()}-", dir=parent))
    except OSError as error:
        raise disk_error(error, parent or Path(tempfile.gettempdir())) from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def sweep_scratch(parent: Path | None = None) -> None:
    """Remove what runs that were killed left behind: directories of this user whose process is gone."""
    for path in find_abandoned(parent):
        shutil.rmtree(path, ignore_errors=True)


def find_abandoned(parent: Path | None = None) -> tuple[Path, ...]:
    """Scratch directories of this user whose process is gone."""
    found = []
    with contextlib.suppress(OSError):
        for path in sorted((parent or Path(tempfile.gettempdir())).iterdir()):
            match = _NAME.fullmatch(path.name)
            if match and not is_alive(int(match["pid"])) and _is_ours(path):
                found.append(path)
    return tuple(found)


def write_private(path: Path, content: bytes) -> None:
    """A new file that only this user can read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise disk_error(error, path) from None


def disk_error(error: OSError, path: Path) -> SurroundingsError:
    """The error for a file of ours that cannot be written."""
    return SurroundingsError(
        Problem(
            what=f"cannot write {path}: {error.strerror or error}",
            remedy="free some space there, or make it writable",
        )
    )


def _is_ours(path: Path) -> bool:
    status = path.lstat()
    return status.st_uid == os.getuid() and path.is_dir() and not path.is_symlink()
