"""The table of checks, and how it becomes results.

A check ends as unknown where the fact that it needs was not seen, and unknown fails. A check whose
ground is gone (what it needs did not pass) is skipped: the verdict has failed by then already, or
there is nothing to prove.
"""

from __future__ import annotations

from cudaforge.display import show
from cudaforge.verifier.checks_framework import framework_checks
from cudaforge.verifier.checks_gpu import gpu_checks
from cudaforge.verifier.checks_image import REBUILD, image_checks
from cudaforge.verifier.checks_static import static_checks
from cudaforge.verifier.evidence import NotSeen
from cudaforge.verifier.judging import Check, Finding, skipped, unknown
from cudaforge.verifier.model import CheckResult, CheckState, Tier
from cudaforge.verifier.situation import Situation

_FOREIGN_REMEDY = "install the build that the rest of the image was made for, or let cudaforge make the image"
"""Nobody can build an image again whose lock entry cudaforge made up from what is in it."""


def checks_for(situation: Situation) -> tuple[Check, ...]:
    """Every check that this image has to stand, in the order in which they are shown."""
    of_frameworks = [
        check for framework in situation.image.frameworks for check in framework_checks(situation, framework)
    ]
    rows = (
        *image_checks(situation),
        *static_checks(situation),
        *gpu_checks(situation),
        *of_frameworks,
    )
    tiers = list(Tier)
    return tuple(row for row in rows if tiers.index(row.tier) <= tiers.index(situation.depth))


def judge(situation: Situation) -> tuple[CheckResult, ...]:
    """The result of every check."""
    results: dict[str, CheckResult] = {}
    for check in checks_for(situation):
        finding = _missing_ground(check, results) or _judge_one(check, situation)
        results[check.id] = CheckResult(
            id=check.id,
            title=check.title,
            tier=check.tier,
            state=finding.state,
            detail=finding.detail,
            remedy=_FOREIGN_REMEDY if situation.is_foreign and finding.remedy == REBUILD else finding.remedy,
            code=finding.code,
        )
    return tuple(results.values())


def _missing_ground(check: Check, results: dict[str, CheckResult]) -> Finding | None:
    for needed in check.needs:
        ground = results[needed]
        match ground.state:
            case CheckState.PASS:
                continue
            case CheckState.SKIPPED:
                return skipped(ground.detail)
            case CheckState.FAIL | CheckState.UNKNOWN:
                return skipped(f"not judged: {show(ground.title)} did not pass")
    return None


def _judge_one(check: Check, situation: Situation) -> Finding:
    try:
        return check.judge(situation)
    except NotSeen as reason:
        return unknown(str(reason))
