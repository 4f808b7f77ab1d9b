"""Differences between the facts and their sources, in words and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from cudaforge.records import values_of
from cudaforge.refresher import Change

_SIGNS = {"release": "+", "gone": "-", "yanked": "-", "differs": "~"}


def changes_json(
    changes: Sequence[Change], asked: Sequence[str], unreachable: Sequence[tuple[str, str]]
) -> dict[str, object]:
    """The differences, and which sources were asked."""
    return {
        "changes": [values_of(change) for change in changes],
        "asked": list(asked),
        "unreachable": [{"source": source, "because": reason} for source, reason in unreachable],
    }


def describe_changes(changes: Sequence[Change], asked: Sequence[str]) -> str:
    """The differences, one to a line, as in a diff: `+` new, `-` gone, `~` other."""
    lines = [
        f"{_SIGNS[change.kind]} {change.row}: {_described(change)}  [{change.source}]" for change in changes
    ]
    summary = f"{len(changes)} differences" if len(changes) != 1 else "1 difference"
    return "\n".join([*lines, f"{summary}, {len(asked)} sources asked"])


def describe_unreachable(unreachable: Sequence[tuple[str, str]]) -> str:
    """Which sources gave no answer, told once for each reason."""
    reasons: dict[str, list[str]] = {}
    for source, reason in unreachable:
        reasons.setdefault(reason, []).append(source)
    return "\n".join(f"not asked: {', '.join(sources)}: {reason}" for reason, sources in reasons.items())


def _described(change: Change) -> str:
    match change.kind:
        case "release":
            return f"new, {change.new}"
        case "differs":
            return f"{change.field} {change.old} -> {change.new}"
        case "gone":
            return f"{change.field} {change.old} is not there"
        case _:
            return change.kind
