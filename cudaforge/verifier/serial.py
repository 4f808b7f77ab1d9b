"""Verdicts as JSON, and back: a good one may stand for a second verification of the same image."""

from __future__ import annotations

from collections.abc import Mapping

from cudaforge.codes import Code
from cudaforge.verifier.model import CheckResult, CheckState, Tier, Verdict

REUSE_KEY = "reuse_key"
"""In a verdict's facts: what it depends on."""


def reuse_verdict(saved: object, *, key: str) -> Verdict | None:
    """A saved verdict (as `verdict_to_json` wrote it) if it is good and has this key, else None."""
    if not isinstance(saved, dict) or saved.get("ok") is not True:
        return None
    facts = saved.get("facts")
    if not isinstance(facts, dict) or facts.get(REUSE_KEY) != key:
        return None
    return verdict_from_json(saved)


def verdict_to_json(verdict: Verdict) -> dict[str, object]:
    """The JSON form of one verdict."""
    return {
        "name": verdict.name,
        "reference": verdict.reference,
        "image_id": verdict.image_id,
        "lock_digest": verdict.lock_digest,
        "ok": verdict.ok,
        "summary": verdict.summary,
        "seconds": round(verdict.seconds, 3),
        "checks": [
            {
                "id": check.id,
                "title": check.title,
                "tier": check.tier.value,
                "state": check.state.value,
                "detail": check.detail,
                "remedy": check.remedy,
                "code": None if check.code is None else check.code.value,
            }
            for check in verdict.checks
        ],
        "facts": dict(verdict.facts),
    }


def verdict_from_json(saved: Mapping[str, object]) -> Verdict | None:
    """The verdict that `verdict_to_json` wrote; None for anything else."""
    try:
        return _parse_verdict(saved)
    except (LookupError, TypeError, ValueError):
        return None


def _parse_verdict(saved: Mapping[str, object]) -> Verdict:
    checks, facts, seconds = saved["checks"], saved["facts"], saved["seconds"]
    if not isinstance(checks, list) or not isinstance(facts, dict) or not isinstance(seconds, (int, float)):
        raise TypeError
    if seconds < 0:
        raise ValueError(seconds)
    lock_digest = saved["lock_digest"]
    return Verdict(
        name=str(saved["name"]),
        reference=str(saved["reference"]),
        image_id=str(saved["image_id"]),
        lock_digest=None if lock_digest is None else str(lock_digest),
        ok=saved["ok"] is True,
        summary=str(saved["summary"]),
        checks=tuple(
            CheckResult(
                id=str(check["id"]),
                title=str(check["title"]),
                tier=Tier(check["tier"]),
                state=CheckState(check["state"]),
                detail=str(check["detail"]),
                remedy=None if check["remedy"] is None else str(check["remedy"]),
                code=None if check["code"] is None else Code(check["code"]),
            )
            for check in checks
        ),
        facts=facts,
        seconds=float(seconds),
    )
