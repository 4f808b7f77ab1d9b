"""How far a run over several images is, and how long it will take, by what each is expected to cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from cudaforge.builder.model import BuildEvent, BuildState, EventKind

_LEAST_DONE = 0.05
"""Before that much is done, nobody knows how fast it goes."""


class Forecast:
    """Follows the events of a run. `costs` are the images' shares of the work, in any unit.

    Images that are there already cost nothing: they count neither for what was done nor for the time.
    `keeps_going` is whether images are begun after another one failed.
    """

    def __init__(
        self,
        costs: Mapping[str, int],
        *,
        keeps_going: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._costs = dict(costs)
        self._done = dict.fromkeys(costs, 0.0)
        self._clock = clock
        self._started = clock()
        self._keeps_going = keeps_going
        self._cancelled = 0
        self._is_cut_short = False
        self.finished = 0
        """Images that were built, were there, or failed; those that were cancelled are not."""

    def take(self, event: BuildEvent) -> None:
        """Count one event."""
        if event.image not in self._costs:
            return
        if event.kind is EventKind.IMAGE_FINISHED and event.result is not None:
            self._take_result(event.image, event.result.state)
        elif event.kind is EventKind.IMAGE_RETURNED:
            self._done[event.image] = 0.0
        else:
            self._done[event.image] = event.fraction

    def _take_result(self, name: str, state: BuildState) -> None:
        if state is BuildState.CANCELLED:
            self._cancelled += 1
            self._is_cut_short = True
            return
        self.finished += 1
        self._done[name] = 1.0
        if state is not BuildState.BUILT:
            self._costs[name] = 0  # no time went into it, or it says nothing of the others
        self._is_cut_short |= state is BuildState.FAILED and not self._keeps_going

    @property
    def total(self) -> int:
        """How many images the run has."""
        return len(self._costs)

    @property
    def fraction(self) -> float:
        """How much of the work is done, 0 to 1."""
        whole = sum(self._costs.values())
        if not whole:
            return 1.0
        return sum(cost * self._done[name] for name, cost in self._costs.items()) / whole

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes if it goes on as it did so far; None where nobody knows yet, or some of it
        is not done any more."""
        done = self.fraction
        if done < _LEAST_DONE or self._is_cut_short:
            return None
        return (self._clock() - self._started) * (1.0 - done) / done

    @property
    def is_over(self) -> bool:
        """Whether every image has its result."""
        return self.finished + self._cancelled >= self.total
