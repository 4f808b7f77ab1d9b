"""Every check with what it passes and what it fails, and verdicts that never say more than was seen."""

import contextlib
import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudaforge.records import replace
from cudaforge.verifier.causes import Cause
from cudaforge.verifier.checks import judge
from cudaforge.verifier.checks_gpu import is_covered
from cudaforge.verifier.judging import agrees
from cudaforge.verifier.model import CheckState
from cudaforge.verifier.situation import GpuWish, Situation
from cudaforge.verifier.summary import is_good, summarise
from tests.support.locks import STANDALONE
from tests.unit.verifier.reports import (
    DEVICE,
    LOSSES,
    NO_GPU,
    ONE_GPU,
    RECORDED,
    TORCH,
    TWIN,
    as_cpu_build,
    lost,
    raised,
    recorded,
    results,
    situation,
    value,
    with_gpu,
)
from tests.unit.verifier.test_evidence import JSON

PASS, FAIL, SKIPPED, UNKNOWN = CheckState.PASS, CheckState.FAIL, CheckState.SKIPPED, CheckState.UNKNOWN


def verdict(seen: Situation) -> tuple[bool, str]:
    judged = judge(seen)
    return is_good(seen, judged), summarise(seen, judged)


def test_a_gpu_image_without_a_gpu_is_good_but_not_proven():
    assert verdict(situation()) == (True, "trained on CPU; not proven on a GPU")
    assert verdict(situation(gpu="off", offer=ONE_GPU)) == (True, "trained on CPU; not proven on a GPU")


def test_an_image_that_is_larger_than_it_may_be_is_not_good():
    def judged(limit: int | None, *layers: int):
        seen = replace(situation(image=replace(TORCH, max_size=limit)), layers=layers)
        return verdict(seen), results(seen)["size"]

    for limit, layers in ((None, (900, 200)), (1100, (900, 200)), (1, ())):
        (is_good_, _), size = judged(limit, *layers)
        assert (is_good_, size.state) == (True, PASS)
    (is_good_, summary), size = judged(1099, 900, 200)
    assert (is_good_, size.state) == (False, FAIL)
    assert size.detail == "the image has 1,100 bytes, more than max_size allows (1,099)"
    assert size.remedy == "raise max_size, or choose a smaller flavor or fewer packages"
    assert summary.endswith("failed: Size")


def test_a_required_gpu_that_is_not_there_fails():
    required = replace(TORCH, verify=replace(TORCH.verify, gpu="required"))
    good, summary = verdict(situation(image=required, gpu="required"))
    assert not good
    assert summary.startswith('trained on CPU; not proven on a GPU, which verify.gpu = "required" asks for')


def test_a_gpu_that_only_the_command_requires_is_no_line_of_the_declaration():
    good, summary = verdict(situation(gpu="required"))
    assert not good
    assert summary.startswith("trained on CPU; not proven on a GPU, which was asked for")


def test_a_gpu_image_on_a_gpu():
    seen = situation(with_gpu, offer=ONE_GPU)
    assert verdict(seen) == (True, "trained on CPU and GPU (NVIDIA H100)")
    assert {result.state for result in judge(seen)} == {PASS, SKIPPED}
    assert [id_ for id_, result in results(seen).items() if result.state is SKIPPED] == [
        "toolkit",
        "pytorch.compiled_gpu",
        "pytorch.reduce_gpu",
    ]


def test_a_required_gpu_is_not_waived_for_a_cpu_twin():
    good, summary = verdict(situation(as_cpu_build, image=TWIN, gpu="required", offer=ONE_GPU))
    assert not good
    assert summary.startswith("trained on CPU; not proven on a GPU, which was asked for")


def test_a_cpu_twin_speaks_of_no_gpu():
    seen = situation(as_cpu_build, image=TWIN, offer=ONE_GPU)
    assert verdict(seen) == (True, "trained on CPU")
    assert not any(result.id.startswith(("gpu", "cuda", "cudnn")) for result in judge(seen))


