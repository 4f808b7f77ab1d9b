"""Frameworks that train nothing: what they compute, how it is judged, and the words of the verdict."""

import copy
import math
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from cudaforge.errors import SurroundingsError
from cudaforge.lockfile.model import LockedFramework, LockedImage
from cudaforge.records import replace
from cudaforge.verifier.bundle import probe_arguments
from cudaforge.verifier.causes import explain_stage
from cudaforge.verifier.checks import judge
from cudaforge.verifier.evidence import SEED, Report, parse_output
from cudaforge.verifier.model import CheckState
from cudaforge.verifier.probes.forward import CLASSES, COUNT, answer, make_network
from cudaforge.verifier.probes.libraries import load_needed
from cudaforge.verifier.proofs import proof_work
from cudaforge.verifier.situation import Situation
from cudaforge.verifier.summary import is_good, summarise
from tests.unit.verifier.reports import (
    DEVICE,
    ONE_GPU,
    TORCH,
    TWIN,
    Change,
    results,
    situation,
    stage,
    value,
    with_gpu,
)

PASS, FAIL, SKIPPED = CheckState.PASS, CheckState.FAIL, CheckState.SKIPPED
ANSWER = answer(make_network(SEED))
ON_CPU = {"outputs": ANSWER, "placed": ["cpu"], "api": "CPUExecutionProvider"}
ON_GPU = {"outputs": ANSWER, "placed": ["cuda:0"], "api": "CUDAExecutionProvider"}


def locked(name: str, version: str, build: str = "cuda12") -> LockedFramework:
    return LockedFramework(
        name=name, version=version, build=build, reported=version, proof=name, template=name
    )


ORT, CUPY = locked("onnxruntime", "1.26.0"), locked("cupy", "14.2.0")
ORT_IMAGE = replace(TORCH, frameworks=(ORT,))
CUPY_IMAGE = replace(TORCH, frameworks=(CUPY,))


def proven(framework: LockedFramework, *, is_cuda: bool = True, **computed: object) -> Change:
    """Add what the probe reports of a framework: `compute_cpu=...` and `compute_gpu=...`."""

    def change(facts: dict) -> None:
        child = copy.deepcopy(facts["frameworks"]["pytorch"])
        told = {"version": framework.reported, "cuda_build": is_cuda, "cuda": None, "cudnn": None}
        values = {"load": None, "describe": told, "devices": {"devices": [], "reason": "none"}, **computed}
        child["stages"] = [
            {"name": name, "state": "done", "value": value, "seconds": 0.1} for name, value in values.items()
        ]
        facts["frameworks"][framework.proof] = child

    return change


def without_torch(facts: dict) -> None:
    del facts["frameworks"]["pytorch"]


def on_gpu(framework: LockedFramework) -> Change:
    def change(facts: dict) -> None:
        stage(facts, framework.proof, "devices")["value"] = {"devices": [DEVICE], "reason": None}

    return change


def verdict(seen: Situation) -> tuple[bool, str]:
    judged = judge(seen)
    return is_good(seen, judged), summarise(seen, judged)


def ort(*changes: Change, cpu: object = ON_CPU, gpu: object = None, **settings: object) -> Situation:
    report = (proven(ORT, compute_cpu=cpu, compute_gpu=gpu), *changes)
    return situation(*report, **{"image": ORT_IMAGE, **settings})


def cupy(*changes: Change, gpu: object = None, **settings: object) -> Situation:
    return situation(proven(CUPY, compute_gpu=gpu), *changes, **{"image": CUPY_IMAGE, **settings})


def test_the_network_answers_the_same_everywhere():
    assert answer(make_network(SEED)) == ANSWER
    assert answer(make_network(SEED + 1)) != ANSWER
    assert [round(number, 6) for number in ANSWER[:3]] == [0.038441, 0.559861, 0.099028]


def test_the_network_tells_apart_what_it_is_shown():
    rows = [ANSWER[start : start + CLASSES] for start in range(0, len(ANSWER), CLASSES)]
    assert len(rows) == COUNT
    for row in rows:
        assert math.isclose(sum(row), 1.0)
        assert max(row) > 0.4
    assert len({row.index(max(row)) for row in rows}) > 1


def test_a_proof_says_itself_what_it_does():
    assert (proof_work("pytorch").does, proof_work("pytorch").devices) == ("trains", ("cpu", "gpu"))
    assert (proof_work("onnxruntime").done, proof_work("onnxruntime").devices) == ("computed", ("cpu", "gpu"))
    assert (proof_work("cupy").done, proof_work("cupy").devices) == ("computed", ("gpu",))
    with pytest.raises(SurroundingsError, match="no proof called"):
        proof_work("mxnet")


