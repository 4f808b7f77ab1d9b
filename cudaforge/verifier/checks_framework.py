"""Checks of one framework: is it the declared build, does it see the GPU, does it train, or compute?"""

from __future__ import annotations

import re
from collections.abc import Callable

from cudaforge.codes import Code
from cudaforge.lockfile.model import LockedFramework
from cudaforge.records import replace
from cudaforge.verifier.causes import Cause, explain_text, short
from cudaforge.verifier.checks_extras import extra_checks
from cudaforge.verifier.checks_gpu import gpu_names
from cudaforge.verifier.checks_image import REBUILD
from cudaforge.verifier.evidence import Fact, NotSeen
from cudaforge.verifier.judging import Check, Finding, compare, failed, failed_by, passed, skipped
from cudaforge.verifier.model import CheckState, Tier
from cudaforge.verifier.outcomes import find_stage, judge_losses, judge_outputs, misplaced
from cudaforge.verifier.proofs import proof_work
from cudaforge.verifier.situation import Situation
from cudaforge.versions import InvalidVersion, Version

SWAPPED = Code.BASE_FRAMEWORK_OVERWRITTEN
_DRIVER_LIBRARY = "libcuda.so.1"
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_TELLING = 300


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
    return (*rows, *extra_checks(situation, framework))


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
        return failed(f"declared {framework.version}, found {actual!r}", REBUILD, code=SWAPPED)
    finding = compare(framework.version, public, remedy=REBUILD)
    return replace(finding, code=SWAPPED) if finding.state is CheckState.FAIL else finding


def _judge_build(situation: Situation, framework: LockedFramework) -> Finding:
    described = situation.child(framework).value("describe")
    actual = described["version"].text
    is_cuda = described["cuda_build"].is_true
    kind = "CUDA build" if is_cuda else "CPU build"
    if situation.is_cpu_twin == is_cuda or actual != framework.reported:
        declared = "CPU build" if situation.is_cpu_twin else "CUDA build"
        text = f"declared {framework.reported}, {declared}; found {actual}, {kind}"
        if situation.is_cpu_twin == is_cuda:
            return failed(
                text, REBUILD, code=Code.CUDA_WHEEL_ON_CPU_IMAGE if is_cuda else Code.CPU_ONLY_BUILD
            )
        return failed(text, REBUILD, code=SWAPPED)
    if unloadable := _explain_unloadable(described):
        return failed_by(replace(unloadable, text=f"{kind} {actual}, but {unloadable.text}"))
    built_for = ", ".join(f"{name} {version}" for name, version in described["built_for"].texts.items())
    return passed(f"{actual}, {kind}" + (f", made for {built_for}" if built_for else ""))


def _judge_devices(situation: Situation, framework: LockedFramework) -> Finding:
    child = situation.child(framework)
    found = child.value("devices")
    names = [f"{device['name'].text} ({device['capability'].text})" for device in found["devices"]]
    if names:
        return passed(", ".join(names))
    if not child.value("describe")["cuda_build"].is_true:
        text = f"it lists no GPU: {framework.name} is a build for the CPU alone"
        return failed(text, REBUILD, code=Code.CPU_ONLY_BUILD)
    reason = _telling_line(child.output) or found["reason"].text or "it gives no reason"
    cause = _explain_unloadable(child.value("describe")) or explain_text(reason)
    try:
        on_host = gpu_names(situation)
    except NotSeen:
        on_host = ()
    if not on_host:
        return failed(f"it lists no GPU: {reason}", "the checks of the driver above say why", code=cause.code)
    fallback = "its install or its CUDA libraries do not fit this driver or GPU: build it again from its lock"
    return failed(
        f"the CUDA driver lists {', '.join(on_host)}, {framework.name} lists none: {reason}",
        cause.remedy or fallback,
        code=cause.code,
    )


def _explain_unloadable(described: Fact) -> Cause | None:
    """What became of CUDA's libraries that the framework could not load, if any."""
    errors = described["unloadable"].texts
    if not errors:
        return None
    said = short(next(iter(errors.values())))
    return Cause(
        text=f"it cannot load {', '.join(sorted(errors))} and falls back to the CPU without an error: {said}",
        remedy=REBUILD,
        code=Code.CUDNN_MISSING if set(errors) == {"cuDNN"} else Code.CUDA_MISSING,
    )


def _telling_line(output: str) -> str | None:
    """The line in which TensorFlow, JAX and ONNX Runtime say why they do without the GPU."""
    # Those that name a library tell more than those that find no driver.
    words = (
        "unable to load",
        "jax plugin configuration error",
        "could not load dynamic library",
        "cannot dlopen",
        "failed to load library",
        "cuinit",
        "could not find cuda",
        "failed to create cudaexecutionprovider",
        "will not be used",
    )
    lines = _COLOUR.sub("", output).splitlines()
    for word in words:
        for line in lines:
            if word in line.lower():
                # Places in the source stand first, the reason last.
                return line.strip()[-_TELLING:]
    return None


def _judge_cpu_work(situation: Situation, framework: LockedFramework) -> Finding:
    return _judge_work(situation, framework, device="cpu")


def _judge_gpu_work(situation: Situation, framework: LockedFramework) -> Finding:
    return _judge_work(situation, framework, device="gpu")


def _judge_work(situation: Situation, framework: LockedFramework, *, device: str) -> Finding:
    work = proof_work(framework.proof)
    seen = find_stage(situation, framework, f"{work.name}_{device}")
    if isinstance(seen, Finding):
        return seen
    if misplacing := misplaced(seen, device):
        return misplacing
    if work.name == "compute":
        return judge_outputs(seen, situation.challenge)
    return judge_losses(seen, situation.image.verify.steps)
