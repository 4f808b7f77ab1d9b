"""Checks of what a framework computes besides its training: exact numbers, mixed precision, several GPUs."""

from __future__ import annotations

from collections.abc import Callable

from cudaforge.codes import Code
from cudaforge.display import show
from cudaforge.lockfile.model import LockedFramework
from cudaforge.verifier.checks_gpu import gpu_names
from cudaforge.verifier.judging import Check, Finding, failed, passed, skipped, unknown
from cudaforge.verifier.model import CheckState, Tier
from cudaforge.verifier.outcomes import (
    BROKEN,
    REINSTALL,
    find_stage,
    judge_gradient,
    judge_losses,
    judge_outputs,
    misplaced,
)
from cudaforge.verifier.proofs import proof_work
from cudaforge.verifier.situation import Situation
from cudaforge.versions import InvalidVersion, Version

SUM_MAY_DIFFER = 1e-6
_HALF = frozenset({"bfloat16", "float16"})
_Judge = Callable[[Situation, LockedFramework], Finding]


def extra_checks(situation: Situation, framework: LockedFramework) -> tuple[Check, ...]:
    """The rows for one framework of the image, as far as its proof can do them."""
    extras = proof_work(framework.proof).extras

    def row(name: str, title: str, judge: _Judge, need: str, tier: Tier = Tier.GPU) -> Check:
        return Check(
            id=f"{framework.name}.{name}",
            title=f"{framework.name}: {title}",
            tier=tier,
            judge=lambda seen: judge(seen, framework),
            needs=(f"{framework.name}.{need}",),
        )

    table = (
        row("gradient_cpu", "right numbers on the CPU", _judge_cpu_gradient, "import", Tier.CPU),
        row("gradient_gpu", "right numbers on a GPU", _judge_gpu_gradient, "devices"),
        row("mixed_gpu", "mixed precision", _judge_mixed, "devices"),
        row("compiled_gpu", "compiles for a GPU", _judge_compiled, "devices"),
        row("reduce_gpu", "several GPUs", _judge_reduce, "devices"),
        row("memory_gpu", "GPU memory", _judge_memory, "devices"),
    )
    rows = [check for check in table if check.id.partition(".")[2] in extras]
    if situation.is_cpu_twin:
        return tuple(check for check in rows if check.tier is not Tier.GPU)
    if situation.image.cudnn is not None:
        rows.insert(0, row("cudnn", "cuDNN loaded against compiled", _judge_cudnn, "import", Tier.CPU))
    return tuple(rows)


def _judge_cudnn(situation: Situation, framework: LockedFramework) -> Finding:
    described = situation.child(framework).value("describe")
    compiled = described["cudnn_compiled"].text or described["built_for"]["cuDNN"].text
    loaded = described["cudnn"].text or situation.seen.libraries.value("versions")["cudnn"]["version"].text
    if not compiled or not loaded:
        missing = "which cuDNN it was made with" if not compiled else "which cuDNN is loaded"
        return skipped(f"nothing says {missing}")
    try:
        made, found = Version(compiled).release, Version(loaded).release
    except InvalidVersion:
        return unknown(f"made with cuDNN {show(compiled)}, loaded {show(loaded)}")
    shown = f"made with {compiled}, loaded {loaded}"
    remedy = "look for cuDNN in LD_LIBRARY_PATH and for packages that `run` steps moved; build again"
    if made[0] != found[0]:
        return failed(shown, remedy, code=Code.CUDNN_MAJOR_MISMATCH)
    # A cuDNN serves what was made with an older one of its major, and no newer one.
    if found[: len(made)][:2] < made[:2]:
        return failed(shown, remedy, code=Code.CUDNN_TOO_OLD)
    return passed(shown)


def _judge_cpu_gradient(situation: Situation, framework: LockedFramework) -> Finding:
    return _judge_gradient(situation, framework, "cpu")


def _judge_gpu_gradient(situation: Situation, framework: LockedFramework) -> Finding:
    return _judge_gradient(situation, framework, "gpu")


def _judge_gradient(situation: Situation, framework: LockedFramework, device: str) -> Finding:
    seen = find_stage(situation, framework, f"gradient_{device}")
    if isinstance(seen, Finding):
        return seen
    return misplaced(seen, device) or judge_gradient(seen, situation.challenge)


def _judge_mixed(situation: Situation, framework: LockedFramework) -> Finding:
    seen = find_stage(situation, framework, "mixed_gpu")
    if isinstance(seen, Finding):
        return seen
    numbers = seen["numbers"].text or "nothing said"
    if numbers not in _HALF:
        return failed(f"it computed in {numbers}, not in 16 bits", REINSTALL, code=BROKEN)
    finding = misplaced(seen, "gpu") or judge_losses(seen, situation.image.verify.steps)
    return passed(f"{numbers}: {finding.detail}") if finding.state is CheckState.PASS else finding


def _judge_compiled(situation: Situation, framework: LockedFramework) -> Finding:
    if situation.image.flavor != "devel":
        return skipped(f"flavor {situation.image.flavor} promises no compiler")
    seen = find_stage(situation, framework, "compiled_gpu")
    if isinstance(seen, Finding):
        return seen
    return misplaced(seen, "gpu") or judge_outputs(seen, situation.challenge)


def _judge_reduce(situation: Situation, framework: LockedFramework) -> Finding:
    count = len(gpu_names(situation))
    if count < 2:  # noqa: PLR2004 -- several
        return skipped("the container has one GPU")
    seen = find_stage(situation, framework, "reduce_gpu")
    if isinstance(seen, Finding):
        return seen
    sums = [number.number for number in seen["sums"]]
    expected = count * (count + 1) / 2
    if len(sums) != count:
        return failed(f"{count} GPUs are there, {len(sums)} took part", REINSTALL, code=BROKEN)
    if any(found is None or abs(found - expected) > SUM_MAY_DIFFER * expected for found in sums):
        return failed(
            f"the GPUs added up {', '.join(map(str, sums))}, not {expected:g} ({seen['api'].text})",
            "run with NCCL_DEBUG=INFO; NCCL_P2P_DISABLE=1 tells whether the GPUs reach one another",
            code=BROKEN,
        )
    return misplaced(seen, "gpu") or passed(f"{count} GPUs added up {expected:g} ({seen['api'].text})")


def _judge_memory(situation: Situation, framework: LockedFramework) -> Finding:
    seen = find_stage(situation, framework, "memory_gpu")
    if isinstance(seen, Finding):
        return seen
    taken, limit = seen["taken"].number, situation.image.verify.memory_limit
    rule = seen["rule"].text or "nothing"
    if not seen["is_held"].is_true:
        return failed(f"{rule} is not in force", "look for code that sets it otherwise", code=BROKEN)
    if taken is None:
        return skipped(f"{framework.name} does not say how much it took; {rule} is in force")
    shown = f"{taken / 2**20:.0f} MiB taken at most, {rule}"
    if limit is not None and taken > limit:
        return failed(
            f"{shown}; verify.memory_limit is {limit / 2**20:.0f} MiB",
            "raise verify.memory_limit",
            code=Code.OUT_OF_MEMORY,
        )
    return passed(shown)