def test_computing_is_never_called_training():
    assert verdict(ort()) == (True, "computed on CPU; not proven on a GPU")
    seen = ort(with_gpu, on_gpu(ORT), gpu=ON_GPU, offer=ONE_GPU)
    assert verdict(seen) == (True, "computed on CPU and GPU (NVIDIA H100)")
    twin = replace(TWIN, frameworks=(locked("onnxruntime", "1.26.0", "cpu"),))
    report = proven(ORT, is_cuda=False, compute_cpu=ON_CPU, compute_gpu=None)
    assert verdict(situation(report, image=twin)) == (True, "computed on CPU")
    assert results(ort())["onnxruntime.compute_cpu"].title == "onnxruntime: computes on the CPU"


def test_a_silent_fall_back_to_the_cpu_is_no_gpu_run():
    seen = ort(with_gpu, on_gpu(ORT), gpu=ON_CPU, offer=ONE_GPU)
    found = results(seen)["onnxruntime.compute_gpu"]
    assert (found.state, "asked for the gpu" in found.detail) == (FAIL, True)
    good, summary = verdict(seen)
    assert not good
    assert summary.startswith("computed on CPU; not proven on a GPU; failed: ")


def test_why_its_provider_did_not_come_up_is_told():
    where = "source.cc:1 " * 40
    said = f"\x1b[1;31m{where}FAIL : Failed to load library x.so with error: no y.so\x1b[m"

    def change(facts: dict) -> None:
        facts["frameworks"]["onnxruntime"]["output"] = f"other\n{said}\n"

    found = results(ort(with_gpu, change, offer=ONE_GPU))["onnxruntime.devices"]
    assert found.state is FAIL
    assert found.detail.endswith("Failed to load library x.so with error: no y.so")
    assert "\x1b" not in found.detail


def test_some_nodes_on_the_cpu_are_no_gpu_run():
    seen = ort(with_gpu, on_gpu(ORT), gpu={**ON_GPU, "placed": ["cpu", "cuda:0"]}, offer=ONE_GPU)
    assert results(seen)["onnxruntime.compute_gpu"].state is FAIL


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (ANSWER[:-1], "40 numbers were asked for, 39 were computed"),
        ([], "0 were computed"),
        (None, "0 were computed"),
        ([float("nan"), *ANSWER[1:]], "not finite"),
        (["0.5", *ANSWER[1:]], "not finite"),
        ([ANSWER[0] + 0.01, *ANSWER[1:]], "computes wrongly: 40 outputs within 0.01 of the reference"),
        (ANSWER[::-1], "computes wrongly"),
        ([0.1] * len(ANSWER), "computes wrongly"),
    ],
)
def test_another_answer_fails(outputs: object, expected: str):
    seen = ort(cpu={**ON_CPU, "outputs": outputs})
    found = results(seen)["onnxruntime.compute_cpu"]
    assert (found.state, expected in found.detail) == (FAIL, True), found.detail
    assert verdict(seen) == (
        False,
        "nothing computed; not proven on a GPU; failed: onnxruntime: computes on the CPU",
    )


def test_the_precision_of_a_gpu_is_enough():
    seen = ort(cpu={**ON_CPU, "outputs": [number + 0.002 for number in ANSWER]})
    assert "within 0.002 of the reference" in results(seen)["onnxruntime.compute_cpu"].detail
    assert verdict(seen)[0]


def test_what_needs_a_gpu_is_not_said_to_have_run_without():
    expected = "imported, not run: it needs a GPU; not proven on a GPU"
    assert verdict(cupy()) == (True, expected)
    assert "cupy.compute_cpu" not in results(cupy())
    assert results(cupy())["cupy.compute_gpu"].detail.startswith("this engine offers no GPU; ")


def without_driver(facts: dict) -> None:
    """CuPy 12 names the driver's library, so that it cannot even be imported where there is none."""
    text = "libcuda.so.1: cannot open shared object file: No such file or directory"
    facts["frameworks"]["cupy"]["stages"] = [
        {"name": "load", "state": "raised", "error": {"type": "ImportError", "text": text}, "seconds": 0.1}
    ]


