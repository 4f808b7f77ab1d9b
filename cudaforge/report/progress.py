"""Builds while they run: live bars on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from cudaforge.builder.model import BuildEvent, BuildResult, BuildState, EventKind
from cudaforge.builder.steps import step_text
from cudaforge.display import visible
from cudaforge.report.forecast import Forecast
from cudaforge.report.tables import seconds_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_STEP_WIDTH = 60


@contextlib.contextmanager
def show_progress(costs: Mapping[str, int], *, keeps_going: bool) -> Iterator[Callable[[BuildEvent], None]]:
    """A callback for build events; what it shows ends with the block. `costs` are the images' shares of the
    work, in any unit, `keeps_going` whether images are begun after another one failed."""
    forecast = Forecast(costs, keeps_going=keeps_going)
    if not sys.stderr.isatty():
        yield PlainProgress(lambda line: sys.stderr.write(line + "\n"), forecast).handle
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    progress = Progress(
        TextColumn("{task.fields[image]}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        yield LiveProgress(progress, forecast).handle


class PlainProgress:
    """One line when an image starts, at each step and at its end, with how far the whole run is then."""

    def __init__(self, write: Callable[[str], object], forecast: Forecast) -> None:
        self._write = write
        self._forecast = forecast
        self._started: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def handle(self, event: BuildEvent) -> None:
        """Show one event."""
        self._forecast.take(event)
        text = self._text(event)
        if text is not None:
            self._write(visible(text))
        is_one_more = event.result is not None and event.result.state is not BuildState.CANCELLED
        if is_one_more and self._forecast.total > 1 and not self._forecast.is_over:
            self._write(_outlook(self._forecast))

    def _text(self, event: BuildEvent) -> str | None:
        match event.kind:
            case EventKind.STEP_STARTED:
                return f"{event.image}: {_short(event.step)}" if self._is_first(event) else None
            case EventKind.STEP_FAILED:
                return f"{event.image}: failed: {_short(event.step)}"
            case EventKind.IMAGE_AGAIN:
                return f"{event.image}: {_again(event)}"
            case EventKind.CACHE_UNREAD:
                return f"{event.image}: {event.line}"
            case EventKind.BUILDER_LOST:
                return event.line
            case EventKind.IMAGE_RETURNED:
                return f"{event.image}: goes to another builder"
            case EventKind.IMAGE_FINISHED:
                return f"{event.image}: {_ending(event.result)}" if event.result else None
            case _:
                return None

    def _is_first(self, event: BuildEvent) -> bool:
        with self._lock:
            is_first = (event.image, event.step) not in self._started
            self._started.add((event.image, event.step))
        return is_first


class LiveProgress:
    """One bar for each image that was begun, with the step that it is at, and one for all where there are
    several."""

    def __init__(self, progress: Progress, forecast: Forecast) -> None:
        self._progress = progress
        self._forecast = forecast
        self._whole = progress.add_task("", total=1.0, image="all") if forecast.total > 1 else None
        self._tasks: dict[str, TaskID] = {}

    def handle(self, event: BuildEvent) -> None:
        """Show one event."""
        self._forecast.take(event)
        if self._whole is not None:
            text = _outlook(self._forecast)
            self._progress.update(self._whole, completed=self._forecast.fraction, description=text)
        if event.kind in (EventKind.BUILDER_LOST, EventKind.CACHE_UNREAD, EventKind.IMAGE_AGAIN):
            whose = f"{event.image}: " if event.image else ""
            line = _again(event) if event.kind is EventKind.IMAGE_AGAIN else event.line
            self._progress.console.print(visible(f"{whose}{line}"), markup=False)
            return
        if event.image not in self._tasks:
            self._tasks[event.image] = self._progress.add_task("", total=1.0, image=event.image)
        task = self._tasks[event.image]
        if event.kind is EventKind.IMAGE_FINISHED and event.result is not None:
            reached = None if event.result.state is BuildState.CANCELLED else 1.0
            self._progress.update(task, completed=reached, description=_ending(event.result))
            self._progress.stop_task(task)
        elif event.kind is not EventKind.LOG:
            self._progress.update(task, completed=event.fraction, description=_short(_doing(event)))


def _doing(event: BuildEvent) -> str:
    if event.kind is EventKind.PROGRESS and event.size and event.done is not None:
        return f"{event.done * 100 // event.size:3d} % {event.step}"
    return event.step


def _again(event: BuildEvent) -> str:
    return f"tried again: {event.line}"


def _outlook(forecast: Forecast) -> str:
    left = forecast.seconds_left
    time = "" if left is None else f", about {seconds_text(left)} left"
    return f"{forecast.finished} of {forecast.total} images, {forecast.fraction:.0%}{time}"


def _ending(result: BuildResult | None) -> str:
    if result is None:
        return ""
    if result.state is BuildState.BUILT:
        return f"built in {seconds_text(result.seconds)}"
    return str(result.state.value)


def _short(text: str) -> str:
    flat = visible(step_text(text))
    return flat if len(flat) <= _STEP_WIDTH else flat[: _STEP_WIDTH - 3] + "..."