def test_a_twin_with_a_cuda_build_fails():
    found = results(situation(image=TWIN))["pytorch.build"]
    assert found.state is FAIL
    assert "declared 2.13.0+cpu, CPU build; found 2.8.0+cu128, CUDA build" in found.detail


def test_a_gpu_image_with_a_cpu_build_fails():
    seen = situation(as_cpu_build)
    assert results(seen)["pytorch.build"].state is FAIL
    assert not verdict(seen)[0]


def test_another_build_of_the_same_release_fails():
    seen = situation(value("pytorch", "describe", version="2.8.0+cu126", cuda="12.6"))
    assert results(seen)["pytorch.version"].state is PASS
    assert results(seen)["pytorch.build"].state is FAIL
    assert results(seen)["cuda"].state is FAIL


def test_a_driver_without_a_usable_gpu_claims_no_gpu_run():
    """A driver that answers, and a framework that cannot use it: a fake GPU, or libraries that do not fit."""
    reason = "Error 36: API call is not supported in the installed CUDA driver"
    seen = situation(with_gpu, value("pytorch", "devices", devices=[], reason=reason), offer=ONE_GPU)
    found = results(seen)
    assert [found[id_].state for id_ in ("gpu.nodes", "gpu.driver", "gpu.cuda")] == [PASS] * 3
    assert found["pytorch.devices"].state is FAIL
    assert "driver lists NVIDIA H100" in found["pytorch.devices"].detail
    assert reason in found["pytorch.devices"].detail
    assert found["pytorch.train_gpu"].state is SKIPPED
    assert verdict(seen) == (
        False,
        "trained on CPU; not proven on a GPU; failed: pytorch: lists the GPUs",
    )


def test_a_refused_gpu_is_docker_s_set_up_not_the_image():
    seen = situation(offer=ONE_GPU, refusal='could not select device driver "" with capabilities: [[gpu]]')
    found = results(seen)
    assert found["gpu.request"].state is FAIL
    assert "not the image" in found["gpu.request"].detail
    assert found["gpu.nodes"].state is SKIPPED
    assert found["pytorch.train_cpu"].state is PASS
    assert verdict(seen) == (
        False,
        "trained on CPU; not proven on a GPU; failed: GPUs for the container",
    )


def test_training_elsewhere_than_asked_is_no_gpu_run():
    placed = value("pytorch", "train_gpu", losses=LOSSES, placed=["cpu", "cuda:0"], api="torch.nn")
    seen = situation(with_gpu, placed, offer=ONE_GPU)
    assert results(seen)["pytorch.train_gpu"].state is FAIL
    assert "not proven on a GPU" in verdict(seen)[1]


@pytest.mark.parametrize(
    ("changes", "check", "word"),
    [
        ({"losses": LOSSES[:-1]}, "train_cpu", "19 were made"),
        ({"losses": LOSSES[::-1]}, "train_cpu", "does not fall"),
        ({"losses": [2.3] * 21}, "train_cpu", "does not fall"),
        ({"losses": [*LOSSES[:-1], float("nan")]}, "train_cpu", "not finite"),
        ({"losses": [*LOSSES[:-1], float("inf")]}, "train_cpu", "not finite"),
        ({"losses": [*LOSSES[:-1], "0.1"]}, "train_cpu", "not finite"),
        ({"losses": None}, "train_cpu", "0 were made"),
        ({"placed": []}, "train_cpu", "no device"),
        ({"placed": ["cuda:0"]}, "train_cpu", "were on cuda:0"),
    ],
)
def test_training_that_proves_nothing_fails(changes: dict, check: str, word: str):
    found = results(situation(value("pytorch", check, **changes)))[f"pytorch.{check}"]
    assert found.state is FAIL
    assert word in found.detail


