"""The ways in which an engine fails, each with what to do about it."""

from __future__ import annotations

from cudaforge.errors import SurroundingsError


class EngineError(SurroundingsError):
    """The container engine failed."""


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
