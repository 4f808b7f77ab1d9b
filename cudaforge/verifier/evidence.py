"""What came out of a container, read with distrust: the image's own code may have written it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping

from cudaforge.codes import Code
from cudaforge.records import record

SCHEMA = 1
TAG = "cudaforge-probe"
SEED = 20
"""Of weights and samples: every run of one image does the same."""
_HUGE = 2**63
_LINE_LIMIT = 2 * 1024 * 1024


class NotSeen(Exception):
    """A fact is not there. The text says why."""


class NoResult(Exception):
    """The container printed no usable result. The text says what it printed instead."""

    def __init__(self, text: str, code: Code | None = None) -> None:
        super().__init__(text)
        self.code = code


@record(kw_only=False)
class Fact:
    """A value out of the probe's JSON; asking for what is not there gives an empty one."""

    value: object = None

    def __getitem__(self, key: str) -> Fact:
        return Fact(self.value.get(key)) if isinstance(self.value, dict) else Fact()

    def __iter__(self) -> Iterator[Fact]:
        return iter([Fact(item) for item in self.value] if isinstance(self.value, list) else [])

    @property
    def text(self) -> str | None:
        """The value, if it is a text."""
        return self.value if isinstance(self.value, str) else None

    @property
    def number(self) -> float | None:
        """The value, if it is a finite number of a size that occurs."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_HUGE < value < _HUGE:
            return None
        return value

    @property
    def texts(self) -> Mapping[str, str]:
        """The value, if it is a table: its entries that are texts."""
        entries = self.value.items() if isinstance(self.value, dict) else ()
        return {str(key): item for key, item in entries if isinstance(item, str)}

    @property
    def is_true(self) -> bool:
        """Whether the value is `true`."""
        return self.value is True


@record()
class Stage:
    """One stage of a child of the probe: `done`, `raised`, or `lost` with its process."""

    name: str
    state: str
    seconds: float
    value: Fact
    error_type: str
    error_text: str


@record()
class Child:
    """One child of the probe, and how it ended."""

    stages: Mapping[str, Stage]
    exit_status: int | None
    signal: int | None
    stopped: str | None
    """`deadline`, `limit` or `flood` where the probe had to end it."""
    output: str
    """The end of what it printed."""

    def value(self, name: str) -> Fact:
        """What a stage found. Raises NotSeen where it did not end well."""
        stage = self.stages.get(name)
        if stage is None:
            raise NotSeen(f"the probe did not come to it: {self.loss or 'an earlier stage failed'}")
        if stage.state == "raised":
            raise NotSeen(f"{stage.error_type}: {stage.error_text}")
        if stage.state != "done":
            raise NotSeen(self.loss or "its process ended in the middle of it")
        return stage.value

    @property
    def loss(self) -> str | None:
        """Why the process ended early, or None."""
        match self.stopped:
            case "deadline":
                return "the time for verifying was over"
            case "limit":
                return "it did not end in its time"
            case "flood":
                return "it flooded its output"
        return f"its process was ended by signal {self.signal}" if self.signal else None


@record()
class Report:
    """All that the probe found."""

    system: Child
    libraries: Child
    frameworks: Mapping[str, Child]
    """By proof."""
    files: Child
    """What the static probe found; without stages in a report of another."""
    memory_kills: int
    peak_memory: int | None
    seconds: float
    raw: Mapping[str, object]


def parse_output(output: str, nonce: str) -> Report:
    """The report in what a container printed: exactly one line that carries the nonce.

    Raises NoResult.
    """
    prefix = f"{TAG} {nonce} "
    lines = [line for line in output.splitlines() if line.startswith(prefix)]
    if not lines:
        raise NoResult("it printed no result")
    if len(lines) > 1:
        raise NoResult(f"it printed {len(lines)} results where the probe prints one", Code.RESULT_FORGED)
    if len(lines[0]) > _LINE_LIMIT:
        raise NoResult("its result is too long to be the probe's", Code.RESULT_FORGED)
    try:
        # Not-a-number and infinity, which JSON does not have, are read as missing.
        facts = Fact(json.loads(lines[0].removeprefix(prefix), parse_constant=_missing, parse_float=_finite))
    except (ValueError, RecursionError):
        raise NoResult("its result is damaged", Code.RESULT_FORGED) from None
    return read_report(facts.value)


def read_report(value: object) -> Report:
    """The report in facts that were read, or kept, before. Raises NoResult."""
    facts = Fact(value)
    if facts["schema"].number != SCHEMA or not isinstance(facts.value, dict):
        raise NoResult("its result is not of this probe", Code.RESULT_FORGED)
    return _report(facts, facts.value)


def _missing(constant: str) -> None:
    del constant


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _report(facts: Fact, raw: Mapping[str, object]) -> Report:
    frameworks = facts["frameworks"].value
    peak = facts["peak_memory"].number
    return Report(
        system=_child(facts["system"]),
        libraries=_child(facts["libraries"]),
        files=_child(facts["files"]),
        frameworks={str(name): _child(Fact(child)) for name, child in frameworks.items()}
        if isinstance(frameworks, dict)
        else {},
        memory_kills=int(facts["memory_kills"].number or 0),
        peak_memory=None if peak is None else int(peak),
        seconds=facts["seconds"].number or 0.0,
        raw=raw,
    )


def _child(facts: Fact) -> Child:
    stages = [_stage(stage) for stage in facts["stages"]]
    status, signal = facts["exit_status"].number, facts["signal"].number
    return Child(
        stages={stage.name: stage for stage in stages},
        exit_status=None if status is None else int(status),
        signal=None if signal is None else int(signal),
        stopped=facts["stopped"].text,
        output=facts["output"].text or "",
    )


def _stage(facts: Fact) -> Stage:
    return Stage(
        name=facts["name"].text or "",
        state=facts["state"].text or "",
        seconds=facts["seconds"].number or 0.0,
        value=facts["value"],
        error_type=facts["error"]["type"].text or "error",
        error_text=facts["error"]["text"].text or "",
    )
