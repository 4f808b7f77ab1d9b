"""Causes of an error as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from cudaforge.diagnosis import Cause
from cudaforge.display import visible
from cudaforge.report.tables import paragraph

_LABEL = 10
UNKNOWN = "unknown"


def describe_causes(causes: Sequence[Cause]) -> str:
    """The causes for people, the likeliest first; `unknown` where there are none."""
    if not causes:
        return UNKNOWN
    return visible("\n\n".join(_described(cause, causes, number) for number, cause in enumerate(causes, 1)))


def _described(cause: Cause, causes: Sequence[Cause], number: int) -> str:
    head = f"{number}. {cause.code.value}" if len(causes) > 1 else cause.code.value
    rows = [("because", cause.text), ("try", cause.remedy)]
    before = causes[number - 2] if number > 1 else None
    if before is None or cause.excerpt != before.excerpt:
        rows.insert(0, ("found", cause.excerpt))
    if before is None or cause.source != before.source:
        rows.append(("source", cause.source))
    return "\n".join([head, *(_row(label, text) for label, text in rows)])


def _row(label: str, text: str) -> str:
    return paragraph(text, first=f"  {label:<{_LABEL - 2}}", indent=" " * _LABEL)


def causes_json(causes: Sequence[Cause]) -> list[dict[str, object]]:
    """The causes for machines, in the same order."""
    return [
        {"code": cause.code.value, "text": cause.text, "remedy": cause.remedy, "source": cause.source}
        for cause in causes
    ]
