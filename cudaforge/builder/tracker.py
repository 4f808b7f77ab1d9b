"""Following one image's build: from BuildKit's messages to events, log lines and the step that failed."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cudaforge.builder.model import BuildEvent, EventKind
from cudaforge.builder.rawjson import Message, Output, Transfer, Vertex
from cudaforge.engine.logs import LineSplitter
from cudaforge.records import record

LAST_LINES = 20
_NUMBERED = re.compile(r"\[[^\]]*?\b\d+/\d+\]")
_EXPORT = "exporting to "
_IMPORT = "importing cache manifest from "
_CANCELLED = "context canceled"
_TERMINAL_CODES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(slots=True)
class _Step:
    number: int
    name: str
    started: float
    is_announced: bool = False
    is_running: bool = False
    is_done: bool = False
    is_cached: bool = False
    error: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))


@record()
class FailedStep:
    """The step that a build failed at, what BuildKit said and the last that the step printed."""

    name: str
    error: str
    lines: tuple[str, ...]


class Tracker:
    """State of one build. `write` takes each line of the log."""

    def __init__(
        self, image: str, *, write: Callable[[str], None], clean: Callable[[str], str] = lambda text: text
    ) -> None:
        self._image = image
        self._write = write
        self._clean = clean
        self._steps: dict[str, _Step] = {}
        self._splitters: dict[tuple[str, int], LineSplitter] = {}
        self._logged: list[tuple[str, str]] = []
        self.plain_lines: deque[str] = deque(maxlen=LAST_LINES)

    def take(self, message: Message) -> Iterator[BuildEvent]:
        """The events in one message."""
        # Output comes before a step's end, even where one message brings both.
        for vertex in message.vertexes:
            if not vertex.is_completed:
                yield from self._take_vertex(vertex)
        for transfer in message.transfers:
            yield from self._take_transfer(transfer)
        for output in message.outputs:
            yield from self._take_output(output)
        for warning in message.warnings:
            self._write(f"WARNING: {printable(self._clean(warning))}")
        for vertex in message.vertexes:
            if vertex.is_completed:
                yield from self._finish_lines(vertex.digest)
                yield from self._take_vertex(vertex)

    def take_text(self, line: str) -> None:
        """A line that buildx wrote besides its messages."""
        line = printable(self._clean(line))
        self.plain_lines.append(line)
        self._write(line)

    def finish(self) -> Iterator[BuildEvent]:
        """The stream has ended: hand over lines without a line end."""
        for digest in {digest for digest, _ in self._splitters}:
            yield from self._finish_lines(digest)

    @property
    def failed_step(self) -> FailedStep | None:
        """The first step with an error of its own, not one that was cancelled because of it."""
        failed = [step for step in self._steps.values() if step.error]
        own = [step for step in failed if _CANCELLED not in step.error] or failed
        if not own:
            return None
        return FailedStep(name=own[0].name, error=own[0].error, lines=tuple(own[0].lines))

    @property
    def error(self) -> str:
        """buildx's own last word: the text after `ERROR: `."""
        for line in reversed(self.plain_lines):
            if line.startswith("ERROR:"):
                return line.removeprefix("ERROR:").strip()
        return self.plain_lines[-1] if self.plain_lines else ""

    def _take_vertex(self, vertex: Vertex) -> Iterator[BuildEvent]:
        step = self._steps.get(vertex.digest)
        if step is None:
            name = printable(self._clean(vertex.name))
            step = _Step(number=len(self._steps) + 1, name=name, started=time.monotonic())
            self._steps[vertex.digest] = step
        if vertex.is_completed:
            yield from self._complete(step, vertex)
        elif vertex.is_started and not step.is_running:
            yield from self._begin(step)

    def _begin(self, step: _Step) -> Iterator[BuildEvent]:
        step.is_running, step.is_done, step.started = True, False, time.monotonic()
        step.error = ""
        self._announce(step)
        yield self._event(EventKind.STEP_STARTED, step)

    def _announce(self, step: _Step) -> None:
        if not step.is_announced:
            step.is_announced = True
            self._write(f"#{step.number} {step.name}")

    def _complete(self, step: _Step, vertex: Vertex) -> Iterator[BuildEvent]:
        step.is_done = True
        was_running, step.is_running = step.is_running, False
        if vertex.error and step.name.startswith(_IMPORT):
            # BuildKit goes on without it.
            why = printable(self._clean(vertex.error)).partition("\n")[0]
            self._write(f"#{step.number} ERROR: {why}")
            line = f"{step.name.removeprefix(_IMPORT)} (--cache-from) is left out: {why}"
            yield self._event(EventKind.CACHE_UNREAD, step, line=line)
        elif _CANCELLED in vertex.error:
            # Another step failed, or another build that shared this one let go of it, and it begins anew.
            step.error = printable(self._clean(vertex.error))
            self._announce(step)
            self._write(f"#{step.number} CANCELED")
        elif vertex.error:
            step.error = printable(self._clean(vertex.error))
            self._announce(step)
            self._write(f"#{step.number} ERROR: {step.error}")
            yield self._event(EventKind.STEP_FAILED, step)
        elif vertex.is_cached:
            if not step.is_cached:
                step.is_cached = True
                self._announce(step)
                self._write(f"#{step.number} CACHED")
                yield self._event(EventKind.STEP_CACHED, step)
        else:
            # Before it runs, a step is reported as done once more for the working out of its cache key.
            if was_running:
                self._write(f"#{step.number} DONE {time.monotonic() - step.started:.1f}s")
            yield self._event(EventKind.STEP_DONE, step)

    def _take_transfer(self, transfer: Transfer) -> Iterator[BuildEvent]:
        step = self._steps.get(transfer.vertex)
        if step is not None:
            item = printable(self._clean(transfer.item))
            yield self._event(EventKind.PROGRESS, step, item=item, done=transfer.current, size=transfer.total)

    def _take_output(self, output: Output) -> Iterator[BuildEvent]:
        key = (output.vertex, output.stream)
        if key not in self._splitters:
            self._splitters[key] = LineSplitter(lambda line: self._logged.append((output.vertex, line)))
        self._splitters[key].add(output.data)
        yield from self._drain()

    def _finish_lines(self, digest: str) -> Iterator[BuildEvent]:
        for (owner, _), splitter in self._splitters.items():
            if owner == digest:
                splitter.finish()
        yield from self._drain()

    def _drain(self) -> Iterator[BuildEvent]:
        logged, self._logged[:] = self._logged[:], []
        for digest, text in logged:
            step = self._steps.get(digest)
            if step is not None:
                line = printable(self._clean(text))
                step.lines.append(line)
                self._write(f"#{step.number} {line}")
                yield self._event(EventKind.LOG, step, line=line)

    def _event(
        self,
        kind: EventKind,
        step: _Step,
        *,
        item: str = "",
        done: int | None = None,
        size: int | None = None,
        line: str = "",
    ) -> BuildEvent:
        counted = [known for known in self._steps.values() if _is_counted(known.name)]
        return BuildEvent(
            image=self._image,
            kind=kind,
            step=step.name,
            step_index=sum(known.is_done for known in counted),
            step_total=len(counted),
            item=item,
            done=done,
            size=size,
            line=line,
        )


def printable(line: str) -> str:
    """A line without terminal codes, progress bars' overwritten parts and control characters."""
    line = _TERMINAL_CODES.sub("", line).rstrip("\r")
    return _CONTROL.sub("", line[line.rfind("\r") + 1 :])


def _is_counted(name: str) -> bool:
    return _NUMBERED.match(name) is not None or name.startswith(_EXPORT)
