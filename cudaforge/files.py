"""Files that are never seen half-written, and locks between processes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cudaforge.errors import InputError, Location, Problem, SurroundingsError

_MODE = 0o644
_CHUNK = 1024 * 1024
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 1.0
_FREE = "free some space on that disk, and try again"
_PERMIT = "make it writable for you, or name another place"
_WAY = "remove or rename what is in the way, and try again"
_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FREE),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _PERMIT),
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP), _WAY),
}


def write_atomically(path: Path, text: str) -> None:
    """Put `text` at `path`, whole or not at all; a reader sees the old file or the new one.

    Raises InputError when `path` is a symbolic link (whose target is not ours to replace), and
    SurroundingsError when the disk does not take it; the old file is then as it was.
    """
    if path.is_symlink():
        raise InputError(
            Problem(
                what=f"{path} is a symbolic link",
                where=Location(file=str(path)),
                remedy="remove the link; cudaforge writes only plain files",
            )
        )
    write_bytes_atomically(path, text.encode("utf-8"))


def write_bytes_atomically(path: Path, content: bytes, *, changed: int | None = None) -> None:
    """The same for bytes. Raises SurroundingsError when the disk does not take them.

    `changed` becomes the file's time of change, in nanoseconds: what is made of other files takes the time of
    the newest of them, so that an edit made in the meantime is noticed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
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

    Raises SurroundingsError when it cannot be read, or the disk does not take it.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.{os.getpid()}.")
        try:
            with os.fdopen(descriptor, "wb") as stream, source.open("rb") as file:
                shutil.copyfileobj(file, stream)
                stream.flush()
                os.fchmod(stream.fileno(), _MODE)
                os.fsync(stream.fileno())
            is_same = hash_file(Path(temporary)) == sha256
            if is_same:
                Path(temporary).replace(target)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise write_error(target, error) from None
    return is_same


def write_together(files: Mapping[Path, str]) -> None:
    """Put several texts in place, all or none: where one cannot be, those before it are as they were.

    Raises as write_atomically.
    """
    old = {path: path.read_bytes().decode("utf-8") if path.exists() else None for path in files}
    done: list[Path] = []
    try:
        for path, text in files.items():
            write_atomically(path, text)
            done.append(path)
    except BaseException:
        for path in done:
            text_before = old[path]
            with contextlib.suppress(Exception):
                if text_before is None:
                    path.unlink(missing_ok=True)
                else:
                    write_atomically(path, text_before)
        raise


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number, whoever it belongs to."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _sweep(path: Path) -> None:
    """Remove what writers of this file left that were killed half-way."""
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


def write_error(path: Path, error: OSError) -> SurroundingsError:
    """The error for a file that could not be written: path, reason and errno, and what to do."""
    name = errno.errorcode.get(error.errno or 0, "no error number")
    return SurroundingsError(
        Problem(
            what=f"cannot write {path}: {error.strerror} ({name})",
            where=Location(file=str(path)),
            remedy=_REMEDIES.get(error.errno or 0),
        )
    )


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
