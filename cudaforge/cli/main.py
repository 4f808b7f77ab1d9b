"""The edge of the command line: dispatch, and the one place that catches errors."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from cudaforge.cli.commands import build_app
from cudaforge.cli.output import write_error
from cudaforge.errors import CudaforgeError, ExitCode, InputError, Interrupted, Problem, SurroundingsError

if TYPE_CHECKING:
    from typer.exceptions import TyperException

DEBUG_FLAG = "--debug"
_SECOND = 2
_LIBRARY_WORDS = "Value error, "
_LIBRARY_PREFIX = re.compile(r"^Invalid value for '([^']+)'(?: / '[^']+')*: ")


class _Stop(BaseException):
    """A signal asked the run to stop. Not an Exception: nothing on the way may take it for an error."""


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. Nothing but a bug in this function raises."""
    words = _before_separator(arguments)
    debug = DEBUG_FLAG in words or bool(os.environ.get("CUDAFORGE_DEBUG"))
    arguments = [word for word in words if word != DEBUG_FLAG] + list(arguments[len(words) :])
    with _signals_raise() as received:
        try:
            return _dispatch(arguments)
        except BrokenPipeError:
            # The reader of our output has left (`| head`): nothing more to say, and nobody to say it to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.OK
        except BaseException as error:  # noqa: BLE001 -- one message instead of a traceback, whatever it is
            # What a clean-up ran into after a signal is not what ended the run.
            told = _interrupted(received[0]) if received else _as_told(error)
            if isinstance(error.__cause__, CudaforgeError):
                told.answer = told.answer or error.__cause__.answer
            return _fail(told, as_json=_is_for_machines(words), debug=debug)


def _is_for_machines(words: Sequence[str]) -> bool:
    """Whether what is printed on stdout is to be JSON, an error included."""
    is_format = ("--format", "json") in itertools.pairwise(words)
    return is_format or "--json" in words or "--format=json" in words


def _as_told(error: BaseException) -> CudaforgeError:
    if isinstance(error, CudaforgeError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted()
    return _os_error(error) if isinstance(error, OSError) else _bug(error)


def _interrupted(number: int) -> Interrupted:
    return Interrupted(terminated=number != signal.SIGINT)


def _dispatch(arguments: Sequence[str]) -> int:
    import typer
    import typer.exceptions

    app = build_app(arguments)
    try:
        outcome = app(args=list(arguments) or ["--help"], prog_name="cudaforge", standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        raise Interrupted from None
    except SystemExit as stop:
        # typer's answer to a reader that has left.
        raise BrokenPipeError from stop
    except typer.exceptions.TyperException as error:
        raise InputError(_usage_problem(error)) from None
    sys.stdout.flush()
    return int(outcome or ExitCode.OK)


def _usage_problem(error: TyperException) -> Problem:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "cudaforge"
    message = _LIBRARY_PREFIX.sub(r"\1: ", message).replace(_LIBRARY_WORDS, "", 1).rstrip(".")
    return Problem(what=message or "wrong arguments", remedy=f"{command} --help")


def _before_separator(arguments: Sequence[str]) -> list[str]:
    words = list(arguments)
    return words[: words.index("--")] if "--" in words else words


@contextlib.contextmanager
def _signals_raise() -> Iterator[list[int]]:
    """Signals unwind the run, so that every clean-up runs; gives the numbers of those that came.

    The first ends the programs that were started, so that no thread waits for one. The second, while
    everything is cleaned up, only takes away their grace; a third is for those who cannot wait.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the signature of handlers
        received.append(number)
        process = sys.modules.get("cudaforge.process")
        if process is not None:
            (process.begin_stop if len(received) == 1 else process.kill_all)()
        if len(received) != _SECOND:
            raise _Stop

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # What is ignored stays ignored: `nohup` and shells in the background ask for it.
    taken = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, stop) for number in taken}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if received and "cudaforge.process" in sys.modules:
            sys.modules["cudaforge.process"].end_stop()


def _fail(error: CudaforgeError, *, as_json: bool, debug: bool) -> int:
    if isinstance(error, Interrupted):
        from cudaforge.process import end_all

        end_all()
    if debug:
        import traceback

        traceback.print_exception(error.__cause__ or error)
    # Nobody reads it, or the disk is full: the exit code says it still.
    with contextlib.suppress(OSError):
        write_error(error, as_json=as_json)
    return error.exit_code


def _os_error(error: OSError) -> CudaforgeError:
    from cudaforge.files import path_error

    if isinstance(error.filename, str):
        wrapped = path_error(Path(error.filename), error, "use")
    else:
        name = errno.errorcode.get(error.errno or 0, "OSError")
        wrapped = SurroundingsError(
            Problem(what=f"{os.strerror(error.errno) if error.errno else error} [{name}]")
        )
    wrapped.__cause__ = error
    return wrapped


def _bug(error: BaseException) -> SurroundingsError:
    wrapped = SurroundingsError(
        Problem(
            what=f"cudaforge failed in a way that it should not: {type(error).__name__}: {error}",
            remedy="run the same command with --debug and report what it prints",
        )
    )
    wrapped.__cause__ = error
    return wrapped
