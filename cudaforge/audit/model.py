"""What an audit is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from cudaforge.codes import Code
from cudaforge.records import made, record
from cudaforge.resolver.named_gpus import NamedGpus
from cudaforge.versions import Version


class Verdict(str, Enum):
    """What a Dockerfile is, worst first."""

    BROKEN = "broken"
    RISKY = "risky"
    WASTEFUL = "wasteful"
    UNKNOWN = "unknown"
    FINE = "fine"


class Severity(str, Enum):
    """How much a finding weighs: an error breaks the image, a warning will or may hurt, a note informs."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


WASTEFUL_CODES = frozenset((Code.DUPLICATE_CUDA_LIBS, Code.CUDA_WHEEL_ON_CPU_IMAGE))
"""What only costs bytes: warnings with other codes are risks."""


@record()
class Fix:
    """The mended line: `old` stands in that line of the Dockerfile, `new` is to stand in its place."""

    line: int
    old: str
    new: str


@record()
class Finding:
    """One trouble, where it stands, the fact behind it, and what mends it."""

    code: Code
    severity: Severity
    line: int
    message: str
    source: str
    """The citation of the fact, or the document that says so."""
    advice: str | None = None
    """What to do, in words, where no line can be mended by itself."""
    fix: Fix | None = None
    file: str | None = None
    """The file that `line` counts in, where that is not the Dockerfile: a requirements file."""


@record()
class Unknown:
    """What the audit could not find out, and why."""

    line: int
    message: str


@record()
class Silenced:
    """A finding that a comment in the Dockerfile takes back, with the reason given there."""

    finding: Finding
    reason: str


@record()
class Asked:
    """What the caller says beside the Dockerfile."""

    as_of: str
    """The ISO date on which pip installs."""
    gpus: tuple[tuple[str, NamedGpus], ...] = ()
    driver: Version | None = None
    platform: str = "linux/amd64"
    build_args: Mapping[str, str] = made(default_factory=dict)


@record()
class Facts:
    """What was inferred about the image: for people, and for `--adopt`."""

    base: str | None = None
    os: str | None = None
    python: str | None = None
    cuda: str | None = None
    cudnn: str | None = None
    frameworks: Mapping[str, str] = made(default_factory=dict)
    """Framework to `release+build`."""
    builds: Mapping[str, str] = made(default_factory=dict)
    """Framework to the name of its build, where that is known."""
    packages: tuple[str, ...] = ()
    """What else pip installs, as it was asked for."""
    apt: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    """What comes from the build context: from where, to where."""
    env: Mapping[str, str] = made(default_factory=dict)
    workdir: str | None = None
    user: str | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    is_for_gpu: bool = True


@record()
class Report:
    """The audit of one Dockerfile."""

    file: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    unknowns: tuple[Unknown, ...] = ()
    silenced: tuple[Silenced, ...] = ()
    facts: Facts = Facts()


def judge(findings: tuple[Finding, ...], unknowns: tuple[Unknown, ...]) -> Verdict:
    """The verdict over findings; what is not known is never fine."""
    severities = {finding.severity for finding in findings}
    if Severity.ERROR in severities:
        return Verdict.BROKEN
    warned = {finding.code for finding in findings if finding.severity is Severity.WARNING}
    if warned - WASTEFUL_CODES:
        return Verdict.RISKY
    if unknowns:
        return Verdict.UNKNOWN
    return Verdict.WASTEFUL if warned else Verdict.FINE
