"""How building images can end without an answer."""

from __future__ import annotations

from collections.abc import Iterable

from cudaforge.builder.model import BuildResult
from cudaforge.engine import EngineError
from cudaforge.errors import CudaforgeError, ExitCode, Problem, SurroundingsError
from cudaforge.lockfile.model import LockedImage


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


class BuilderFailed(SurroundingsError):
    """Surroundings failed one build on one builder: another may do better."""

    def __init__(
        self, problem: Problem, *, result: BuildResult | None = None, concerns_all: bool = False
    ) -> None:
        super().__init__(problem)
        self.result = result
        self.concerns_all = concerns_all


def concerns_all(error: SurroundingsError) -> bool:
    """Whether no other image can be built on the builder that failed so."""
    return isinstance(error, EngineError) or (isinstance(error, BuilderFailed) and error.concerns_all)


def vanished(image: LockedImage) -> SurroundingsError:
    """The engine has no image that it has just built."""
    return SurroundingsError(
        Problem(
            what=f"{image.name} was built, and the engine has no image {image.tags[0]}",
            remedy="look at the log; was the image removed meanwhile?",
        )
    )
