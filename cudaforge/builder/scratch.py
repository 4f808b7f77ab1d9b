"""Private directories for one build: gone on every way out, and swept up after a killed run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cudaforge.errors import Problem, SurroundingsError
from cudaforge.files import is_alive, write_error

_MOUNTS = Path("/proc/self/mountinfo")
_DETACH = 2
"""umount2(2): MNT_DETACH, which does not wait for those who use it."""
_ESCAPED = re.compile(r"\\([0-7]{3})")
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
        raise write_error(parent or Path(tempfile.gettempdir()), error) from None
    try:
        yield directory
    finally:
        discard(directory)


def sweep_scratch(parent: Path | None = None) -> None:
    """Remove what runs that were killed left behind: directories of this user whose process is gone."""
    for path in find_abandoned(parent):
        discard(path)


def discard(directory: Path) -> None:
    """Remove a directory of ours and all below it, but nothing that others mounted there: that is let go."""
    for place in reversed(find_mounts(directory)):
        with contextlib.suppress(AttributeError):  # a system without such mounts
            ctypes.CDLL(None).umount2(os.fsencode(place), _DETACH)
    if not find_mounts(directory):
        _open_up(directory)
        shutil.rmtree(directory, ignore_errors=True)


def find_mounts(directory: Path, *, mounts: Path = _MOUNTS) -> tuple[Path, ...]:
    """What is mounted at or below a directory, in the order in which it was mounted."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ()
    root = directory.resolve()
    places = (Path(_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), line.split()[4])) for line in lines)
    return tuple(place for place in places if place == root or root in place.parents)


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
    except FileExistsError:  # nothing of ours: a new directory of this user has it
        raise SurroundingsError(Problem(what=f"cannot write {path}: something is there already")) from None
    except OSError as error:
        raise write_error(path, error) from None


def _open_up(directory: Path) -> None:
    """Let our own directories below be listed and emptied: a Podman without root leaves some that cannot."""
    for parent, names, _ in os.walk(directory):
        for path in (Path(parent) / name for name in names):
            with contextlib.suppress(OSError):
                if _is_ours(path):
                    path.chmod(0o700)


def _is_ours(path: Path) -> bool:
    status = path.lstat()
    return status.st_uid == os.getuid() and path.is_dir() and not path.is_symlink()