@pytest.mark.parametrize(
    ("change", "check", "state", "word"),
    [
        (value("system", "system", python="3.12.1"), "python", FAIL, "declared 3.11, found 3.12.1"),
        (value("system", "system", python=None), "python", UNKNOWN, "did not say"),
        (value("system", "system", free_threaded=True), "python", FAIL, "free-threaded"),
        (value("system", "system", os={"id": "debian", "version_id": "13"}), "os", FAIL, "debian12"),
        (value("system", "system", os={"id": "ubuntu", "version_id": "12"}), "os", FAIL, "debian12"),
        (value("system", "system", os={}), "os", UNKNOWN, "os-release"),
        (value("system", "system", user="root", uid=0), "user", FAIL, "runs as root"),
        (value("system", "system", user=None, uid=1234), "user", FAIL, "uid 1234"),
        (value("system", "distributions", torch="2.8.1"), "packages", FAIL, "torch is 2.8.1, not 2.8.0"),
        (value("system", "distributions", jinja2=None), "packages", FAIL, "Jinja2 3.1.6 is not installed"),
        (value("pytorch", "describe", version="2.9.0+cu128"), "pytorch.version", FAIL, "2.9.0"),
        (value("pytorch", "describe", version="broken"), "pytorch.version", FAIL, "broken"),
        (value("pytorch", "describe", cudnn="9.7.1"), "cudnn", FAIL, "pytorch: 9.7.1"),
        (value("pytorch", "describe", nccl="2.26.2"), "nccl", FAIL, "2.26.2"),
        (value("libraries", "versions", cudart={"version": "13.0", "path": "/x"}), "cuda", FAIL, "/x: 13.0"),
        (raised("pytorch", "load", "ImportError", "no"), "pytorch.import", FAIL, "ImportError"),
        (lost("pytorch", "train_cpu", signal=11), "pytorch.train_cpu", FAIL, "SIGSEGV"),
        (lost("system", "system", signal=11), "python", UNKNOWN, "signal 11"),
    ],
)
def test_what_is_not_as_declared_fails(change, check: str, state: CheckState, word: str):
    seen = situation(change)
    found = results(seen)[check]
    assert (found.state, word in found.detail) == (state, True), found
    assert not verdict(seen)[0]


