"""Reports of the probe: a real one (torch 2.8.0+cu128 on a machine without a GPU), and changed copies."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cudaforge.engine import GpuMethod, GpuOffer, GpuRequest
from cudaforge.lockfile.model import LockedFramework, LockedImage, LockedWheel
from cudaforge.records import replace
from cudaforge.renderer.model import ENTRY_LABEL
from cudaforge.verifier.checks import judge
from cudaforge.verifier.evidence import SCHEMA, TAG, Report, parse_output
from cudaforge.verifier.model import CheckResult
from cudaforge.verifier.reference import find_reference
from cudaforge.verifier.situation import GpuWish, Situation
from tests.support.locks import GPU_IMAGE

NO_GPU = GpuOffer(request=None)
ONE_GPU = GpuOffer(request=GpuRequest(method=GpuMethod.CDI, devices=("nvidia.com/gpu=all",)))
DEVICE = {"name": "NVIDIA H100", "capability": "9.0", "memory": 85899345920}
NVML_DEVICE = {
    "error": None,
    "name": "NVIDIA H100",
    "uuid": "GPU-11111111-2222-3333-4444-555555555555",
    "memory": 85899345920,
    "memory_used": 0,
    "mig": False,
}
RECORDED = json.loads((Path(__file__).parent / "torch-2.8.0-cu128.json").read_text())
RECORDED_FILES = json.loads((Path(__file__).parent / "torch-2.8.0-cu128-files.json").read_text())
"""What the files of an image with torch 2.8.0+cu128 of the package index say."""
LOSSES = [
    2.3,
    2.1,
    1.9,
    1.7,
    1.5,
    1.3,
    1.1,
    0.9,
    0.8,
    0.7,
    0.6,
    0.5,
    0.4,
    0.3,
    0.3,
    0.2,
    0.2,
    0.1,
    0.1,
    0.1,
    0.1,
]

TORCH = replace(
    GPU_IMAGE,
    companions={},
    closure=replace(
        GPU_IMAGE.closure,
        wheels=tuple(
            LockedWheel(
                package=package,
                version=version,
                filename="w.whl",
                index="default",
                sha256="4" * 64,
                size=None,
            )
            for package, version in (
                ("torch", "2.8.0"),
                ("nvidia-cudnn-cu12", "9.10.2.21"),
                ("Jinja2", "3.1.6"),
            )
        ),
    ),
)
"""What the recorded image would have been locked as."""
TWIN = replace(
    TORCH,
    cuda=None,
    cudnn=None,
    nccl=None,
    cuda_provider="none",
    driver_floor=None,
    architectures=(),
    ptx=(),
    frameworks=(
        LockedFramework(
            name="pytorch",
            version="2.13.0",
            build="cpu",
            reported="2.13.0+cpu",
            proof="pytorch",
            template="pytorch",
        ),
    ),
    closure=replace(TORCH.closure, wheels=()),
)

_REFERENCE = find_reference()
GRADIENT = {
    "outputs": list(_REFERENCE.outputs),
    "loss": _REFERENCE.loss,
    "gradients": {name: list(numbers) for name, numbers in _REFERENCE.gradients.items()},
    "api": "torch.autograd",
}
_RECORDED_BEFORE = {
    # The recording is older than these stages: what it would have had.
    "system": {"nvml": {"error": "libnvidia-ml.so.1: cannot open shared object file"}, "compiler": None},
    "pytorch": {"gradient_cpu": {**GRADIENT, "placed": ["cpu"]}},
}

Change = Callable[[dict], None]


def as_line(facts: Mapping[str, object], nonce: str = "n") -> str:
    return f"{TAG} {nonce} {json.dumps(facts)}\n"


def recorded(*changes: Change) -> Report:
    facts = copy.deepcopy(RECORDED)
    facts["schema"] = SCHEMA
    for change in changes:
        change(facts)
    return parse_output(as_line(facts), "n")


def complete(facts: dict) -> None:
    """Add the stages that came after the recording."""
    for child, stages in _RECORDED_BEFORE.items():
        owner = facts[child] if child == "system" else facts["frameworks"][child]
        names = {entry["name"] for entry in owner["stages"]}
        before = next(
            (at for at, entry in enumerate(owner["stages"]) if entry["name"].startswith("train")),
            len(owner["stages"]),
        )
        owner["stages"][before:before] = [
            {"name": name, "state": "done", "seconds": 0.1, "value": copy.deepcopy(told)}
            for name, told in stages.items()
            if name not in names
        ]
    stage(facts, "system", "system")["value"].setdefault("shared_memory", 2**30)
    stage(facts, "pytorch", "describe")["value"].setdefault("cudnn_compiled", "9.10.2")


def recorded_files(image: LockedImage, *changes: Change) -> Report:
    """What files say of an image that is as it was locked, changed."""
    facts = copy.deepcopy(RECORDED_FILES)
    facts["schema"] = SCHEMA
    stages = facts["files"]["stages"]
    names = ("libraries", "code")
    own = {name: next(one for one in stages if one["name"] == f"{name}.pytorch") for name in names}
    facts["files"]["stages"] = [one for one in stages if one not in own.values()]
    installed = next(one for one in facts["system"]["stages"] if one["name"] == "distributions")["value"]
    if not any(framework.proof == "pytorch" for framework in image.frameworks):
        del installed["torch"]
    for framework in image.frameworks:
        package = {"pytorch": "torch"}.get(framework.proof, framework.proof)
        installed[package] = framework.reported
        for name, one in own.items():
            clone = copy.deepcopy({**one, "name": f"{name}.{framework.proof}"})
            if image.cuda is None:
                cpu = {"taken": [], "wanted": {}, "parts": []} if name == "libraries" else {"windows": []}
                clone["value"].update(cpu)
            facts["files"]["stages"].append(clone)
    texts = next(one for one in stages if one["name"] == "texts")["value"]
    if image.cuda is None and image.frameworks:
        texts["torch/version.py"] = f"__version__ = {image.frameworks[0].reported!r}\ncuda = None\n"
    for change in changes:
        change(facts)
    return parse_output(as_line(facts), "n")


def situation(
    *changes: Change,
    image: LockedImage = TORCH,
    files: Sequence[Change] = (),
    gpu: str = "auto",
    offer: GpuOffer = NO_GPU,
    labels: Mapping[str, str] | None = None,
    refusal: str | None = None,
) -> Situation:
    return Situation(
        image=image,
        labels={ENTRY_LABEL: image.digest} if labels is None else dict(labels),
        gpu=GpuWish(gpu),
        offer=offer,
        refusal=refusal,
        report=recorded(*changes),
        inspection=recorded_files(image, *files),
    )


def stage(facts: dict, child: str, name: str) -> dict:
    """One stage of the recorded report: `system`, `libraries`, `files`, or a framework's."""
    owner = facts[child] if child in ("system", "libraries", "files") else facts["frameworks"][child]
    return next(entry for entry in owner["stages"] if entry["name"] == name)


