"""Verifying: run a built image, look into it, train a model in it, and say what that proves."""

from cudaforge.verifier.bundle import has_proof, probe_digest
from cudaforge.verifier.model import CheckResult, CheckState, Tier, Verdict
from cudaforge.verifier.serial import reuse_verdict, verdict_from_json, verdict_to_json
from cudaforge.verifier.situation import GpuWish
from cudaforge.verifier.verdict import (
    VerifyEvent,
    VerifyJob,
    VerifyPhase,
    reuse_key,
    verify_image,
    verify_images,
)

__all__ = [
    "CheckResult",
    "CheckState",
    "GpuWish",
    "Tier",
    "Verdict",
    "VerifyEvent",
    "VerifyJob",
    "VerifyPhase",
    "has_proof",
    "probe_digest",
    "reuse_key",
    "reuse_verdict",
    "verdict_from_json",
    "verdict_to_json",
    "verify_image",
    "verify_images",
]
