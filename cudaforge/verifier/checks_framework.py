"""Checks of one framework: is it the declared build, does it see the GPU, does it train, or compute?"""

from __future__ import annotations

import re
from collections.abc import Callable

from cudaforge.lockfile.model import LockedFramework
from cudaforge.verifier.checks_gpu import gpu_names
from cudaforge.verifier.checks_image import REBUILD
from cudaforge.verifier.evidence import SEED, Fact, NotSeen
from cudaforge.verifier.judging import Check, Finding, compare, failed, failed_by, passed, skipped, unknown
from cudaforge.verifier.model import Tier
from cudaforge.verifier.probes import forward
from cudaforge.verifier.proofs import proof_work
from cudaforge.verifier.situation import Situation
from cudaforge.versions import InvalidVersion, Version

MUST_FALL_TO = 0.98
"""Of the first losses' average: two steps of this model on this data already reach 0.93."""
_DRIVER_LIBRARY = "libcuda.so.1"
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_TELLING = 300
MAY_DIFFER = 0.005
"""Of a probability: GPUs multiply with 10 bits of fraction (TF32) where nobody forbids it."""


def framework_checks(situation: Situation, framework: LockedFramework) -> tuple[Check, ...]:
    """The rows for one framework of the image."""

    def row(
        name: str,
        title: str,
        judge: Callable[[Situation, LockedFramework], Finding],
        *needs: str,
        tier: Tier = Tier.CPU,
    ) -> Check:
        return Check(
            id=f"{framework.name}.{name}",
            title=f"{framework.name}: {title}",
            tier=tier,
            judge=lambda seen: judge(seen, framework),
            needs=needs or (f"{framework.name}.import",),
        )

    work = proof_work(framework.proof)
    rows = [
        row("import", "imports", _judge_import, "probe"),
        row("version", "version", _judge_version),
        row("build", "build", _judge_build),
    ]
    if "cpu" in work.devices:
        rows.append(row(f"{work.name}_cpu", f"{work.does} on the CPU", _judge_cpu_work))
    if not situation.is_cpu_twin:
        loads, listed = f"{framework.name}.import", f"{framework.name}.devices"
        rows.append(row("devices", "lists the GPUs", _judge_devices, "gpu.request", loads, tier=Tier.GPU))
        if "gpu" in work.devices:
            rows.append(
                row(f"{work.name}_gpu", f"{work.does} on a GPU", _judge_gpu_work, listed, tier=Tier.GPU)
            )
    return tuple(rows)


def _judge_import(situation: Situation, framework: LockedFramework) -> Finding:
    child = situation.child(framework)
    try:
        child.value("load")
    except NotSeen as reason:
        if _DRIVER_LIBRARY in str(reason) and not situation.has_gpu and not situation.is_cpu_twin:
            return skipped(f"it loads the driver's {_DRIVER_LIBRARY}, which is only where a GPU is")
        return failed_by(situation.why(child, "load"))
    return passed(f"in {child.stages['load'].seconds:.1f} s")


def _judge_version(situation: Situation, framework: LockedFramework) -> Finding:
    actual = situation.child(framework).value("describe")["version"].text
    try:
        public = None if actual is None else Version(actual).public().text
    except InvalidVersion:
        return failed(f"declared {framework.version}, found {actual!r}", REBUILD)
    return compare(framework.version, public, remedy=REBUILD)


def _judge_build(situation: Situation, framework: LockedFramework) -> Finding:
    described = situation.child(framework).value("describe")
    actual = described["version"].text
    is_cuda = described["cuda_build"].is_true
    kind = "CUDA build" if is_cuda else "CPU build"
    if situation.is_cpu_twin == is_cuda or actual != framework.reported:
        declared = "CPU build" if situation.is_cpu_twin else "CUDA build"
        return failed(f"declared {framework.reported}, {declared}; found {actual}, {kind}", REBUILD)
    built_for = ", ".join(f"{name} {version}" for name, version in described["built_for"].texts.items())
    return passed(f"{actual}, {kind}" + (f", made for {built_for}" if built_for else ""))


