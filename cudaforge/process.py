"""Starting other programs. No other module does.

Each child gets its own process group and a total deadline; on time-out, on an error in a
callback and on interruption the whole group is ended (10 s grace, then SIGKILL), so that no
child outlives the run that started it. Programs that may take long are ended, too, when this process is
killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from cudaforge.errors import Interrupted, Problem, SurroundingsError
from cudaforge.records import record

GRACE_SECONDS = 10.0
_MOMENT_SECONDS = 60.0
"""What has no longer than this to end is a question, and not worth a second program that guards it."""


@record()
class Completed:
    """What a finished program left: its exit status and its decoded output."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


class ProgramNotFound(SurroundingsError):
    """The program is not installed or not executable."""


class ProgramTimeout(SurroundingsError):
    """The program did not end within its deadline and was killed."""


_running: dict[subprocess.Popen[str], object] = {}
"""Each child, with the one for whom it runs."""
_running_lock = threading.RLock()  # a signal's handler takes it, too, whatever was under way
_is_stopping = threading.Event()


class _Watchdog:
    """Ends what it guards when this process is killed, see `watchdog.py`. Safe between threads."""

    def __init__(self) -> None:
        self.pid: int | None = None
        """Of its program, which is started with the first that it guards."""
        self._pipe: int | None = None
        self._guarded: set[int] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def guarding(self, child: subprocess.Popen[str]) -> Iterator[None]:
        """Guard a child's group until the block ends."""
        with self._lock:
            self._guarded.add(child.pid)
            if not self._tell("+", (child.pid,)):
                # A machine that has no room for it may have room for the program itself.
                with contextlib.suppress(OSError):
                    self._start()
        try:
            yield
        finally:
            with self._lock:
                self._guarded.discard(child.pid)
                self._tell("-", (child.pid,))

    def _start(self) -> None:
        if self.pid is not None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
            self.pid = None  # its number may be a child's next
        program = str(Path(__file__).with_name("watchdog.py"))
        command = (sys.executable, "-I", "-S", program, str(GRACE_SECONDS))
        reading, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        actions = [
            (os.POSIX_SPAWN_DUP2, reading, 0),
            *((os.POSIX_SPAWN_OPEN, output, os.devnull, os.O_WRONLY, 0) for output in (1, 2)),
        ]
        try:
            # Not Popen, which complains of what is not waited for. Who kills the run's whole group does not
            # reach one of its own, not even while it starts.
            self.pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions, setpgroup=0)
        except OSError:
            self._forget()
            raise
        finally:
            os.close(reading)
        self._tell("+", self._guarded)

    def _tell(self, sign: str, pids: Iterable[int]) -> bool:
        """Whether it is there to hear of it."""
        if self._pipe is None:
            return False
        try:
            os.write(self._pipe, "".join(f"{sign}{pid}\n" for pid in pids).encode())
        except BlockingIOError:
            return True  # it is held up, and would end what runs if this end were closed
        except OSError:
            self._forget()
            return False
        return True

    def _forget(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
        self._pipe = None


_watchdog = _Watchdog()


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    owner: object = None,
) -> Completed:
    """Run a program to its end and return its output, whatever its exit status.

    `timeout` is the total deadline in seconds. `env` is added to this process's environment. `owner` is for
    whom it runs, see `end_all`. Raises ProgramNotFound and ProgramTimeout.
    """
    guard = _no_guard if owner is None and timeout <= _MOMENT_SECONDS else _watchdog.guarding
    with _child(argv, env=env, cwd=cwd, has_stdin=stdin is not None, owner=owner, guard=guard) as child:
        try:
            stdout, stderr = child.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise _timed_out(argv, timeout) from None
    return Completed(argv=tuple(argv), returncode=child.returncode, stdout=stdout, stderr=stderr)


