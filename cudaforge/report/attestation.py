"""Verdicts as in-toto attestations.

A Statement v1 with the predicate Test Result v0.1 (in-toto/attestation, spec/v1/statement.md and
spec/predicates/test-result.md); what that predicate has no field for stands in one extension field. It is not
signed: whoever signs it says with a key of their own that they believe it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from cudaforge.report.evidence import HOST_FACTS, TIME_FACT, curves, driver_of, gpus_of
from cudaforge.verifier.model import CheckState, Verdict

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
MEDIA_TYPE = "application/vnd.in-toto+json"
EXTENSION = "urn:cudaforge:verdict:v1"


def statement(verdict: Verdict, *, tool: str, subject: str | None = None) -> dict[str, object]:
    """The statement about one image. `tool` is what verified it, with its version.

    `subject` is the digest (`sha256:...`) that a registry has it under; without, the image's id is meant.
    """
    algorithm, _, value = (subject or verdict.image_id).partition(":")
    lock = (verdict.lock_digest or "").partition(":")
    configuration: list[dict[str, object]] = [{"name": f"cudaforge.lock: {verdict.name}"}]
    if lock[2]:
        configuration[0]["digest"] = {lock[0]: lock[2]}
    return {
        "_type": STATEMENT,
        "subject": [{"name": verdict.reference, "digest": {algorithm: value}}],
        "predicateType": PREDICATE,
        "predicate": {
            "result": "PASSED" if verdict.ok else "FAILED",
            "configuration": configuration,
            "passedTests": _names(verdict, CheckState.PASS),
            "warnedTests": [],
            "failedTests": [*_names(verdict, CheckState.FAIL), *_names(verdict, CheckState.UNKNOWN)],
            EXTENSION: {"tool": tool, **_details(verdict)},
        },
    }


def statement_text(verdict: Verdict, *, tool: str, subject: str | None = None) -> str:
    """The statement as one line of JSON."""
    return json.dumps(statement(verdict, tool=tool, subject=subject), sort_keys=True) + "\n"


def _names(verdict: Verdict, state: CheckState) -> list[str]:
    return [check.id for check in verdict.checks if check.state is state]


def _details(verdict: Verdict) -> Mapping[str, object]:
    return {
        "summary": verdict.summary,
        "imageId": verdict.image_id,
        "verified": verdict.facts.get(TIME_FACT),
        "seconds": round(verdict.seconds, 3),
        "host": verdict.facts.get(HOST_FACTS),
        "driver": driver_of(verdict),
        "gpus": list(gpus_of(verdict)),
        "checks": [
            {
                "id": check.id,
                "tier": check.tier.value,
                "state": check.state.value,
                "detail": check.detail,
                "code": None if check.code is None else check.code.value,
            }
            for check in verdict.checks
        ],
        "losses": [
            {"framework": curve.framework, "device": curve.device, "losses": list(curve.losses)}
            for curve in curves(verdict)
        ],
    }
