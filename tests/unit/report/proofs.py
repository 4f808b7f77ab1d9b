"""Verdicts for reports: a good one, a bad one, and one of an image that is hostile in all that it prints."""

from __future__ import annotations

from cudaforge.codes import Code
from cudaforge.report.evidence import HOST_FACTS, TIME_FACT, Proof
from cudaforge.verifier.model import CheckResult, CheckState, Tier, Verdict

IMAGE_ID = "sha256:" + "a" * 64
LOCK = "sha256:" + "b" * 64
HOSTILE = "</td><script>alert(1)</script>|`x` [a](javascript:b) *c* @d\x00\x1b[31m\u202e\ufffe ]]>\n&amp;\"'"
LOSSES = [2.3, 1.7, 1.2, 0.8, 0.5, 0.3, 0.2, 0.15, 0.12, 0.11]


def check(
    name: str,
    tier: Tier = Tier.STATIC,
    state: CheckState = CheckState.PASS,
    detail: str = "as locked",
    **more: object,
) -> CheckResult:
    return CheckResult(id=name, title=f"The {name}", tier=tier, state=state, detail=detail, **more)


def facts(losses: object = LOSSES, gpu_name: str = "NVIDIA H100 80GB HBM3") -> dict[str, object]:
    def stage(name: str, value: object) -> dict[str, object]:
        return {"name": name, "state": "done", "seconds": 0.1, "value": value}

    return {
        TIME_FACT: "2026-11-28T10:00:00Z",
        HOST_FACTS: {
            "os": "Debian GNU/Linux 12",
            "kernel": "6.1.0",
            "architecture": "x86_64",
            "cpus": 16,
            "memory": 137438953472,
            "engine": "Docker 28.0.1",
        },
        "probe": {
            "system": {
                "stages": [
                    stage("system", {"machine": "x86_64", "cpus": 16}),
                    stage("driver", {"version": "570.124.06"}),
                    stage("cuda", {"devices": [{"name": gpu_name}]}),
                ]
            },
            "frameworks": {
                "pytorch": {
                    "stages": [
                        stage("train_cpu", {"losses": losses}),
                        stage("train_gpu", {"losses": [2.4, *LOSSES[1:]]}),
                    ]
                }
            },
        },
    }


GOOD = Verdict(
    name="train",
    reference="ghcr.io/acme/vision:train",
    image_id=IMAGE_ID,
    lock_digest=LOCK,
    ok=True,
    summary="trained on CPU and GPU (NVIDIA H100)",
    checks=(
        check("entry"),
        check("python"),
        check("train", Tier.CPU, detail="loss 2.3 to 0.11 in 9 steps"),
        check("device", Tier.GPU, detail="NVIDIA H100 80GB HBM3"),
        check("nccl", Tier.GPU, CheckState.SKIPPED, "there is one GPU"),
    ),
    facts=facts(),
    seconds=12.34,
)
BAD = Verdict(
    name="old",
    reference="ghcr.io/acme/vision:old",
    image_id=IMAGE_ID,
    lock_digest=LOCK,
    ok=False,
    summary="trained on CPU; failed: The driver",
    checks=(
        check("entry"),
        check(
            "driver",
            Tier.GPU,
            CheckState.FAIL,
            "driver 450.80.02 is too old",
            remedy="install 570.26 or newer",
            code=Code.DRIVER_TOO_OLD,
        ),
        check("cudnn", Tier.GPU, CheckState.UNKNOWN, "no version was found"),
    ),
    facts={},
    seconds=3.0,
)
EVIL = Verdict(
    name="evil",
    reference="ghcr.io/acme/vision:evil",
    image_id=IMAGE_ID,
    lock_digest=LOCK,
    ok=False,
    summary=HOSTILE,
    checks=(
        CheckResult(
            id="user", title="User", tier=Tier.STATIC, state=CheckState.FAIL, detail=HOSTILE, remedy=HOSTILE
        ),
    ),
    facts=facts(losses=["x", None], gpu_name=HOSTILE),
    seconds=1.0,
)


def proof(verdict: Verdict) -> Proof:
    return Proof(name=verdict.name, reference=verdict.reference, verdict=verdict)


PROOFS = (
    proof(GOOD),
    proof(BAD),
    proof(EVIL),
    Proof(name="new", reference="ghcr.io/acme/vision:new", verdict=None, missing="not verified yet"),
)
