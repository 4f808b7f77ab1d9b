"""Whether an image may pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cudaforge.gate.allowed import Allowance
from cudaforge.gate.model import Finding, Severity
from cudaforge.records import record


@record()
class Judgement:
    """What blocks, what is allowed and by which entry, and what does not count."""

    threshold: Severity
    blocking: tuple[Finding, ...]
    """The worst first."""
    allowed: tuple[tuple[Finding, Allowance], ...]
    below: int
    """How many findings are milder than the threshold."""
    unfixed: int
    """How many were left out because the scanner says that there is no fix."""
    unused: tuple[Allowance, ...]
    """Entries that speak of nothing that was found."""

    @property
    def ok(self) -> bool:
        """Whether nothing blocks."""
        return not self.blocking


def judge(
    findings: Sequence[Finding],
    allowances: Sequence[Allowance],
    *,
    threshold: Severity,
    ignores_unfixed: bool = False,
) -> Judgement:
    """Compare findings with a threshold. What has no known severity counts as at the threshold, since it is
    not known to be harmless; and what nobody says the fix of is not unfixed."""
    blocking, allowed = [], []
    below = unfixed = 0
    used: set[int] = set()
    for finding in findings:
        entry = next((number for number, one in enumerate(allowances) if one.covers(finding)), None)
        if entry is not None:
            used.add(entry)
        if finding.severity is not Severity.UNKNOWN and finding.severity < threshold:
            below += 1
        elif entry is not None:
            allowed.append((finding, allowances[entry]))
        elif ignores_unfixed and finding.fixed_in == "":
            unfixed += 1
        else:
            blocking.append(finding)
    return Judgement(
        threshold=threshold,
        blocking=tuple(sorted(blocking, key=lambda one: (-one.severity, one.id, one.package))),
        allowed=tuple(allowed),
        below=below,
        unfixed=unfixed,
        unused=tuple(one for number, one in enumerate(allowances) if number not in used),
    )


def judgement_to_json(judgement: Judgement) -> dict[str, object]:
    """The judgement for a JSON document."""
    return {
        "ok": judgement.ok,
        "threshold": judgement.threshold.name.lower(),
        "blocking": [_finding_json(one) for one in judgement.blocking],
        "allowed": [
            {**_finding_json(finding), "reason": entry.reason, "expires": entry.expires.isoformat()}
            for finding, entry in judgement.allowed
        ],
        "below": judgement.below,
        "unfixed": judgement.unfixed,
        "unused": [one.id for one in judgement.unused],
    }


def _finding_json(finding: Finding) -> Mapping[str, object]:
    return {
        "id": finding.id,
        "severity": finding.severity.name.lower(),
        "package": finding.package,
        "version": finding.version,
        "fixed_in": finding.fixed_in,
        "place": finding.place,
    }
