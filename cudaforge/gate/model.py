"""One vulnerability that a scanner found."""

from __future__ import annotations

from enum import IntEnum

from cudaforge.records import record


class Severity(IntEnum):
    """How bad it is; `UNKNOWN` where the scanner does not say, which is not the same as harmless."""

    UNKNOWN = 0
    NEGLIGIBLE = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


SEVERITIES = tuple(one.name.lower() for one in Severity if one is not Severity.UNKNOWN)
"""Names that a threshold may have, the mildest first."""


@record()
class Finding:
    """A vulnerability in one package."""

    id: str
    """`CVE-2026-1234`, `GHSA-...`."""
    severity: Severity
    package: str
    """Empty where the scanner names none."""
    version: str = ""
    fixed_in: str | None = None
    """The version without it; empty where the scanner says that there is none, None where it says nothing."""
    place: str = ""
    """Where in the image, as the scanner says."""
    aliases: tuple[str, ...] = ()
    """Other names of the same vulnerability."""