def value(child: str, name: str, /, **entries: object) -> Change:
    """Give a stage these entries."""

    def change(facts: dict) -> None:
        found = stage(facts, child, name)
        found["state"] = "done"
        found["value"] = {**(found.get("value") or {}), **entries}

    return change


def raised(child: str, name: str, kind: str, text: str) -> Change:
    """Let a stage have raised, and none come after it."""

    def change(facts: dict) -> None:
        owner = facts[child] if child in ("system", "libraries") else facts["frameworks"][child]
        index = owner["stages"].index(stage(facts, child, name))
        owner["stages"][index:] = [
            {
                "name": name,
                "state": "raised",
                "error": {"type": kind, "text": text, "where": ""},
                "seconds": 1,
            }
        ]

    return change


def lost(child: str, name: str, **end: object) -> Change:
    """Let the process have ended in the middle of a stage."""

    def change(facts: dict) -> None:
        owner = facts[child] if child in ("system", "libraries") else facts["frameworks"][child]
        index = owner["stages"].index(stage(facts, child, name))
        owner["stages"][index:] = [{"name": name, "state": "lost"}]
        owner.update(end)

    return change


def with_gpu(facts: dict) -> None:
    """What a machine with one H100 would have reported."""
    value("system", "nodes", nodes=["/dev/nvidia0", "/dev/nvidiactl"], denied=[])(facts)
    driver = {"path": "/usr/lib/libcuda.so.1", "error": None, "version": "570.124.06"}
    value("system", "driver", **driver)(facts)
    value("system", "cuda", code=0, name="CUDA_SUCCESS", version="12.8", count=1, devices=[DEVICE])(facts)
    value("pytorch", "devices", devices=[DEVICE], reason=None)(facts)
    nvml = {"error": None, "code": 0, "name": "Success", "driver": "570.124.06", "devices": [NVML_DEVICE]}
    value("system", "nvml", **nvml)(facts)
    trained = {"losses": LOSSES, "placed": ["cuda:0"], "api": "torch.nn"}
    value("pytorch", "train_gpu", **trained)(facts)
    for name, told in {
        "gradient_gpu": {**GRADIENT, "placed": ["cuda:0"]},
        "mixed_gpu": {**trained, "numbers": "bfloat16"},
        "compiled_gpu": None,
        "reduce_gpu": None,
        "memory_gpu": {"taken": 2**27, "total": 2**36, "is_held": True, "rule": "a fraction"},
    }.items():
        add_stage(facts, "pytorch", name, told)


def add_stage(facts: dict, child: str, name: str, told: object) -> None:
    """Let a framework have come to one more stage."""
    entry = {"name": name, "state": "done", "seconds": 0.1, "value": copy.deepcopy(told)}
    facts["frameworks"][child]["stages"].append(entry)


def as_cpu_build(facts: dict) -> None:
    """What torch 2.13.0+cpu would have reported."""
    described = {"version": "2.13.0+cpu", "cuda_build": False, "cuda": None, "cudnn": None, "nccl": None}
    value("pytorch", "describe", **described)(facts)


def results(seen: Situation) -> dict[str, CheckResult]:
    return {result.id: result for result in judge(seen)}


complete(RECORDED)
