"""What can be wrong with the facts, and where."""

from __future__ import annotations

from collections.abc import Iterable

from cudaforge.records import record


@record()
class Finding:
    """One mistake in a matrix file. `row` names the row in words; empty for the file as a whole."""

    file: str
    row: str
    what: str
    rule: str = "row"
    """The rule that it breaks, as `cudaforge data check` names it."""

    def __str__(self) -> str:
        return f"{self.file}, {self.row}: {self.what}" if self.row else f"{self.file}: {self.what}"


class FactsError(Exception):
    """Facts that cannot be used."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(str(finding) for finding in self.findings))
