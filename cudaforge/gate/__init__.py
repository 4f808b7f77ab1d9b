"""The vulnerability gate: what a scanner found, against a threshold and a list of what is allowed."""

from cudaforge.gate.allowed import Allowance, parse_allowances
from cudaforge.gate.judge import Judgement, judge, judgement_to_json
from cudaforge.gate.model import SEVERITIES, Finding, Severity
from cudaforge.gate.reading import parse_findings

__all__ = [
    "SEVERITIES",
    "Allowance",
    "Finding",
    "Judgement",
    "Severity",
    "judge",
    "judgement_to_json",
    "parse_allowances",
    "parse_findings",
]
