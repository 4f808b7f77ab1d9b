"""Rendered files on disk: nothing that people wrote is lost, nothing half-written is left."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from cudaforge.errors import InputError, Location, Problem
from cudaforge.files import write_error
from cudaforge.renderer.bake import OVERRIDE_PATH
from cudaforge.renderer.image import dockerfile_path, ignore_path
from cudaforge.renderer.mark import is_ours
from cudaforge.renderer.model import RenderedFile, Written

_MAXIMUM_READ = 4 * 1024 * 1024
_OTHER_PLACE = "move it away, or name another directory"
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def write_rendered(files: Sequence[RenderedFile], directory: Path, *, force: bool) -> Written:
    """Put the files into the directory and take away those of an earlier render.

    Files that cudaforge did not write, or that were edited since, are left alone: InputError names
    them all and nothing is written, unless `force`. Symbolic links are never followed, force or
    not. Each file appears whole or not at all; SurroundingsError leaves the old ones in place.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            directory.mkdir()
        with _opened(str(directory), directory) as root:
            return _Writer(root=root, directory=directory).write(files, force=force)
    except OSError as error:
        raise write_error(directory, error, in_the_way=_OTHER_PLACE) from None


class _Writer:
    """One run of `write_rendered` on an open directory."""

    def __init__(self, *, root: int, directory: Path) -> None:
        self._root = root
        self._directory = directory

    def write(self, files: Sequence[RenderedFile], *, force: bool) -> Written:
        old = {file.path: self._read(file.path) for file in files}
        problems = [
            self._refusal(path) for path, text in old.items() if text is not None and not is_ours(path, text)
        ]
        if problems and not force:
            raise InputError(problems)
        changed = [file for file in files if old[file.path] != file.text]
        self._replace(changed)
        return Written(
            written=tuple(file.path for file in changed),
            unchanged=tuple(file.path for file in files if old[file.path] == file.text),
            removed=tuple(self._remove_obsolete({file.path for file in files})),
        )

    def _replace(self, files: Sequence[RenderedFile]) -> None:
        """All temporary files first: a full disk then leaves every old file as it was."""
        with contextlib.ExitStack() as stack:
            moves = []
            for file in files:
                parent = stack.enter_context(self._parent(file.path, create=True))
                name = os.path.basename(file.path)  # noqa: PTH119 -- names below an open directory
                temporary = f".{name}.{secrets.token_hex(8)}"
                stack.callback(_unlink_if_there, temporary, parent)
                _write_new(temporary, file.text, parent)
                moves.append((temporary, name, parent))
            for temporary, name, parent in moves:
                os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
                os.fsync(parent)

    def _remove_obsolete(self, kept: set[str]) -> Iterator[str]:
        for path in self._find_rendered():
            if path in kept or not self._is_ours(path):
                continue
            with self._parent(path, create=False) as parent:
                os.unlink(os.path.basename(path), dir_fd=parent)  # noqa: PTH119
            with contextlib.suppress(OSError):  # other files in it are not ours to remove
                os.rmdir(path.split("/", maxsplit=1)[0], dir_fd=self._root)
            yield path

    def _find_rendered(self) -> Iterator[str]:
        for name in sorted(os.listdir(self._root)):  # noqa: PTH208 -- an open directory has no other way
            yield dockerfile_path(name)
            yield ignore_path(name)
        yield OVERRIDE_PATH

    def _is_ours(self, path: str) -> bool:
        try:
            text = self._read(path)
        except (InputError, OSError):  # a link, somebody's device or secret: not made by rendering
            return False
        return text is not None and is_ours(path, text)

    def _read(self, path: str) -> str | None:
        """The text at the path; None where nothing is. Raises InputError for what is no plain file."""
        try:
            with self._parent(path, create=False) as parent:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(os.path.basename(path), flags, dir_fd=parent)  # noqa: PTH119
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise InputError(_no_plain_file(self._directory / path)) from None
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise InputError(_no_plain_file(self._directory / path))
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(_MAXIMUM_READ).decode("utf-8", "replace")

    @contextlib.contextmanager
    def _parent(self, path: str, *, create: bool) -> Iterator[int]:
        parts = path.split("/")
        if len(parts) > 2 or any(part in ("", ".", "..") or "\0" in part for part in parts):  # noqa: PLR2004
            raise ValueError(f"{path!r} is no path of a rendered file")
        if len(parts) == 1:
            yield self._root
            return
        if create:
            with contextlib.suppress(FileExistsError):
                os.mkdir(parts[0], dir_fd=self._root)
        with _opened(parts[0], self._directory / parts[0], within=self._root) as descriptor:
            yield descriptor

    def _refusal(self, path: str) -> Problem:
        return Problem(
            what=f"{self._directory / path} was not written by cudaforge, or was edited since",
            where=Location(file=str(self._directory / path)),
            remedy="move it away, or overwrite it with --force",
        )


@contextlib.contextmanager
def _opened(name: str, shown: Path, *, within: int | None = None) -> Iterator[int]:
    try:
        descriptor = os.open(name, _DIRECTORY_FLAGS, dir_fd=within)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            kind = "a symbolic link, which is not followed" if shown.is_symlink() else "no directory"
            raise InputError(
                Problem(
                    what=f"{shown} is {kind}",
                    where=Location(file=str(shown)),
                    remedy=_OTHER_PLACE,
                )
            ) from None
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_new(name: str, text: str, parent: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o666, dir_fd=parent), "wb") as stream:
        stream.write(text.encode())
        stream.flush()
        os.fsync(stream.fileno())


def _unlink_if_there(name: str, parent: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


def _no_plain_file(path: Path) -> Problem:
    return Problem(
        what=f"{path} is a symbolic link or no plain file",
        where=Location(file=str(path)),
        remedy="remove it",
    )