def test_a_library_of_the_driver_is_missed_on_a_host_with_one_alone():
    seen = cupy(without_driver)
    assert results(seen)["cupy.import"].state is SKIPPED
    assert "only where a GPU is" in results(seen)["cupy.version"].detail
    assert verdict(seen) == (True, "not imported: it needs a GPU; not proven on a GPU")
    refused = cupy(without_driver, offer=ONE_GPU, refusal="could not select device driver")
    assert results(refused)["cupy.import"].state is SKIPPED
    assert not verdict(refused)[0]
    broken = cupy(without_driver, with_gpu, offer=ONE_GPU)
    assert results(broken)["cupy.import"].state is FAIL
    assert verdict(broken)[1].startswith("nothing computed; not proven on a GPU; failed: cupy: imports")
    twin = situation(proven(CUPY), without_driver, image=replace(TWIN, frameworks=(CUPY,)))
    assert results(twin)["cupy.import"].state is FAIL


def test_what_runs_on_cpus_is_not_excused_by_the_driver():
    def change(facts: dict) -> None:
        stages = [
            {"name": "load", "state": "raised", "error": {"type": "ImportError", "text": "libcuda.so.1"}}
        ]
        facts["frameworks"]["onnxruntime"]["stages"] = stages

    assert verdict(ort(change)) == (False, "nothing computed; not proven on a GPU")


def test_a_required_gpu_that_is_not_there_fails():
    report = proven(CUPY, compute_gpu=None)
    good, summary = verdict(situation(report, image=CUPY_IMAGE, gpu="required"))
    assert not good
    assert summary.startswith("imported, not run: it needs a GPU; not proven on a GPU, which was asked for")


def test_what_needs_a_gpu_is_proven_on_one():
    seen = cupy(with_gpu, on_gpu(CUPY), gpu=ON_GPU, offer=ONE_GPU)
    assert verdict(seen) == (True, "computed on GPU (NVIDIA H100)")


def test_what_finds_no_gpu_is_not_said_to_wait_for_one():
    seen = cupy(with_gpu, offer=ONE_GPU)
    assert verdict(seen) == (False, "nothing computed; not proven on a GPU; failed: cupy: lists the GPUs")


def test_what_needs_a_gpu_is_never_a_good_cpu_twin():
    twin = replace(TWIN, frameworks=(CUPY,))
    report = proven(CUPY, is_cuda=False, compute_gpu=None)
    assert verdict(situation(report, image=twin)) == (False, "imported, not run: it needs a GPU")


def both(second: LockedFramework) -> LockedImage:
    return replace(TORCH, frameworks=(*TORCH.frameworks, second))


def test_each_framework_is_told_in_its_own_words():
    waiting = cupy(image=both(CUPY))
    assert verdict(waiting) == (
        True,
        "pytorch trained on CPU, cupy imported, not run: it needs a GPU; not proven on a GPU",
    )
    seen = ort(with_gpu, on_gpu(ORT), gpu=ON_GPU, offer=ONE_GPU, image=both(ORT))
    assert verdict(seen) == (
        True,
        "pytorch trained on CPU and GPU, onnxruntime computed on CPU and GPU (NVIDIA H100)",
    )
    wrong = ort(cpu={**ON_CPU, "outputs": []}, image=both(ORT))
    assert verdict(wrong)[1].startswith("only pytorch trained on CPU; not proven on a GPU; failed: ")
    neither = ort(value("pytorch", "train_cpu", losses=[]), cpu={**ON_CPU, "outputs": []}, image=both(ORT))
    assert verdict(neither)[1].startswith("nothing trained or computed; not proven on a GPU; failed: ")


NUMPY = """\
class Array(list):
    def reshape(self, *shape): return self
    def ravel(self): return self
def asarray(numbers, dtype): return Array(numbers)
"""
RUNTIME = """\
import json, os
from cudaforge.verifier.probes import forward
import numpy
__version__ = "1.26.0"
SECRET = {providers!r}
def get_available_providers(): return SECRET
class SessionOptions:
    enable_profiling, profile_file_prefix = False, ""
class InferenceSession:
    def __init__(self, model, options, providers):
        assert isinstance(model, bytes) and b"Relu" in model
        self.options, self.asked = options, providers
    def get_providers(self): return {came_up!r}
    def run(self, names, feed):
        assert len(feed["pixels"]) == forward.COUNT * forward.SIDE * forward.SIDE
        return [numpy.Array(forward.answer(forward.make_network({seed})))]
    def end_profiling(self):
        assert self.options.enable_profiling
        path = self.options.profile_file_prefix + ".json"
        ran = [{{"args": {{"provider": name}}}} for name in ({came_up!r} or self.asked)[:1]]
        json.dump([*ran, {{"name": "session"}}], open(path, "w"))
        return path
"""


