"""The ways in which an engine fails, each with what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cudaforge.errors import SurroundingsError

_Answer = TypeVar("_Answer")


class EngineError(SurroundingsError):
    """The container engine failed."""


def ask_twice(ask: Callable[[], _Answer]) -> _Answer:
    """What `ask` gives, asked a second time where the engine fails: a busy one is silent for a while."""
    try:
        return ask()
    except EngineError:
        return ask()


class EngineAbsent(EngineError):
    """There is no engine where one is looked for by default."""


class EngineUnreachable(EngineError):
    """An address was given, and no engine answers there."""


class EngineDenied(EngineError):
    """This user may not use the engine."""


class EngineTooOld(EngineError):
    """The engine lacks what cudaforge builds on."""


class EngineFrozen(EngineError):
    """The engine accepts connections and does not answer."""


class EngineDied(EngineError):
    """The engine went away in the middle of the work."""


class BuildxUnusable(EngineError):
    """The docker command line or its buildx plugin is missing or too old."""


class PodmanUnusable(EngineError):
    """This machine's Podman cannot build into the store of the service that was named."""


class EngineRefused(EngineError):
    """The engine answered with an error that no one else explains."""
