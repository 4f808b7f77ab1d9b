"""Following one image's build by Podman: from the lines that it prints to events and the step that failed."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cudaforge.builder.model import BuildEvent, EventKind
from cudaforge.builder.tracker import LAST_LINES, FailedStep, printable

EXPORT = "exporting to image"
"""What progress calls the writing of the image, as BuildKit does."""
_STEP = re.compile(
    r"(?:\[(?P<stage>\d{1,4})/\d{1,4}\] )?STEP (?P<number>\d{1,4})/(?P<total>\d{1,4}): (?P<text>.*)"
)
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"(?:\[\d{1,4}/\d{1,4}\] )?COMMIT(?: \S+)?")
_IS_CACHED = "--> Using cache "
_ERROR = "Error: "
_AT_STEP = 'building at STEP "'
_BEHIND_STEP = '": '
_ERROR_LINES = 40


@dataclass(slots=True)
class _Step:
    number: int
    name: str
    text: str
    """As the Dockerfile has it."""
    started: float
    is_cached: bool = False
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES + _ERROR_LINES))


class StepTracker:
    """State of one build, whose steps come one after the other. `write` takes each line of the log."""

    def __init__(
        self, image: str, *, write: Callable[[str], None], clean: Callable[[str], str] = lambda text: text
    ) -> None:
        self._image = image
        self._write = write
        self._clean = clean
        self._totals: dict[str, int] = {}
        """Steps of each stage that was begun."""
        self._place = ("", 0)
        self._begun = 0
        self._step: _Step | None = None
        self._first_lines: deque[str] = deque(maxlen=LAST_LINES + _ERROR_LINES)

    def take(self, line: str) -> Iterator[BuildEvent]:
        """The events in one line of output."""
        line = printable(self._clean(line))
        step = _STEP.fullmatch(line)
        if step is not None and self._is_next(step):
            yield from self._end()
            self._place = (step["stage"] or "", int(step["number"]))
            self._totals[self._place[0]] = int(step["total"])
            stage = f"stage-{step['stage']} " if step["stage"] else ""
            yield from self._begin(f"[{stage}{step['number']}/{step['total']}] ", step["text"])
        elif self._is_commit(line):
            yield from self._end()
            yield from self._begin("", EXPORT)
        else:
            yield from self._take_output(line)

    def finish(self) -> Iterator[BuildEvent]:
        """The build succeeded: its last step is done."""
        yield from self._end()

    def fail(self) -> Iterator[BuildEvent]:
        """The build failed at the step that runs."""
        if self._step is not None:
            self._write(f"#{self._step.number} ERROR: {self.error}")
            yield self._event(EventKind.STEP_FAILED, self._step)

    @property
    def has_image(self) -> bool:
        """Whether Podman has named the image that the build has made."""
        step = self._step
        return step is not None and step.name == EXPORT and any(map(_IMAGE_ID.fullmatch, step.lines))

    @property
    def failed_step(self) -> FailedStep | None:
        """The step at which the build ended, with Podman's words for it."""
        if self._step is None:
            return None
        lines = list(self._step.lines)
        until = _last_error(lines)
        printed = lines if until is None else lines[:until]
        return FailedStep(name=self._step.name, error=self.error, lines=tuple(printed[-LAST_LINES:]))

    @property
    def error(self) -> str:
        """Podman's own last word: the text after `Error: `, without the step that it repeats."""
        lines = list(self._first_lines if self._step is None else self._step.lines)
        at = _last_error(lines)
        if at is None:
            return lines[-1] if lines else ""
        said = "\n".join(lines[at:]).removeprefix(_ERROR).strip()
        return said if self._step is None else _without_step(said, self._step.text)

    @property
    def first_lines(self) -> tuple[str, ...]:
        """What was printed before any step."""
        return tuple(self._first_lines)[-LAST_LINES:]

    def _is_next(self, found: re.Match[str]) -> bool:
        """Whether the line is Podman's, and not a step's own output that looks like one."""
        stage, number = self._place
        if (found["stage"] or "") == stage and stage in self._totals:
            return int(found["number"]) == number + 1 <= self._totals[stage] == int(found["total"])
        return int(found["number"]) == 1 and number == self._totals.get(stage, 0)

    def _is_commit(self, line: str) -> bool:
        stage, number = self._place
        if self._step is None or self._step.name == EXPORT or number != self._totals.get(stage):
            return False
        return _COMMIT.fullmatch(line) is not None

    def _begin(self, place: str, text: str) -> Iterator[BuildEvent]:
        self._begun += 1
        self._step = _Step(number=self._begun, name=f"{place}{text}", text=text, started=time.monotonic())
        self._write(f"#{self._begun} {self._step.name}")
        yield self._event(EventKind.STEP_STARTED, self._step)

    def _end(self) -> Iterator[BuildEvent]:
        step, self._step = self._step, None
        if step is None:
            return
        if step.is_cached:
            self._write(f"#{step.number} CACHED")
        else:
            self._write(f"#{step.number} DONE {time.monotonic() - step.started:.1f}s")
        yield self._event(EventKind.STEP_CACHED if step.is_cached else EventKind.STEP_DONE, step)

    def _take_output(self, line: str) -> Iterator[BuildEvent]:
        step = self._step
        if step is None:
            self._first_lines.append(line)
            self._write(line)
            return
        if line.startswith(_IS_CACHED):
            step.is_cached = True
        step.lines.append(line)
        self._write(f"#{step.number} {line}")
        yield self._event(EventKind.LOG, step, line=line)

    def _event(self, kind: EventKind, step: _Step, *, line: str = "") -> BuildEvent:
        is_over = kind in (EventKind.STEP_DONE, EventKind.STEP_CACHED)
        return BuildEvent(
            image=self._image,
            kind=kind,
            step=step.name,
            step_index=step.number if is_over else step.number - 1,
            # One more for the writing of the image.
            step_total=sum(self._totals.values()) + 1,
            line=line,
        )


def _without_step(said: str, step: str) -> str:
    """What Podman said, without the step that it quotes: a command that speaks of a full disk is not one."""
    start = said.find(_AT_STEP) + len(_AT_STEP)
    end = said.find(_BEHIND_STEP, start) if _AT_STEP in said else -1
    while end >= 0:
        if said[start:end].split() == step.split():
            return said[end + len(_BEHIND_STEP) :]
        end = said.find(_BEHIND_STEP, end + 1)
    return said


def _last_error(lines: list[str]) -> int | None:
    """Where Podman's last word begins."""
    return next((at for at in reversed(range(len(lines))) if lines[at].startswith(_ERROR)), None)
