"""The public functions, with a stand-in for the engine that runs the real probe on this very Python."""

import base64
import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable

import pytest

from cudaforge.engine import ContainerOutcome, ContainerSpec, EngineDied, GpuOffer, ImageFacts
from cudaforge.errors import InputError, Problem
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import replace
from cudaforge.renderer.model import ENTRY_LABEL
from cudaforge.verifier import (
    CheckState,
    Verdict,
    VerifyEvent,
    VerifyJob,
    VerifyPhase,
    reuse_key,
    reuse_verdict,
    verdict_from_json,
    verdict_to_json,
    verify_image,
    verify_images,
)
from cudaforge.verifier.situation import PYTHON
from tests.unit.verifier.reports import NO_GPU, ONE_GPU, RECORDED_FILES, TORCH, TWIN, as_line

QUICK = replace(TORCH, verify=replace(TORCH.verify, timeout=20.0, steps=2))
REFUSAL = 'could not select device driver "" with capabilities: [[gpu]]'
READ_ONLY = (
    "error running createContainer hook #0: nvidia-ctk: ldconfig: /etc/ld.so.cache~: Read-only file system"
)


def task_of(spec: ContainerSpec) -> dict:
    """What a container's program is asked to do."""
    return json.loads(zlib.decompress(base64.b85decode(spec.argv[-1])))


class HereEngine:
    """Runs a container's command on this machine. `refuse` says what the engine says instead, or None."""

    def __init__(
        self,
        *,
        offer: GpuOffer = NO_GPU,
        refuse: Callable[[ContainerSpec], str | None] = lambda _: None,
        change: Callable[[ContainerOutcome], ContainerOutcome] = lambda outcome: outcome,
    ) -> None:
        self.specs: list[ContainerSpec] = []
        """Of the containers that proofs run in."""
        self.inspected: list[ContainerSpec] = []
        """Of those in which nothing but files is read."""
        self.architecture = "amd64"
        self.removed: list[str] = []
        self._offer = offer
        self._refuse = refuse
        self._change = change

    def gpu_offer(self) -> GpuOffer:
        return self._offer

    def find_image(self, reference: str) -> ImageFacts | None:
        if "missing" in reference:
            return None
        labels = {ENTRY_LABEL: TORCH.digest}
        return ImageFacts(id="sha256:1", tags=(), size=1, labels=labels, architecture="amd64", created="")

    def run_container(self, spec: ContainerSpec, *, timeout: float) -> ContainerOutcome:
        task = task_of(spec)
        if task["main"] == "inspection":
            self.inspected.append(spec)
            facts = {**RECORDED_FILES, "schema": task["schema"]}
            return ContainerOutcome(
                exit_status=0, stdout=as_line(facts, task["nonce"]), stderr="", seconds=0.1
            )
        self.specs.append(spec)
        refusal = self._refuse(spec)
        if refusal is not None:
            return ContainerOutcome(exit_status=None, stdout="", stderr="", seconds=0.0, start_error=refusal)
        assert spec.entrypoint == (PYTHON,)
        argv = [sys.executable, "-S", *(spec.argv or ())]
        # A PYTHONPATH of this test run may lead to a real torch.
        env = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, env=env)
        outcome = ContainerOutcome(
            exit_status=done.returncode, stdout=done.stdout, stderr=done.stderr, seconds=1.0
        )
        return self._change(outcome)

    def remove_leftovers(self, run_id: str, *, patience: float = 60) -> int:
        assert patience > 0
        self.removed.append(run_id)
        return 0


def verify(engine: HereEngine, image: LockedImage = QUICK, **more) -> Verdict:
    return verify_image(image, "vision:train", engine=engine, **more)


def state(verdict: Verdict, check: str) -> CheckState:
    return next(result.state for result in verdict.checks if result.id == check)


def detail(verdict: Verdict, check: str) -> str:
    return next(result.detail for result in verdict.checks if result.id == check)


def test_one_container_shut_in():
    engine = HereEngine()
    verdict = verify(engine, run_id="run-1")
    (spec,) = engine.specs
    assert (spec.image, spec.run_id) == ("sha256:1", "run-1")
    assert (spec.read_only, spec.has_network, spec.drop_capabilities, spec.mounts) == (True, False, True, ())
    assert spec.user is None
    assert list(spec.tmpfs) == ["/tmp"]
    assert spec.gpu is None
    assert spec.env == {"NVIDIA_VISIBLE_DEVICES": "void"}
    assert state(verdict, "probe") is CheckState.PASS
    assert "the image lacks torch" in detail(verdict, "pytorch.import")
    assert verdict.seconds > 0


def test_gpus_are_requested_when_they_are_offered_and_wanted():
    for image, gpu, is_asked in ((QUICK, "auto", True), (QUICK, "off", False), (QUICK, "required", True)):
        engine = HereEngine(offer=ONE_GPU)
        verify(engine, image, gpu=gpu)
        assert [spec.gpu for spec in engine.specs] == [ONE_GPU.request if is_asked else None], gpu
    twin = HereEngine(offer=ONE_GPU)
    verify(twin, replace(TWIN, verify=QUICK.verify), gpu="required")
    assert twin.specs[0].gpu is None


def test_after_a_refused_gpu_the_rest_is_proven_without():
    engine = HereEngine(offer=ONE_GPU, refuse=lambda spec: REFUSAL if spec.gpu else None)
    events: list[VerifyEvent] = []
    verdict = verify(engine, on_event=events.append)
    assert [spec.gpu for spec in engine.specs] == [ONE_GPU.request, None]
    assert state(verdict, "gpu.request") is CheckState.FAIL
    assert state(verdict, "probe") is CheckState.PASS
    assert verdict.facts["gpu_refusal"] == REFUSAL
    assert [event.phase for event in events] == [VerifyPhase.STARTED, VerifyPhase.NOTE, VerifyPhase.FINISHED]


