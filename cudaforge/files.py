"""Files that are never seen half-written, and locks between processes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from cudaforge.errors import CudaforgeError, InputError, Location, Problem, SurroundingsError

_MODE = 0o644
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}
_CHUNK = 1024 * 1024
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 1.0
_FREE = "free some space on that disk, and try again"
_PERMIT = "make it writable for you, or name another place"
_PERMIT_READING = "make it readable for you, or name another place"
_AWAY = "move it away"
_SHORTER = "name a place with a shorter path"
_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FREE),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _PERMIT),
    errno.ENAMETOOLONG: _SHORTER,
}
_OBSTRUCTED = frozenset(
    {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP, errno.ENOENT, errno.ENXIO}
)
"""What the system says where something else has the place of a file, or of a directory above it."""
_NO_FILE_HERE = frozenset({errno.EEXIST, errno.ENOTDIR})
"""What it says of a file that has the place of a directory itself."""


def write_atomically(path: Path, text: str) -> None:
    """Put `text` at `path`, whole or not at all; a reader sees the old file or the new one.

    Raises InputError when `path` is a symbolic link (whose target is not ours to replace), a device or a
    pipe, or something else has its place or that of a directory above it, and SurroundingsError when the
    disk does not take it; the old file is then as it was.
    """
    _refuse_others(path)
    write_bytes_atomically(path, text.encode("utf-8"))


def _refuse_others(path: Path) -> None:
    """Raise InputError for what is neither a plain file, nor a directory, nor nothing."""
    try:
        kind = _KINDS.get(stat.S_IFMT(path.lstat().st_mode))
    except OSError:
        return
    if kind is not None:
        # A file in the place of /dev/null breaks the machine.
        what, remedy = f"{path} is {kind}", "name another file; cudaforge writes only plain files"
        raise InputError(Problem(what=what, where=Location(file=str(path)), remedy=remedy))


def write_bytes_atomically(path: Path, content: bytes, *, changed: int | None = None) -> None:
    """The same for bytes, without the look at `path` itself.

    `changed` becomes the file's time of change, in nanoseconds: what is made of other files takes the time of
    the newest of them, so that an edit made in the meantime is noticed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fchmod(stream.fileno(), _MODE)
                os.fsync(stream.fileno())
                if changed is not None:
                    os.utime(stream.fileno(), ns=(changed, changed))
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise write_error(path, error) from None


def copy_atomically(source: Path, target: Path, *, sha256: str) -> bool:
    """Put a copy of `source` at `target`, whole or not at all; False where it does not have that hash.

    Raises SurroundingsError when `source` cannot be read, or the disk does not take the copy, and InputError
    when something else has the place of either.
    """
    try:
        file = source.open("rb")
    except OSError as error:
        raise path_error(source, error, "read") from None
    with file:
        try:
            return _copy(file, target, sha256)
        except OSError as error:
            raise write_error(target, error) from None


def _copy(source: BinaryIO, target: Path, sha256: str) -> bool:
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.{os.getpid()}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            shutil.copyfileobj(source, stream)
            stream.flush()
            os.fchmod(stream.fileno(), _MODE)
            os.fsync(stream.fileno())
        is_same = hash_file(Path(temporary)) == sha256
        if is_same:
            Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return is_same


def write_together(files: Mapping[Path, str]) -> None:
    """Put several texts in place, all or none: where one cannot be, those before it are as they were.

    Raises as write_atomically, and where a file that is there cannot be read.
    """
    for path in files:
        _refuse_others(path)
    old = {path: _read_old(path) for path in files}
    done: list[Path] = []
    try:
        for path, text in files.items():
            write_atomically(path, text)
            done.append(path)
    except BaseException:
        for path in done:
            before = old[path]
            with contextlib.suppress(Exception):
                if before is None:
                    path.unlink(missing_ok=True)
                else:
                    write_bytes_atomically(path, before)
        raise


