"""What was proven about images, as reports show it: one model for pages, summaries, JUnit and attestations.

Everything in a verdict's facts may have been written by the image itself: it is read with distrust, and shown
escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cudaforge.builder.model import BuildState
from cudaforge.builder.steps import step_text
from cudaforge.records import made, record
from cudaforge.units import bytes_text
from cudaforge.verifier.evidence import Fact
from cudaforge.verifier.model import Verdict

HOST_FACTS = "host"
"""In a verdict's facts: the machine that verified, as its engine describes it."""
TIME_FACT = "verified"
"""In a verdict's facts: when it was verified, ISO 8601 in UTC."""
_MOST_LOSSES = 10_000
_MOST_GPUS = 64
_MOST_LINES = 100
_GOOD_STATES = (BuildState.BUILT.value, BuildState.CACHED.value)


@record()
class Made:
    """How an image was built, where that went well."""

    state: str
    """As a build's result says: `built` or `cached`."""
    size: int | None
    """Bytes on disk."""
    seconds: float


@record()
class FailedBuild:
    """How the last build of an image failed."""

    at: str
    """When, ISO 8601 in UTC."""
    reason: str
    step: str | None = None
    last_lines: tuple[str, ...] = ()
    """The last that the step printed."""
    remedy: str | None = None
    log: str = ""
    """Where the whole log is."""


@record()
class Outcome:
    """How one build of an image ended."""

    lock_digest: str
    """Of the lock entry that it was of."""
    at: str
    """When, ISO 8601 in UTC."""
    failed: FailedBuild | None
    """None where it went well."""


@record()
class Proof:
    """One image and what is known of it."""

    name: str
    reference: str
    verdict: Verdict | None
    missing: str | None = None
    """Why there is no verdict that counts."""
    versions: Mapping[str, str] = made(default_factory=dict)
    """Of frameworks, `cuda`, `cudnn` and `python`, as locked."""
    entry: str = ""
    """Digest of its lock entry."""
    failed: FailedBuild | None = None
    """Where the last build failed and nothing newer was proven; there is no verdict then."""
    made: Made | None = None
    dockerfile: str = ""
    log: str = ""
    """The end of the build's log."""

    @property
    def is_good(self) -> bool:
        """Whether the image is proven."""
        return self.verdict is not None and self.verdict.ok

    @property
    def word(self) -> str:
        """What is to be said of it, in a word or two."""
        if self.failed is not None:
            return "BUILD FAILED"
        if self.verdict is None:
            return "not verified"
        return "ok" if self.verdict.ok else "NOT OK"

    @property
    def summary(self) -> str:
        """The verdict's sentence, or why there is none."""
        if self.failed is not None:
            return f"its build failed: {self.failed.reason}"
        return self.verdict.summary if self.verdict is not None else (self.missing or "not verified")


@record()
class Curve:
    """The losses of one training, step by step."""

    framework: str
    device: str
    """`CPU` or `GPU`."""
    losses: tuple[float, ...]


def read_made(build: Fact) -> Made | None:
    """The entry of a build that did well, in a run's results; None for anything else."""
    state, size, seconds = build["state"].text, build["size"].number, build["seconds"].number
    if state not in _GOOD_STATES or state is None or seconds is None:
        return None
    return Made(state=state, size=None if size is None else int(size), seconds=float(seconds))


def read_outcome(saved: object) -> tuple[str, Outcome] | None:
    """An image's name and how its build ended, as a build left it; None for anything else."""
    document = Fact(saved)
    name, entry, at = document["name"].text, document["lock_digest"].text, document["ended"].text
    state = document["build"]["state"].text
    if name is None or entry is None or at is None or state not in (*_GOOD_STATES, BuildState.FAILED.value):
        return None
    failed = None if state in _GOOD_STATES else _failed(document["build"], at)
    return name, Outcome(lock_digest=entry, at=at, failed=failed)


def _failed(build: Fact, at: str) -> FailedBuild:
    lines = [line.text for line in build["last_lines"]][-_MOST_LINES:]
    step = build["failed_step"].text
    return FailedBuild(
        at=at,
        reason=build["reason"].text or "nobody knows why",
        step=step_text(step) if step else None,
        last_lines=tuple(line for line in lines if line is not None),
        remedy=build["remedy"].text,
        log=build["log"].text or "",
    )


def failed_to_json(failed: FailedBuild | None) -> dict[str, object] | None:
    """How a build failed, for a JSON document."""
    if failed is None:
        return None
    return {
        "failed": failed.at,
        "failed_step": failed.step,
        "last_lines": list(failed.last_lines),
        "reason": failed.reason,
        "remedy": failed.remedy,
        "log": failed.log,
    }


def curves(verdict: Verdict) -> tuple[Curve, ...]:
    """The trainings of a verdict."""
    return tuple(_curves(verdict))


def _curves(verdict: Verdict) -> Iterator[Curve]:
    frameworks = Fact(verdict.facts.get("probe"))["frameworks"].value
    for name in frameworks if isinstance(frameworks, dict) else ():
        for stage in Fact(frameworks)[name]["stages"]:
            kind = stage["name"].text or ""
            numbers = [one.number for one in stage["value"]["losses"]][:_MOST_LOSSES]
            losses = tuple(float(one) for one in numbers if one is not None)
            if kind.startswith("train_") and len(losses) > 1 and len(losses) == len(numbers):
                yield Curve(framework=str(name), device=kind.removeprefix("train_").upper(), losses=losses)


def driver_of(verdict: Verdict) -> str | None:
    """The version of the driver that the image saw."""
    return _stage(verdict, "driver")["version"].text


def gpus_of(verdict: Verdict) -> tuple[str, ...]:
    """The GPUs that the image saw, by the driver's names."""
    found = [one["name"].text for one in _stage(verdict, "cuda")["devices"]][:_MOST_GPUS]
    return tuple(name for name in found if name)


def machine_of(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """The machine that verified, as labels and values; of what is not known nothing."""
    host = Fact(verdict.facts.get(HOST_FACTS))
    system = _stage(verdict, "system")
    cpus, memory = host["cpus"].number or system["cpus"].number, host["memory"].number
    rows = [
        ("Verified", Fact(verdict.facts.get(TIME_FACT)).text),
        ("Host", host["os"].text),
        ("Kernel", host["kernel"].text or system["kernel"].text),
        (
            "CPUs",
            f"{cpus:.0f} ({system['machine'].text or host['architecture'].text or '?'})" if cpus else None,
        ),
        ("Memory", bytes_text(int(memory)) if memory else None),
        ("Engine", host["engine"].text),
        ("Driver", driver_of(verdict)),
        ("GPUs", ", ".join(gpus_of(verdict)) or None),
    ]
    return tuple((label, value) for label, value in rows if value)


def _stage(verdict: Verdict, name: str) -> Fact:
    for stage in Fact(verdict.facts.get("probe"))["system"]["stages"]:
        if stage["name"].text == name:
            return stage["value"]
    return Fact()