@pytest.mark.parametrize(
    ("change", "check", "state", "word"),
    [
        (value("system", "nodes", nodes=[]), "gpu.nodes", FAIL, "not the image"),
        (value("system", "nodes", denied=["/dev/nvidia0"]), "gpu.nodes", FAIL, "may not open /dev/nvidia0"),
        (value("system", "driver", path=None), "gpu.driver", FAIL, "no libcuda.so.1"),
        (value("system", "driver", path=None, lying=["/opt/x"]), "gpu.driver", FAIL, "/opt/x"),
        (value("system", "driver", stub=True), "gpu.driver", FAIL, "stub"),
        (value("system", "driver", version="550.54"), "gpu.floor", FAIL, "older than 570.26"),
        (value("system", "driver", version=None), "gpu.floor", UNKNOWN, "570.26"),
        (value("system", "driver", version="nonsense"), "gpu.floor", UNKNOWN, "nonsense"),
        (
            value("system", "cuda", code=803, name="CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
            "gpu.cuda",
            FAIL,
            "kernel",
        ),
        (value("system", "cuda", code=77, name="CUDA_ERROR_ODD"), "gpu.cuda", FAIL, "CUDA_ERROR_ODD"),
        (value("system", "cuda", devices=[]), "gpu.cuda", FAIL, "no device"),
        (raised("system", "cuda", "OSError", "gone"), "gpu.cuda", UNKNOWN, "gone"),
        (
            value("system", "cuda", devices=[{**DEVICE, "capability": "7.5"}]),
            "gpu.architecture",
            FAIL,
            "capability 7.5",
        ),
        (
            lost("pytorch", "train_gpu", signal=9, stopped="deadline"),
            "pytorch.train_gpu",
            FAIL,
            "within 300 s",
        ),
    ],
)
def test_what_is_wrong_with_a_gpu_fails(change, check: str, state: CheckState, word: str):
    seen = situation(with_gpu, change, offer=ONE_GPU)
    found = results(seen)[check]
    assert (found.state, word in found.detail) == (state, True), found
    assert not verdict(seen)[0]


@pytest.mark.parametrize(("seen", "state"), [("3.11.17", PASS), ("3.11.2", FAIL)])
def test_of_a_standalone_python_the_patch_is_compared(seen: str, state: CheckState):
    image = replace(TORCH, python_provider="standalone", standalone=STANDALONE)
    found = results(situation(value("system", "system", python=seen), image=image))["python"]
    assert found.state is state
    assert "3.11.17" in found.detail


def test_the_lock_label():
    assert results(situation())["lock"].state is PASS
    assert results(situation(labels={}))["lock"].state is SKIPPED
    stale = results(situation(labels={"io.cudaforge.lock.entry": "9" * 64}))["lock"]
    assert (stale.state, "cudaforge build" in (stale.remedy or "")) == (FAIL, True)


def test_companions_are_checked():
    image = replace(TORCH, companions={"torchvision": "0.23.0", "Triton": "3.4.0"})
    found = results(situation(image=image))["companions"]
    assert (found.state, found.detail) == (FAIL, "torchvision 0.23.0 is not installed")


def test_a_devel_image_needs_its_compiler():
    image = replace(TORCH, flavor="devel", toolkit="12.8.1")
    assert results(situation(image=image))["toolkit"].state is FAIL
    nvcc = value("system", "toolkit", path="/usr/local/cuda/bin/nvcc", version="12.8.93")
    assert results(situation(nvcc, image=image))["toolkit"].state is PASS


def test_evidence_for_cuda_is_needed():
    bare = value("pytorch", "describe", cuda=None, cudnn=None, nccl=None)

    def without_libraries(facts: dict) -> None:
        facts["libraries"]["stages"][0]["value"] = {}
        facts["system"]["stages"][1]["value"] = {"torch": "2.8.0"}

    found = results(situation(bare, without_libraries))
    assert [found[id_].state for id_ in ("cuda", "cudnn", "nccl")] == [UNKNOWN] * 3


def test_packages_of_no_use_do_not_count_with_the_system_s_cuda():
    image = replace(TORCH, cuda_provider="system", cuda="12.8", cudnn="9.10.2")
    seen = situation(value("system", "distributions", **{"nvidia-cuda-runtime-cu11": "11.8.89"}), image=image)
    assert results(seen)["cuda"].state is PASS


def test_a_probe_that_did_not_run_leaves_nothing_passed_but_the_label():
    cause = Cause(text="the image has no Python", remedy="build it")
    seen = replace(situation(), report=None, failure=cause, inspection=None, inspection_failure=cause)
    judged = judge(seen)
    assert {result.id for result in judged if result.state is PASS} == {"lock"}
    assert judged[0].state is FAIL
    good, summary = verdict(seen)
    assert not good
    assert summary == "nothing trained; not proven on a GPU; failed: The probe ran, The image's files"


def test_two_frameworks_both_have_to_train():
    second = replace(TORCH.frameworks[0], name="jax", proof="jax")
    seen = situation(image=replace(TORCH, frameworks=(*TORCH.frameworks, second)))
    good, summary = verdict(seen)
    assert not good
    assert summary.startswith("only pytorch trained on CPU; not proven on a GPU; ")
    none = situation(image=replace(TORCH, frameworks=()))
    assert verdict(none)[0] is False


@pytest.mark.parametrize(
    ("capability", "architectures", "ptx", "covered"),
    [
        ("9.0", ("sm_90",), (), True),
        ("9.0", ("sm_90a",), (), True),
        ("8.6", ("sm_80",), (), True),
        ("8.0", ("sm_86",), (), False),
        ("9.0", ("sm_80",), (), False),
        ("12.0", ("sm_120",), (), True),
        ("12.1", ("sm_120",), (), True),
        ("12.0", ("sm_90",), ("compute_90",), True),
        ("8.6", (), ("compute_90",), False),
        ("10.3", ("sm_100",), (), True),
        ("", ("sm_90",), (), False),
    ],
)
def test_which_code_runs_on_which_gpu(capability: str, architectures: tuple, ptx: tuple, *, covered: bool):
    assert is_covered(capability, architectures, ptx) is covered


@pytest.mark.parametrize(
    ("declared", "actual", "components", "same"),
    [
        ("12.8", "12.8.1", 4, True),
        ("12.8.1", "12.8.90", 2, True),
        ("12.8.1", "12.8.90", 4, False),
        ("12.1", "12.10", 4, False),
        ("9.10.2.21", "9.10.2", 4, True),
        ("2.8.0+cu128", "2.8.0", 4, True),
        ("2.8.0+cu128", "2.8.0+cpu", 4, False),
        ("2.8.0", "2.8.0rc1", 4, False),
        ("0.5.0.post1", "0.5.0", 4, False),
        ("1!2.0", "1!2.0", 4, True),
        ("3.11", "3.1", 4, False),
    ],
)
def test_versions_agree_as_far_as_both_are_known(declared: str, actual: str, components: int, *, same: bool):
    assert agrees(declared, actual, components=components) is same


def paths(facts: object, prefix: tuple = ()) -> list[tuple]:
    found = [prefix] if prefix else []
    items = facts.items() if isinstance(facts, dict) else enumerate(facts) if isinstance(facts, list) else ()
    for key, inner in items:
        found += paths(inner, (*prefix, key))
    return found


def full_report() -> dict:
    facts = copy.deepcopy(RECORDED)
    with_gpu(facts)
    return facts


FULL = full_report()


@given(
    changes=st.lists(st.tuples(st.sampled_from(paths(FULL)), JSON), min_size=1, max_size=3),
    has_gpu=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_no_report_breaks_the_judgement_or_makes_it_better(*, changes: list, has_gpu: bool):
    """Whatever an image's code writes into its report: there is a verdict, and it needs the proofs."""

    def change(facts: dict) -> None:
        facts.update(copy.deepcopy(FULL))
        for path, forged in changes:
            # An earlier change may have taken away what this one wants to change.
            with contextlib.suppress(TypeError, LookupError):
                target = facts
                for key in path[:-1]:
                    target = target[key]
                target[path[-1]] = forged
        facts["schema"] = 1

    seen = Situation(
        image=TORCH,
        labels={},
        gpu=GpuWish.AUTO,
        offer=ONE_GPU if has_gpu else NO_GPU,
        report=recorded(change),
    )
    judged = judge(seen)
    good, summary = is_good(seen, judged), summarise(seen, judged)
    states = {result.id: result.state for result in judged}
    assert not good or states["pytorch.train_cpu"] is PASS
    assert ("GPU (" in summary) == (states["pytorch.train_gpu"] is PASS)
    if not has_gpu:
        assert "trained on CPU and GPU" not in summary


def test_what_one_machine_proves_holds_for_its_platform() -> None:
    both = ("linux/amd64", "linux/arm64")
    seen = situation(image=replace(situation().image, platforms=both))
    (check,) = [one for one in judge(seen) if one.id == "platforms"]
    assert (check.state, check.detail) == (SKIPPED, "linux/arm64 was not proven")
    good, summary = verdict(seen)
    assert good
    assert summary.endswith("not proven on linux/arm64")
    assert "platforms" not in {one.id for one in judge(situation())}


def test_only_the_wheels_of_the_machine_have_to_be_there() -> None:
    image = situation().image
    other = replace(image.closure.wheels[0], package="only-arm", platforms=("linux/arm64",))
    changed = replace(image, closure=replace(image.closure, wheels=(*image.closure.wheels, other)))
    assert next(one for one in judge(situation(image=changed)) if one.id == "packages").state is PASS
    here = replace(other, platforms=("linux/amd64",))
    changed = replace(image, closure=replace(image.closure, wheels=(*image.closure.wheels, here)))
    found = next(one for one in judge(situation(image=changed)) if one.id == "packages")
    assert (found.state, found.detail) == (FAIL, "only-arm 2.8.0 is not installed")
