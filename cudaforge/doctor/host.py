"""The machine as checks see it: its files, its programs, its environment, each behind a limit.

Everything goes through a `Host`, so that tests can play any machine from a directory.
"""

from __future__ import annotations

import os
import queue
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from cudaforge import process
from cudaforge.errors import Problem
from cudaforge.process import Completed, ProgramTimeout
from cudaforge.records import record

PROBE_SECONDS = 10.0
"""How long one program may take to answer."""
_SLACK_SECONDS = 12.0
"""What ending a program that does not listen may take on top: its grace, and a little."""
_FILE_LIMIT = 4 * 1024 * 1024
_Value = TypeVar("_Value")


class Run(Protocol):
    """Starts a program; raises ProgramNotFound and ProgramTimeout."""

    def __call__(self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str]) -> Completed:
        """The program's output, whatever its exit status."""
        ...


@record()
class Disk:
    """A file system's bytes."""

    free: int
    total: int


@record()
class Host:
    """One machine. `root` is what its absolute paths are below."""

    root: Path
    environ: Mapping[str, str]
    run: Run
    uid: int
    groups: frozenset[int]
    disk: Callable[[Path], Disk | None]

    def at(self, path: str | Path) -> Path:
        """Where an absolute path of the machine is."""
        return self.root / str(path).lstrip("/")

    def exists(self, path: str | Path) -> bool:
        """Whether there is something at a path; False also where nobody may look."""
        try:
            return self.at(path).exists()
        except OSError:
            return False

    def read(self, path: str | Path) -> str | None:
        """The text of a regular file, up to 4 MiB of it; None where there is none that can be read."""
        place = self.at(path)
        try:
            if not place.is_file():
                return None
            with place.open("rb") as file:
                return file.read(_FILE_LIMIT).decode("utf-8", "replace")
        except OSError:
            return None

    def names(self, directory: str | Path) -> tuple[str, ...]:
        """The names in a directory, in order; none where it cannot be read."""
        try:
            return tuple(sorted(os.listdir(self.at(directory))))  # noqa: PTH208 -- names, not paths
        except OSError:
            return ()

    def find_program(self, name: str) -> Path | None:
        """The program on this machine's PATH."""
        for directory in self.environ.get("PATH", "").split(os.pathsep):
            place = self.at(directory) / name
            if directory and os.access(place, os.X_OK) and place.is_file():
                return place
        return None

    def ask(self, argv: Sequence[str], *, timeout: float = PROBE_SECONDS) -> Completed:
        """What a program says. Raises ProgramNotFound, and ProgramTimeout also for one that nothing ends."""
        env = {"LC_ALL": "C"}
        return within(
            timeout + _SLACK_SECONDS,
            lambda: self.run(argv, timeout=timeout, env=env),
            what=f"{Path(argv[0]).name} did not end within {timeout:g} s, and cannot be ended",
        )


def this_host() -> Host:
    """The machine that we are on."""
    return Host(
        root=Path("/"),
        environ=dict(os.environ),
        run=process.run,
        uid=os.geteuid(),
        groups=frozenset((*os.getgroups(), os.getegid())),
        disk=_disk,
    )


def within(seconds: float, ask: Callable[[], _Value], *, what: str) -> _Value:
    """The answer of a function that may never return: a process that waits for a broken driver cannot even
    be killed. Raises ProgramTimeout with `what`, and what the function raises."""
    answers: queue.SimpleQueue[tuple[_Value | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((ask(), None))
        except BaseException as error:  # noqa: BLE001 -- raised again by the thread that waits
            answers.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        value, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise ProgramTimeout(Problem(what=what)) from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # there is one where there is no error


def _disk(path: Path) -> Disk | None:
    """Of the file system that the path is on, or would be."""
    for place in (path, *path.parents):
        try:
            usage = shutil.disk_usage(place)
        except OSError:
            continue
        return Disk(free=usage.free, total=usage.total)
    return None
