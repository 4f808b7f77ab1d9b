"""The verdict: what was proven about one image, check by check."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from cudaforge.codes import Code
from cudaforge.records import record


class CheckState(str, Enum):
    """How one check ended. Unknown fails."""

    PASS = "pass"  # noqa: S105 -- a verdict, not a password
    FAIL = "fail"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class Tier(str, Enum):
    """How much has to run for a check."""

    STATIC = "static"
    """Files of the image alone: no framework runs."""
    CPU = "cpu"
    """The framework runs, without a GPU."""
    GPU = "gpu"
    """The host's driver and GPUs, through the engine."""


@record()
class CheckResult:
    """One check's end. `detail` says what was seen, or why it was skipped."""

    id: str
    title: str
    tier: Tier
    state: CheckState
    detail: str
    remedy: str | None = None
    code: Code | None = None
    """What kind of trouble it is, where the check failed or had to be skipped for a known cause, or what is
    worth knowing."""


@record()
class Verdict:
    """What was proven about one image."""

    name: str
    reference: str
    image_id: str
    lock_digest: str | None
    ok: bool
    summary: str
    """One sentence that never says more than was seen: "trained on CPU; not proven on a GPU"."""
    checks: tuple[CheckResult, ...]
    facts: Mapping[str, object]
    """What the probe saw: versions, devices, losses."""
    seconds: float
