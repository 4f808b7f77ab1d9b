"""What jobs printed, judged: results in the middle of log lines, and every way to have none."""

from __future__ import annotations

import base64
import copy

import pytest

from cudaforge.codes import Code
from cudaforge.records import replace
from cudaforge.verifier.checks import judge
from cudaforge.verifier.evidence import SCHEMA
from cudaforge.verifier.jobs import Form, collect, find_nonces
from cudaforge.verifier.jobs.collecting import host_of
from cudaforge.verifier.jobs.model import Order, place_order
from cudaforge.verifier.model import CheckResult, CheckState
from tests.unit.verifier.reports import RECORDED, TORCH, as_line

NONCE = "0123456789abcdef" * 2
OTHER = "f" * 32


def order(form: Form = Form.SCRIPT) -> Order:
    return place_order(TORCH, form, nonce=NONCE, gpus=1)


def told(word: str, value: str) -> str:
    return f"\ncudaforge-job {NONCE} {word} {value}\n"


def told_file(word: str, text: str) -> str:
    return told(word, base64.b64encode(text.encode()).decode())


def result(nonce: str = NONCE) -> str:
    facts = copy.deepcopy(RECORDED)
    facts["schema"] = SCHEMA
    return as_line(facts, nonce)


def checks(text: str, form: Form = Form.SCRIPT) -> dict[str, CheckResult]:
    return {check.id: check for check in judge(collect(TORCH, order(form), text))}


def test_a_result_is_judged_as_a_local_one():
    found = checks(told("entry", TORCH.digest) + told("gpus", "none") + result() + told("status", "0"))
    assert found["probe"].state is CheckState.PASS
    assert found["lock"].state is CheckState.PASS
    assert found["pytorch.train_cpu"].state is CheckState.PASS
    assert found["gpu.request"].state is CheckState.SKIPPED


def test_the_entry_of_another_lock_fails():
    assert checks(told("entry", "sha256:" + "0" * 64) + result())["lock"].state is CheckState.FAIL


@pytest.mark.parametrize("prefix", ["2026-11-28T07:00:00.000000000Z ", "[pod/verify-train-1/probe] ", "0: "])
def test_log_collectors_may_put_something_before_each_line(prefix: str):
    text = "".join(prefix + line + "\n" for line in (told("gpus", "cdi") + result()).splitlines())
    assert checks(text)["probe"].state is CheckState.PASS


def test_kubernetes_gives_the_gpus_that_the_job_asks_for():
    found = checks(result(), Form.KUBERNETES)
    assert found["gpu.request"].state is CheckState.PASS
    assert "scheduler: 1 of the scheduler's" in found["gpu.request"].detail


def test_two_results_are_none():
    found = checks(result() + result())
    assert found["probe"].state is CheckState.FAIL
    assert "2 results" in found["probe"].detail


def test_a_result_of_another_job_does_not_count():
    assert checks(result(OTHER))["probe"].state is CheckState.FAIL


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (told_file("unavailable", "Error: manifest unknown\n"), "could not get the image: Error: manifest"),
        (told("killed", "memory") + told("status", "137"), "ran out of its memory"),
        (told("status", "124"), "did not end within"),
        (
            told_file("errors", 'exec: "/opt/venv/bin/python": no such file or directory')
            + told("status", "127"),
            "the image has no Python",
        ),
        (told("status", "139"), "SIGSEGV"),
        ("exec /opt/venv/bin/python: exec format error", "another CPU architecture"),
        ("nothing of note", "printed no result; the job's log ends before it"),
    ],
)
def test_no_result_has_a_cause(log: str, cause: str):
    found = checks(log)["probe"]
    assert found.state is CheckState.FAIL
    assert cause in found.detail


def test_an_engine_that_refused_the_gpu_is_told():
    refusal = 'could not select device driver "" with capabilities: [[gpu]]'
    found = checks(told("gpus", "device-request") + told_file("refusal", refusal) + result())
    assert found["gpu.request"].state is CheckState.FAIL
    assert "could not select device driver" in found["gpu.request"].detail
    assert found["gpu.request"].code in (None, Code.TOOLKIT_MISSING)


def test_jobs_of_several_images_share_a_log():
    text = told("host", "node1") + result() + result(OTHER)
    assert find_nonces(text) == (NONCE, OTHER)
    assert host_of(order(), text) == {"form": "script", "host": "node1"}


def test_what_is_no_base64_is_no_crash():
    found = checks(told("unavailable", "!!!"))
    assert "could not get the image: it does not say why" in found["probe"].detail
    assert checks(told("status", "9" * 50))["probe"].state is CheckState.FAIL


def test_an_image_that_is_never_given_gpus_is_given_none():
    off = replace(TORCH, verify=replace(TORCH.verify, gpu="off"))
    assert place_order(off, Form.SLURM, nonce=NONCE, gpus=3).gpus == 0