def stream(
    argv: Sequence[str],
    *,
    on_line: Callable[[str], None],
    timeout: float,
    with_stdout: bool = False,
    env: Mapping[str, str] | None = None,
    owner: object = None,
) -> int:
    """Run a program, hand each line of its stderr to `on_line` as it comes, return its exit status.

    Standard output is dropped, or tells one story with stderr (`with_stdout`). `env` and `owner` are as in
    `run`. Raises ProgramNotFound and ProgramTimeout; an exception in the callback ends the program
    and is passed on.
    """
    started = _child(
        argv,
        env=env,
        cwd=None,
        has_stdin=False,
        stdout=subprocess.PIPE if with_stdout else subprocess.DEVNULL,
        stderr=subprocess.STDOUT if with_stdout else subprocess.PIPE,
        owner=owner,
        guard=_watchdog.guarding,
    )
    with started as child:
        output = child.stdout if with_stdout else child.stderr
        return _follow(child, output, on_line, argv=argv, timeout=timeout)


def run_attached(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run a program on this process's own terminal, for as long as it likes; return its exit status.

    Ctrl-C reaches the program itself, which decides what it means.
    """
    try:
        child = subprocess.Popen(list(argv), env={**os.environ, **env} if env else None)
    except (FileNotFoundError, PermissionError) as error:
        raise _cannot_start(argv, error) from None
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with child:
            return child.wait()
    finally:
        signal.signal(signal.SIGINT, previous)
        _end_attached(child)


def begin_stop() -> None:
    """Ask every program to end and start no more, without waiting: what waits for one goes on at once.

    For signal handlers. Until `end_stop`, starting a program raises Interrupted.
    """
    _is_stopping.set()
    _signal_all(signal.SIGTERM)


def is_stopping() -> bool:
    """Whether the run was told to end: what a program left since then says nothing of its work."""
    return _is_stopping.is_set()


def kill_all() -> None:
    """Kill every program that is still running, without waiting. For signal handlers."""
    _signal_all(signal.SIGKILL)


def end_stop() -> None:
    """Let programs be started again."""
    _is_stopping.clear()


def end_all(*, owner: object = None) -> None:
    """End every program that is still running, or those of one owner. All share one grace."""
    with _running_lock:
        children = tuple(child for child, whose in _running.items() if owner is None or whose is owner)
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        _signal_group(child, signal.SIGTERM)
    for child in children:
        _end(child, grace=max(0.0, deadline - time.monotonic()))


@contextlib.contextmanager
def _child(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    has_stdin: bool,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    owner: object = None,
    guard: Callable[[subprocess.Popen[str]], AbstractContextManager[None]],
) -> Iterator[subprocess.Popen[str]]:
    _check_not_stopping()
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if has_stdin else subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **env} if env else None,
            cwd=cwd,
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise _cannot_start(argv, error) from None
    with _running_lock:
        _running[child] = owner
    try:
        with child, guard(child):
            try:
                _check_not_stopping()
                yield child
            finally:
                _end(child)
    finally:
        with _running_lock:
            _running.pop(child, None)


def _no_guard(_: object) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


def _follow(
    child: subprocess.Popen[str],
    output: IO[str] | None,
    on_line: Callable[[str], None],
    *,
    argv: Sequence[str],
    timeout: float,
) -> int:
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _end(child)

    timer = threading.Timer(timeout, expire)
    timer.daemon = True
    timer.start()
    try:
        for line in output or ():
            on_line(line.rstrip("\n"))
        child.wait()
    finally:
        timer.cancel()
    if expired.is_set():
        raise _timed_out(argv, timeout)
    return child.returncode


def _end_attached(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _cannot_start(argv: Sequence[str], error: OSError) -> ProgramNotFound:
    return ProgramNotFound(
        Problem(what=f"cannot start {argv[0]}: {error.strerror}", remedy=f"install {argv[0]}")
    )


def _end(child: subprocess.Popen[str], *, grace: float = GRACE_SECONDS) -> None:
    if child.poll() is not None:
        return
    _signal_group(child, signal.SIGTERM)
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        _signal_group(child, signal.SIGKILL)
        child.wait()


def _check_not_stopping() -> None:
    if _is_stopping.is_set():
        raise Interrupted


def _signal_all(number: signal.Signals) -> None:
    with _running_lock:
        children = tuple(_running)
    for child in children:
        # Not poll(): in a handler its own lock may be held by what was interrupted.
        if child.returncode is None:
            _signal_group(child, number)


def _signal_group(child: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _timed_out(argv: Sequence[str], timeout: float) -> ProgramTimeout:
    return ProgramTimeout(Problem(what=f"{argv[0]} did not end within {timeout:g} s and was stopped"))
