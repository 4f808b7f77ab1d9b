"""Verifying: run a built image, look into it, train a model in it, and say what that proves."""

from cudaforge.verifier.bundle import has_proof, probe_digest
from cudaforge.verifier.expected import Expected, ForeignImage
from cudaforge.verifier.foreign import FoundPython, Survey, survey
from cudaforge.verifier.inspecting import Findings, NothingKept
from cudaforge.verifier.model import CheckResult, CheckState, Tier, Verdict
from cudaforge.verifier.serial import reuse_verdict, verdict_from_json, verdict_to_json
from cudaforge.verifier.situation import GpuWish
from cudaforge.verifier.verdict import (
    VerifyEvent,
    VerifyJob,
    VerifyPhase,
    parse_tier,
    reuse_key,
    verify_image,
    verify_images,
)

__all__ = [
    "CheckResult",
    "CheckState",
    "Expected",
    "Findings",
    "ForeignImage",
    "FoundPython",
    "GpuWish",
    "NothingKept",
    "Survey",
    "Tier",
    "Verdict",
    "VerifyEvent",
    "VerifyJob",
    "VerifyPhase",
    "has_proof",
    "parse_tier",
    "probe_digest",
    "reuse_key",
    "reuse_verdict",
    "survey",
    "verdict_from_json",
    "verdict_to_json",
    "verify_image",
    "verify_images",
]