def test_a_hook_that_cannot_write_gets_a_writable_root():
    engine = HereEngine(offer=ONE_GPU, refuse=lambda spec: READ_ONLY if spec.read_only else None)
    verdict = verify(engine)
    assert [(spec.gpu, spec.read_only) for spec in engine.specs] == [
        (ONE_GPU.request, True),
        (ONE_GPU.request, False),
    ]
    assert state(verdict, "gpu.request") is CheckState.PASS


def test_a_refusal_without_the_gpus_is_none_of_the_gpus():
    engine = HereEngine(offer=ONE_GPU, refuse=lambda _: "exec format error")
    verdict = verify(engine)
    assert [spec.gpu for spec in engine.specs] == [ONE_GPU.request, None]
    assert "another CPU architecture" in detail(verdict, "probe")
    assert not verdict.ok


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"timed_out": True, "exit_status": None}, "did not end within 20 s"),
        ({"exit_status": 137, "oom_killed": True}, "ran out of its memory"),
        ({"exit_status": 137}, "SIGKILL"),
        ({"exit_status": 1, "stderr": "boom"}, "exit status 1 and no result: boom"),
        ({"stdout": ""}, "printed no result"),
        ({"stdout": "y\n", "dropped": 5 * 2**20}, "5 MiB of other output"),
    ],
)
def test_how_a_container_can_end_without_a_result(change: dict, word: str):
    verdict = verify(HereEngine(change=lambda outcome: replace(outcome, **change)))
    assert word in detail(verdict, "probe")
    assert (verdict.ok, verdict.facts["probe"]) == (False, None)


def test_a_result_of_another_run_is_none():
    seen: list[str] = []

    def replay(outcome: ContainerOutcome) -> ContainerOutcome:
        seen.append(outcome.stdout)
        return replace(outcome, stdout=seen[0])

    engine = HereEngine(change=replay)
    assert state(verify(engine), "probe") is CheckState.PASS
    assert "printed no result" in detail(verify(engine), "probe")


def test_an_image_that_is_not_built():
    verdict = verify_image(QUICK, "vision:missing", engine=HereEngine())
    assert (verdict.ok, verdict.summary, verdict.checks[0].remedy) == (
        False,
        "not built",
        "build it: cudaforge build train",
    )


def test_an_unknown_wish_is_wrong_input():
    with pytest.raises(InputError, match="required, auto, off"):
        verify(HereEngine(), gpu="maybe")


def test_several_images_in_their_order():
    engine = HereEngine()
    jobs = [
        VerifyJob(image=replace(QUICK, name=name), reference=reference)
        for name, reference in (("a", "vision:missing"), ("b", "vision:b"), ("c", "vision:c"))
    ]
    verdicts = verify_images(jobs, engine=engine, run_id="run-2")
    assert [verdict.name for verdict in verdicts] == ["a", "b", "c"]
    assert {spec.run_id for spec in engine.specs} == {"run-2"}
    assert verify_images([], engine=engine) == ()


def test_an_engine_that_dies_ends_them_all():
    class Dying(HereEngine):
        def run_container(self, spec: ContainerSpec, *, timeout: float) -> ContainerOutcome:
            self.specs.append(spec)
            time.sleep(min(timeout, 0.05))
            raise EngineDied(Problem(what="gone"))

    engine = Dying()
    jobs = [VerifyJob(image=replace(QUICK, name=str(number)), reference="vision:x") for number in range(20)]
    with pytest.raises(EngineDied):
        verify_images(jobs, engine=engine, run_id="run-3")
    assert set(engine.removed) == {"run-3"}
    assert len(engine.specs) < 10, "those that wait are not started"


def test_json_and_back():
    verdict = verify(HereEngine())
    saved = json.loads(json.dumps(verdict_to_json(verdict), allow_nan=False))
    assert verdict_from_json(saved) == replace(verdict, seconds=round(verdict.seconds, 3))
    for broken in ({}, {**saved, "checks": None}, {**saved, "checks": [{}]}, {**saved, "facts": []}):
        assert verdict_from_json(broken) is None


def test_a_good_verdict_is_used_again_for_the_same_thing():
    key = reuse_key(QUICK, image_id="sha256:1", offer=NO_GPU)
    good = replace(verify(HereEngine()), ok=True)
    assert good.facts["reuse_key"] == key
    saved = verdict_to_json(good)
    assert reuse_verdict(saved, key=key) == replace(good, seconds=round(good.seconds, 3))
    assert reuse_verdict({**saved, "ok": False}, key=key) is None
    assert reuse_verdict({**saved, "checks": 1}, key=key) is None
    for other in (None, [], {"ok": True}, saved):
        assert reuse_verdict(other, key="other") is None


def test_the_key_follows_whatever_a_verdict_depends_on():
    keys = {
        reuse_key(QUICK, image_id="sha256:1", offer=NO_GPU),
        reuse_key(QUICK, image_id="sha256:2", offer=NO_GPU),
        reuse_key(QUICK, image_id="sha256:1", offer=ONE_GPU),
        reuse_key(QUICK, image_id="sha256:1", offer=NO_GPU, gpu="required"),
        reuse_key(replace(QUICK, digest="9" * 64), image_id="sha256:1", offer=NO_GPU),
        reuse_key(TORCH, image_id="sha256:1", offer=NO_GPU),
        reuse_key(replace(QUICK, frameworks=()), image_id="sha256:1", offer=NO_GPU),
    }
    assert len(keys) == 7
