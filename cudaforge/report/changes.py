"""Differences between the facts and their sources, in words and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cudaforge.records import values_of
from cudaforge.refresher import Change, Proposal
from cudaforge.report.tables import names_text, paragraph

_SIGNS = {"release": "+", "tag": "+", "gone": "-", "yanked": "-", "differs": "~"}


def changes_json(
    changes: Sequence[Change], asked: Sequence[str], unreachable: Sequence[tuple[str, str]]
) -> dict[str, object]:
    """The differences, and which sources were asked."""
    return {
        "changes": [values_of(change) for change in changes],
        "asked": list(asked),
        "unreachable": [{"source": source, "because": reason} for source, reason in unreachable],
    }


def rows_json(
    proposals: Sequence[Proposal],
    refused: Sequence[tuple[str, str]],
    files: Mapping[Path, str],
    *,
    written: bool,
) -> dict[str, object]:
    """The rows that the sources propose, and where they are or would be written."""
    reasons = dict(refused)
    return {
        "rows": [
            {
                "row": one.row,
                "file": one.file,
                "shared": dict(one.block),
                "rows": [dict(entry) for entry in one.entries],
                "strength": one.strength.value,
                "source": one.basis,
                "missing": list(one.missing),
                "refused": reasons.get(one.row),
            }
            for one in proposals
        ],
        "files": [str(path) for path in files],
        "written": written,
    }


def describe_changes(changes: Sequence[Change], asked: Sequence[str]) -> str:
    """The differences, one to a line, as in a diff: `+` new, `-` gone, `~` other."""
    lines = [
        f"{_SIGNS[change.kind]} {change.row}: {_described(change)}  [{change.source}]" for change in changes
    ]
    summary = f"{len(changes)} differences" if len(changes) != 1 else "1 difference"
    return "\n".join([*lines, f"{summary}, {len(asked)} sources asked"])


def describe_rows(
    proposals: Sequence[Proposal], refused: Sequence[tuple[str, str]], silent: Sequence[str]
) -> str:
    """What could not be read of the rows that the sources propose, and which of them cannot be written."""
    lines = [f"? {text}" for text in silent]
    lines += [f"{one.row}: not read: {', '.join(one.missing)}" for one in proposals if one.missing]
    lines += [f"{row}: cannot be written: {reason}" for row, reason in refused]
    return "\n".join(lines)


def describe_unwritten(
    changes: Sequence[Change],
    proposals: Sequence[Proposal],
    refused: Sequence[tuple[str, str]],
    silent: Sequence[str],
) -> str:
    """Why differences have no place in what was written; empty where all have."""
    rows = {one.row for one in proposals}
    images = {entry.get("reference") for one in proposals for entry in one.entries}
    new = {one.row.partition("+")[0] for one in changes if one.kind in ("release", "tag")}
    told = {name for name in new if any(text.startswith(f"{name}:") for text in silent)}
    proposed = {name for name in new if name in rows or name in images}
    others = new - told - proposed
    differing = {one.row for one in changes if one.kind in ("differs", "yanked")}
    differing |= {one.row for one in changes if one.kind == "gone" and one.field != "tag"}
    counted = (
        (len(silent), "release has no row (? above)", "releases have no row (? above)"),
        (len(refused), "row cannot be written (above)", "rows cannot be written (above)"),
        (
            len(differing),
            "row differs, which is for you to change (~ and - above)",
            "rows differ, which are for you to change (~ and - above)",
        ),
        (
            len(others),
            "is new and has no row, for want of what its source says",
            "are new and have no row, for want of what their source says",
        ),
    )
    return "; ".join(f"{count} {one if count == 1 else many}" for count, one, many in counted if count)


def describe_undeclared(overlays: Sequence[Path], file: Path) -> str:
    """What to add to a declaration so that overlays count."""
    names = ", ".join(f'"{path.name}"' for path in overlays)
    return f"add to {file} what makes them count:\n\n[matrices]\noverlays = [{names}]"


def describe_unreachable(unreachable: Sequence[tuple[str, str]]) -> str:
    """Which sources gave no answer, told once for each reason."""
    reasons: dict[str, list[str]] = {}
    for source, reason in unreachable:
        reasons.setdefault(reason, []).append(source)
    return "\n".join(
        paragraph(f"not asked: {_few(sources)}: {_without(sources, reason)}", indent="  ", first="")
        for reason, sources in reasons.items()
    )


def _few(sources: Sequence[str]) -> str:
    """The first of them, by what they are called in the facts: several packages of an index are one."""
    names = list(dict.fromkeys(one if "://" in one else one.partition(": ")[0] for one in sources))
    if len(names) == 1:
        return sources[0] if len(sources) == 1 else f"{names[0]} ({len(sources)} packages)"
    return names_text(names)


def _without(sources: Sequence[str], reason: str) -> str:
    """The reason without the address that stands before it already."""
    return reason.removeprefix(f"{sources[0]} ") if len(sources) == 1 else reason


def _described(change: Change) -> str:
    match change.kind:
        case "release" | "tag":
            return f"new, {change.new}"
        case "differs":
            return f"{change.field} {change.old} -> {change.new}"
        case "gone":
            return f"{change.field} {change.old} is not there"
        case _:
            return change.kind
