"""Verdicts as text and JSON."""

from __future__ import annotations

from collections.abc import Sequence

from cudaforge.display import visible
from cudaforge.report.tables import paragraph, seconds_text
from cudaforge.verifier.model import CheckResult, CheckState, Verdict

_MARKS = {
    CheckState.PASS: "pass   ",
    CheckState.FAIL: "FAIL   ",
    CheckState.SKIPPED: "skipped",
    CheckState.UNKNOWN: "UNKNOWN",
}


def describe_verdicts(verdicts: Sequence[Verdict]) -> str:
    """Every check of every image, then its verdict."""
    return "\n\n".join(_describe(verdict) for verdict in verdicts)


def describe_troubles(verdict: Verdict) -> str:
    """The checks that stand in the way of a good verdict."""
    bad = [check for check in verdict.checks if check.state in (CheckState.FAIL, CheckState.UNKNOWN)]
    return visible("\n".join([f"{verdict.name}: {verdict.summary}", *(_check(check) for check in bad)]))


def _describe(verdict: Verdict) -> str:
    mark = "ok" if verdict.ok else "NOT OK"
    lines = [f"{verdict.name} ({verdict.reference}, {seconds_text(verdict.seconds)})"]
    lines += [_check(check) for check in verdict.checks]
    lines.append(f"  {mark}: {verdict.summary}")
    return visible("\n".join(lines))


def _check(check: CheckResult) -> str:
    code = f" [{check.code.value}]" if check.code is not None else ""
    text = paragraph(
        f"{check.title}{code}: {check.detail}", indent=" " * 12, first=f"  {_MARKS[check.state]}  "
    )
    if check.remedy and check.state in (CheckState.FAIL, CheckState.UNKNOWN):
        text += "\n" + paragraph(check.remedy, indent=" " * 17, first=" " * 12 + "try  ")
    return text
