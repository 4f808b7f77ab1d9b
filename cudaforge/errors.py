"""Every error that cudaforge raises on purpose, and the exit code each one ends with.

An error carries values, never finished sentences for a terminal: `cudaforge.report` makes the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

from cudaforge.records import record


class ExitCode(IntEnum):
    """How a run of the command line ends."""

    OK = 0
    NEGATIVE = 1
    """The answer is no: conflict, failed verification, missing or stale lock."""
    INPUT = 2
    """The input is wrong: declaration or arguments."""
    SURROUNDINGS = 3
    """Engine, network, registry or disk failed."""
    INTERRUPTED = 130
    TERMINATED = 143


@record()
class Location:
    """Where in the user's input something stands. `line` counts from 1; `key` is dotted."""

    file: str
    line: int | None = None
    key: str | None = None


@record()
class Problem:
    """One mistake: what is wrong, where, because of which facts, and what to do about it."""

    what: str
    where: Location | None = None
    because: tuple[str, ...] = ()
    remedy: str | None = None


class CudaforgeError(Exception):
    """An expected failure. Caught once, at the edge of the command line."""

    exit_code: ExitCode = ExitCode.SURROUNDINGS

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.answer: Mapping[str, object] = {}
        """What there is of the answer all the same, in its JSON form."""
        super().__init__("; ".join(problem.what for problem in self.problems))


class NegativeAnswer(CudaforgeError):
    """The question was sound and the answer is no."""

    exit_code = ExitCode.NEGATIVE


class InputError(CudaforgeError):
    """The declaration, an argument or a file that they name is wrong."""

    exit_code = ExitCode.INPUT


class SurroundingsError(CudaforgeError):
    """Something that cudaforge depends on failed: engine, network, registry, disk."""

    exit_code = ExitCode.SURROUNDINGS


class Interrupted(CudaforgeError):
    """The user or the system asked the run to stop (SIGINT, SIGTERM, SIGHUP)."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, *, terminated: bool = False) -> None:
        super().__init__(Problem(what="interrupted"))
        if terminated:
            self.exit_code = ExitCode.TERMINATED