def _read_old(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.exists() else None
    except OSError as error:
        raise path_error(path, error, "read") from None


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number, whoever it belongs to."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def sweep(path: Path) -> None:
    """Remove what writers of the file at `path` left beside it that were killed half-way."""
    temporary = re.compile(rf"\.{re.escape(path.name)}\.(?P<pid>\d{{1,9}})\.[a-z0-9_]{{8}}")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            match = temporary.fullmatch(entry.name)
            if match is not None and not is_alive(int(match["pid"])):
                Path(entry.path).unlink()


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    import hashlib  # OpenSSL loads with it

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def relative_to_here(path: Path) -> Path:
    """The path for people: relative to where we are, if it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def write_error(path: Path, error: OSError, *, in_the_way: str = _AWAY) -> CudaforgeError:
    """The error for a file or directory that could not be made or written: path, reason and errno, and what
    to do. An InputError, with `in_the_way` as remedy, where something else has its place, or that of a
    directory above it."""
    return path_error(path, error, "write", in_the_way=in_the_way)


def path_error(path: Path, error: OSError, verb: str, *, in_the_way: str = _AWAY) -> CudaforgeError:
    """The same for what else could not be done with it: `verb` is `read`, or `use`."""
    number = error.errno or 0
    obstacle = find_obstacle(path) if number in _OBSTRUCTED else None
    if obstacle is None and number in _NO_FILE_HERE and path.is_file():
        obstacle = describe_obstacle(path)
    if obstacle is None and number == errno.ELOOP and path.is_symlink():
        obstacle = f"{path} is a symbolic link, and cudaforge writes only plain files"
    if obstacle is not None:
        return InputError(Problem(what=obstacle, where=Location(file=str(path)), remedy=in_the_way))
    name = errno.errorcode.get(number, "no error number")
    remedy = _REMEDIES.get(number)
    problem = Problem(
        what=f"cannot {verb} {path}: {error.strerror or error} ({name})",
        where=Location(file=str(path)),
        remedy=_PERMIT_READING if verb == "read" and remedy == _PERMIT else remedy,
    )
    return InputError(problem) if number == errno.ENAMETOOLONG else SurroundingsError(problem)


def find_obstacle(path: Path) -> str | None:
    """What has the place of the file at `path`, or of a directory above it, and is none: `a.d is a file,
    where a directory has to be`. None where nothing has, or a file that could be meant."""
    with contextlib.suppress(OSError):  # what cannot be looked at tells its own error when it is used
        for one in reversed(path.parents):
            if os.path.lexists(one) and not one.is_dir():
                return describe_obstacle(one)
        if os.path.lexists(path) and not path.is_file():
            return describe_obstacle(path)
    return None


def describe_obstacle(path: Path) -> str:
    """What is at `path`, and has to be something else, in words."""
    if path.is_dir():
        return f"{path} is a directory, where a file has to be"
    if path.is_file():
        return f"{path} is a file, where a directory has to be"
    if path.is_symlink() and not path.exists():
        return f"{path} is a symbolic link to nothing"
    return f"{path} is neither a file nor a directory"


@contextlib.contextmanager
def held_lock(path: Path, *, timeout: float, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file `path` for the block, so that one process at a time is in it.

    After a second of waiting, `on_wait` gets a sentence that names the process that holds it. Raises
    SurroundingsError after `timeout` seconds.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise write_error(path, error) from None
    try:
        _wait_for(descriptor, path, timeout, on_wait)
        _sign(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _sign(descriptor: int, path: Path) -> None:
    """Write down who holds the lock, for those who wait."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise write_error(path, error) from None


def _wait_for(descriptor: int, path: Path, timeout: float, on_wait: Callable[[str], None]) -> None:
    started = time.monotonic()
    has_said = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = time.monotonic() - started
        else:
            return
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        if waited > timeout:
            raise SurroundingsError(
                Problem(
                    what=f"another cudaforge (process {holder}) has been working here for {timeout:g} s",
                    where=Location(file=str(path)),
                    remedy=f"wait for it, or end process {holder}",
                )
            )
        if waited > _PATIENCE_SECONDS and not has_said:
            on_wait(f"waiting for another cudaforge (process {holder}) that works on this project")
            has_said = True
        time.sleep(_POLL_SECONDS)