def probe(directory: Path, proof: str, modules: dict[str, str]) -> Report:
    """Run the probe where `import` finds these modules."""
    for name, text in modules.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    arguments = probe_arguments([proof], nonce="n", steps=2, seed=SEED, timeout=20.0)
    done = subprocess.run(
        [sys.executable, "-S", *arguments],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(directory)},
    )
    assert done.returncode == 0, done.stderr
    return parse_output(done.stdout, "n")


def runtime(*providers: str, came_up: tuple[str, ...] = ()) -> dict[str, str]:
    text = RUNTIME.format(providers=list(providers), came_up=list(came_up), seed=SEED)
    return {"numpy.py": NUMPY, "onnxruntime/__init__.py": text}


def test_a_cpu_build_computes_the_answer(tmp_path: Path):
    child = probe(tmp_path, "onnxruntime", runtime("CPUExecutionProvider")).frameworks["onnxruntime"]
    assert child.value("describe")["cuda_build"].value is False
    assert child.value("compute_cpu").value == ON_CPU
    assert child.value("compute_gpu").value is None
    assert child.value("devices")["reason"].text == "it is a CPU build"


def test_a_library_that_the_loader_does_not_find_is_named(tmp_path: Path):
    modules = runtime("CUDAExecutionProvider", "CPUExecutionProvider")
    library = tmp_path / "onnxruntime/capi/libonnxruntime_providers_cuda.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(elf("libcuda.so.1", "libonnxruntime.so.1", "libc.so.6", "libcudnn-not-here.so.9"))
    report = probe(tmp_path, "onnxruntime", modules)
    child = report.frameworks["onnxruntime"]
    text = explain_stage(child, "load", memory_kills=0, limit=None, timeout=20.0).text
    assert "libcudnn-not-here.so.9: cannot open shared object file" in text


def test_a_provider_that_does_not_come_up_lists_no_gpu(tmp_path: Path):
    modules = runtime("CUDAExecutionProvider", "CPUExecutionProvider", came_up=("CPUExecutionProvider",))
    library = tmp_path / "onnxruntime/capi/libonnxruntime_providers_cuda.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(elf("libcuda.so.1", "libc.so.6"))
    child = probe(tmp_path, "onnxruntime", modules).frameworks["onnxruntime"]
    assert child.value("describe")["cuda_build"].is_true
    assert child.value("devices").value == {"devices": [], "reason": None}
    assert child.value("compute_gpu").value is None


def test_cupy_without_a_driver_is_imported_and_no_more(tmp_path: Path):
    text = """\
from types import SimpleNamespace as Space
__version__ = "14.2.0"
def count(): raise RuntimeError("cudaErrorInsufficientDriver: too old")
nvrtc = Space(getVersion=lambda: (12, 9))
cuda = Space(runtime=Space(is_hip=False, getDeviceCount=count), nvrtc=nvrtc, cublas=Space())
"""
    child = probe(tmp_path, "cupy", {"cupy.py": text}).frameworks["cupy"]
    assert child.value("describe")["version"].text == "14.2.0"
    assert child.value("describe")["cuda"].text == "12.9"
    assert child.value("devices")["reason"].text == "cudaErrorInsufficientDriver: too old"
    assert child.value("compute_gpu").value is None
    assert "compute_cpu" not in child.stages


def test_what_a_library_names_is_loaded(tmp_path: Path):
    file = tmp_path / "library.so"
    file.write_bytes(elf("libc.so.6", "libcuda.so.1"))
    load_needed(str(file), besides=("libcuda.so",))
    file.write_bytes(elf("libc.so.6", "libcublasLt-not-here.so.12"))
    with pytest.raises(OSError, match=r"libcublasLt-not-here\.so\.12: cannot open shared object file"):
        load_needed(str(file), besides=("libcuda.so",))


def elf(*needed: str) -> bytes:
    """A library of 64 bits that names others and has nothing else."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    header, segment, count = 64, 56, 2
    dynamic_at = header + segment * count
    entries, position = [], 1
    for name in needed:
        entries.append((1, position))
        position += len(name) + 1
    strings_at = dynamic_at + 16 * (len(entries) + 2)
    base = 0x10000
    entries += [(5, base + strings_at), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    size = strings_at + len(strings)
    segments = struct.pack("<IIQQQQQQ", 1, 4, 0, base, base, size, size, 4096)
    segments += struct.pack(
        "<IIQQQQQQ", 2, 4, dynamic_at, base + dynamic_at, base + dynamic_at, len(dynamic), len(dynamic), 8
    )
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, header, 0, 0, header, segment, count, 0, 0, 0)
    return head + segments + dynamic + strings
