"""How building several images can end without an answer."""

from __future__ import annotations

from collections.abc import Iterable

from cudaforge.builder.model import BuildResult
from cudaforge.errors import CudaforgeError, ExitCode, Problem, SurroundingsError


class BuildAborted(SurroundingsError):
    """Surroundings failed while images were built. `results` has every image: what was finished stays."""

    def __init__(self, problems: Problem | Iterable[Problem], results: tuple[BuildResult, ...]) -> None:
        super().__init__(problems)
        self.results = results


class BuildRefused(CudaforgeError):
    """What an image needs was not given, or is not what the lock says: it was not built. `results` has every
    image."""

    def __init__(
        self, problems: Problem | Iterable[Problem], results: tuple[BuildResult, ...], *, exit_code: ExitCode
    ) -> None:
        super().__init__(problems)
        self.results = results
        self.exit_code = exit_code
