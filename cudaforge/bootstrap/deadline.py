"""One total deadline for a step that starts several programs."""

from __future__ import annotations

import time

from cudaforge.errors import Problem, SurroundingsError
from cudaforge.records import record


@record()
class Deadline:
    """When a step has to be done, on the monotonic clock."""

    step: str
    seconds: float
    end: float

    def remaining(self) -> float:
        """Seconds left, more than none. Raises SurroundingsError when they are used up."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise SurroundingsError(Problem(what=f"{self.step} did not end within {self.seconds:g} s"))
        return left


def start_deadline(step: str, seconds: float) -> Deadline:
    """A deadline that many seconds from now."""
    return Deadline(step=step, seconds=seconds, end=time.monotonic() + seconds)