def _judge_devices(situation: Situation, framework: LockedFramework) -> Finding:
    child = situation.child(framework)
    found = child.value("devices")
    names = [f"{device['name'].text} ({device['capability'].text})" for device in found["devices"]]
    if names:
        return passed(", ".join(names))
    reason = _telling_line(child.output) or found["reason"].text or "it gives no reason"
    try:
        on_host = gpu_names(situation)
    except NotSeen:
        on_host = ()
    if on_host:
        return failed(
            f"the CUDA driver lists {', '.join(on_host)}, {framework.name} lists none: {reason}",
            "the framework's install or its CUDA libraries do not fit this driver or GPU: cudaforge doctor",
        )
    return failed(f"it lists no GPU: {reason}", "the checks of the driver above say why")


def _telling_line(output: str) -> str | None:
    """The line in which TensorFlow, JAX and ONNX Runtime say why they do without the GPU."""
    words = (
        "could not load dynamic library",
        "cannot dlopen",
        "could not find cuda",
        "cuinit",
        "failed to load library",
        "failed to create cudaexecutionprovider",
    )
    for line in _COLOUR.sub("", output).splitlines():
        if any(word in line.lower() for word in words):
            # Places in the source stand first, the reason last.
            return line.strip()[-_TELLING:]
    return None


def _judge_cpu_work(situation: Situation, framework: LockedFramework) -> Finding:
    return _judge_work(situation, framework, device="cpu")


def _judge_gpu_work(situation: Situation, framework: LockedFramework) -> Finding:
    return _judge_work(situation, framework, device="gpu")


def _judge_work(situation: Situation, framework: LockedFramework, *, device: str) -> Finding:
    child, work = situation.child(framework), proof_work(framework.proof)
    stage = f"{work.name}_{device}"
    try:
        seen = child.value(stage)
    except NotSeen:
        return failed_by(situation.why(child, stage))
    if seen.value is None:
        return skipped("the framework lists no GPU") if device == "gpu" else unknown("it was not tried")
    places = [place.text or "" for place in seen["placed"]]
    if not places or not all(_is_on(place, device) for place in places):
        return failed(f"asked for the {device}, but its values were on {', '.join(places) or 'no device'}")
    if work.name == "compute":
        return judge_outputs(seen)
    return judge_losses(seen, situation.image.verify.steps)


def _is_on(place: str, device: str) -> bool:
    kinds = ("cuda", "gpu", "rocm") if device == "gpu" else ("cpu",)
    return place.lower().split(":")[0] in kinds


def judge_losses(trained: Fact, steps: int) -> Finding:
    """Whether the losses of a training are all there, finite and falling."""
    losses = [loss.number for loss in trained["losses"]]
    numbers = [loss for loss in losses if loss is not None]
    if len(losses) != steps + 1:
        return failed(f"{steps} steps were asked for, {max(0, len(losses) - 1)} were made")
    if len(numbers) != len(losses):
        return failed("the loss is not finite")
    part = max(1, len(numbers) // 4)
    first, last = sum(numbers[:part]) / part, sum(numbers[-part:]) / part
    shown = f"loss {numbers[0]:.3f} to {numbers[-1]:.3f} in {steps} steps ({trained['api'].text})"
    if last > MUST_FALL_TO * first:
        return failed(f"the loss does not fall: {shown}")
    return passed(shown)


def judge_outputs(computed: Fact) -> Finding:
    """Whether what a framework computed is what the network answers, as Python computes it here."""
    expected = forward.answer(forward.make_network(SEED))
    outputs = [output.number for output in computed["outputs"]]
    numbers = [output for output in outputs if output is not None]
    if len(outputs) != len(expected):
        return failed(f"{len(expected)} numbers were asked for, {len(outputs)} were computed")
    if len(numbers) != len(outputs):
        return failed("what it computed is not finite")
    difference = max(abs(one - other) for one, other in zip(numbers, expected, strict=True))
    shown = f"{len(numbers)} outputs within {difference:.1g} of the reference ({computed['api'].text})"
    return passed(shown) if difference <= MAY_DIFFER else failed(f"it computes wrongly: {shown}")
