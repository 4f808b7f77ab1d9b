"""What is wrong with a host, as text and JSON."""

from __future__ import annotations

from collections.abc import Sequence

from cudaforge.display import visible
from cudaforge.doctor import Finding, State
from cudaforge.report.tables import paragraph

_MARKS = {
    State.OK: "ok     ",
    State.WARNING: "warning",
    State.PROBLEM: "PROBLEM",
    State.SKIPPED: "skipped",
}


def describe_health(findings: Sequence[Finding]) -> str:
    """Every finding, with what mends it, and one sentence at the end."""
    lines = [_describe(finding) for finding in findings]
    counts = {state: sum(finding.state is state for finding in findings) for state in State}
    parts = [f"{counts[State.PROBLEM]} problem{'' if counts[State.PROBLEM] == 1 else 's'}"]
    if counts[State.WARNING]:
        parts.append(f"{counts[State.WARNING]} warning{'' if counts[State.WARNING] == 1 else 's'}")
    return visible("\n".join([*lines, "", ", ".join(parts)]))


def _describe(finding: Finding) -> str:
    first = f"{_MARKS[finding.state]}  {finding.title}: "
    code = f" [{finding.code.value}]" if finding.code is not None else ""
    text = paragraph(finding.detail + code, indent=" " * 9, first=first)
    if finding.remedy and finding.state in (State.WARNING, State.PROBLEM):
        text += "\n" + paragraph(finding.remedy, indent=" " * 14, first=" " * 9 + "try  ")
    return text


def health_json(findings: Sequence[Finding]) -> dict[str, object]:
    """The JSON form of all findings."""
    return {
        "findings": [
            {
                "id": finding.id,
                "title": finding.title,
                "state": finding.state.value,
                "detail": finding.detail,
                "remedy": finding.remedy,
                "code": None if finding.code is None else finding.code.value,
            }
            for finding in findings
        ]
    }
