"""Audits in words, as JSON, as SARIF, and as workflow commands of GitHub."""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from cudaforge.audit import Finding, Report, Severity, Verdict
from cudaforge.audit.pages import about, read_page
from cudaforge.display import escaped

_WIDTH = 80
_LONGEST_DESCRIPTION = 1_000
_PASSING = re.compile(r"\b\d{4}-\d\d-\d\d\b|\bline \d+|:\d+\)")
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_MEANINGS = {
    Verdict.BROKEN: "it does not build, or does not run",
    Verdict.RISKY: "it works, until something that it does not control changes",
    Verdict.WASTEFUL: "it works, and carries what nothing uses",
    Verdict.UNKNOWN: "nothing wrong was found, and not everything is known",
    Verdict.FINE: "nothing wrong was found",
}


def describe_audits(reports: Sequence[Report]) -> str:
    """All audits for people."""
    described = "\n\n".join(_describe(report) for report in reports)
    if not any(report.findings for report in reports):
        return described
    return f"{described}\n\nmore on a code: cudaforge audit --about CODE"


def _describe(report: Report) -> str:
    lines = [f"{report.file}: {report.verdict.value} ({_MEANINGS[report.verdict]})"]
    seen = _inferred(report)
    if seen:
        lines += _wrapped(f"  read as  {seen}", indent=11)
    for finding in report.findings:
        lines += ["", *_finding(report, finding)]
    for unknown in report.unknowns:
        lines += _wrapped(f"  unknown  line {unknown.line}: {unknown.message}", indent=11)
    for silenced in report.silenced:
        lines += _wrapped(
            f"  ignored  line {silenced.finding.line}: {silenced.finding.code.value} ({silenced.reason})",
            indent=11,
        )
    return "\n".join(lines)


def _place(report: Report, finding: Finding) -> str:
    """The file that the line counts in: requirement files are named from the Dockerfile's place."""
    if finding.file is None:
        return report.file
    directory = report.file.rpartition("/")[0]
    return f"{directory}/{finding.file}" if directory else finding.file


def _inferred(report: Report) -> str:
    facts = report.facts
    parts = [
        *(f"{name} {version}" for name, version in facts.frameworks.items()),
        f"Python {facts.python}" if facts.python else "",
        facts.os or "",
        f"CUDA {facts.cuda} of the system" if facts.cuda else "",
        f"cuDNN {facts.cudnn} of the system" if facts.cudnn else "",
    ]
    return ", ".join(part for part in parts if part)


def _finding(report: Report, finding: Finding) -> list[str]:
    place = f"{_place(report, finding)}:{finding.line}"
    lines = _wrapped(f"{finding.severity.value}: {finding.message} [{finding.code.value}]", indent=2)
    lines += _wrapped(f"  where    {place}", indent=11)
    lines += _wrapped(f"  because  {finding.source}", indent=11)
    if finding.fix is not None:
        old, new = escaped(finding.fix.old), escaped(finding.fix.new)
        lines.append(f"  line {finding.fix.line}: - {old}")
        lines.append(f"  {'':{len(str(finding.fix.line)) + 5}}  + {new}")
    elif finding.advice is not None:
        lines += _wrapped(f"  try      {finding.advice}", indent=11)
    return lines


def _wrapped(text: str, *, indent: int) -> list[str]:
    return textwrap.wrap(
        escaped(text),
        _WIDTH,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def audits_json(reports: Sequence[Report], verdict: Verdict) -> dict[str, object]:
    """All audits for machines."""
    return {
        "verdict": verdict.value,
        "findings": [_finding_json(report, finding) for report in reports for finding in report.findings],
        "files": [_report_json(report) for report in reports],
    }


def _finding_json(report: Report, finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code.value,
        "severity": finding.severity.value,
        "dockerfile": report.file,
        "file": _place(report, finding),
        "line": finding.line,
        "message": finding.message,
        "source": finding.source,
        "advice": finding.advice,
        "fix": _fix_json(finding),
    }


def _fix_json(finding: Finding) -> dict[str, object] | None:
    fix = finding.fix
    return None if fix is None else {"line": fix.line, "old": fix.old, "new": fix.new}


def _report_json(report: Report) -> dict[str, object]:
    facts = report.facts
    return {
        "file": report.file,
        "verdict": report.verdict.value,
        "facts": {
            "base": facts.base,
            "os": facts.os,
            "python": facts.python,
            "cuda": facts.cuda,
            "cudnn": facts.cudnn,
            "frameworks": dict(facts.frameworks),
        },
        "unknown": [{"line": one.line, "message": one.message} for one in report.unknowns],
        "silenced": [
            {"code": one.finding.code.value, "line": one.finding.line, "reason": one.reason}
            for one in report.silenced
        ],
    }


def audits_sarif(reports: Sequence[Report], version: str) -> dict[str, object]:
    """All audits as a SARIF 2.1.0 log."""
    results = [(report, finding, None) for report in reports for finding in report.findings]
    silenced = [(report, one.finding, one.reason) for report in reports for one in report.silenced]
    everything = (*results, *silenced)
    codes = sorted({finding.code.value for _, finding, _ in everything})
    seen: Counter[str] = Counter()
    return {
        "$schema": _SARIF,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "cudaforge",
                        "version": version,
                        "rules": [_rule(code) for code in codes],
                    }
                },
                "results": [_result(report, finding, reason, seen) for report, finding, reason in everything],
            }
        ],
    }


def _rule(code: str) -> dict[str, object]:
    """What a viewer shows of a code: its page, as nobody knows where that can be reached."""
    page = read_page(code)
    reason = about(page)
    return {
        "id": code,
        "name": "".join(part.title() for part in code.split("-")),
        "shortDescription": {"text": code.replace("-", " ")},
        "fullDescription": {"text": reason[:_LONGEST_DESCRIPTION]},
        "help": {"text": page, "markdown": page.partition("\n\n")[2]},
    }


def _fingerprint(finding: Finding, place: str, seen: Counter[str]) -> str:
    """What stays the same when lines above are added: GitHub knows a result again by it."""
    spoken = _PASSING.sub("", finding.message)
    digest = hashlib.sha256("\0".join((finding.code.value, place, spoken)).encode()).hexdigest()[:16]
    seen[digest] += 1
    return f"{digest}:{seen[digest]}"


def _result(report: Report, finding: Finding, reason: str | None, seen: Counter[str]) -> dict[str, object]:
    place = _place(report, finding)
    uri = ("file://" if place.startswith("/") else "") + quote(place)
    result: dict[str, object] = {
        "ruleId": finding.code.value,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message} ({finding.source})"},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": finding.line}}}
        ],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(finding, place, seen)},
    }
    if reason is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": reason}]
    return result


def audits_github(reports: Sequence[Report]) -> str:
    """All findings as workflow commands, which GitHub shows beside the lines."""
    lines = [
        f"::{_COMMANDS[finding.severity]} file={_property(_place(report, finding))},line={finding.line},"
        f"title={_property(finding.code.value)}::{_data(_sentence(finding))}"
        for report in reports
        for finding in report.findings
    ]
    lines += [f"{report.file}: {report.verdict.value}" for report in reports]
    return "\n".join(lines)


def _sentence(finding: Finding) -> str:
    return f"{finding.message}. {finding.source}" + (f" Try: {finding.advice}" if finding.advice else "")


def _data(text: str) -> str:
    return escaped(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
