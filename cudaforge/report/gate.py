"""What the vulnerability gate says, as text."""

from __future__ import annotations

from cudaforge.display import escaped, visible
from cudaforge.gate import Judgement
from cudaforge.report.tables import table


def describe_judgement(judgement: Judgement) -> str:
    """What blocks, what is allowed and why, and the count of what does not count."""
    parts = []
    if judgement.blocking:
        rows = [
            (
                one.id,
                one.severity.name.lower(),
                f"{one.package} {one.version}".strip() or one.place,
                one.fixed_in or "-",
            )
            for one in judgement.blocking
        ]
        parts.append(table(("blocks", "severity", "package", "fixed in"), rows))
    if judgement.allowed:
        parts.append(
            "\n".join(
                escaped(
                    f"allowed until {entry.expires.isoformat()}: {finding.id} in "
                    f"{finding.package or finding.place}: {entry.reason}"
                )
                for finding, entry in judgement.allowed
            )
        )
    if judgement.unused:
        parts.append(f"nothing was found of: {', '.join(one.id for one in judgement.unused)} (take them out)")
    parts.append(_count(judgement))
    return visible("\n\n".join(parts))


def _count(judgement: Judgement) -> str:
    threshold = judgement.threshold.name.lower()
    verdict = (
        f"{len(judgement.blocking)} of severity {threshold} or worse, or of none that is known, block"
        if judgement.blocking
        else f"nothing of severity {threshold} or worse blocks"
    )
    more = f"; {judgement.below} below it"
    if judgement.allowed:
        more += f", {len(judgement.allowed)} allowed"
    if judgement.unfixed:
        more += f", {judgement.unfixed} without a fix left out"
    return verdict + more
