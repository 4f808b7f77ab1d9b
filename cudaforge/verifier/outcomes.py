"""Judging what a framework computed: where, how far, and whether it is right."""

from __future__ import annotations

from cudaforge.codes import Code
from cudaforge.lockfile.model import LockedFramework
from cudaforge.verifier.evidence import SEED, Fact, NotSeen
from cudaforge.verifier.judging import Finding, failed, failed_by, passed, unknown
from cudaforge.verifier.reference import find_reference
from cudaforge.verifier.situation import Situation

MUST_FALL_TO = 0.98
"""Of the first losses' average: two steps of this model on this data already reach 0.93."""
MAY_DIFFER = 0.005
"""Of a probability: GPUs multiply with 10 bits of fraction (TF32) where nobody forbids it."""
GRADIENT_MAY_DIFFER = 1e-3
"""Of the largest element: 32 bits differ by 1e-6 at most on every CPU seen, TF32 by 1e-3 and more."""
BROKEN = Code.FRAMEWORK_BROKEN
REINSTALL = "build it again from its lock: cudaforge build --no-cache; if it fails again, lock another build"


def is_on(place: str, device: str) -> bool:
    """Whether a framework's name of a place (`cuda:0`, `GPU:0`, `cpu`) is one of a GPU, or of a CPU."""
    kinds = ("cuda", "gpu", "rocm") if device == "gpu" else ("cpu",)
    return place.lower().split(":")[0] in kinds


def misplaced(seen: Fact, device: str) -> Finding | None:
    """The failure of values that were elsewhere than asked for, or None."""
    places = [place.text or "" for place in seen["placed"]]
    if places and all(is_on(place, device) for place in places):
        return None
    return failed(
        f"asked for the {device}, but its values were on {', '.join(places) or 'no device'}",
        REINSTALL,
        code=BROKEN,
    )


def find_stage(situation: Situation, framework: LockedFramework, stage: str) -> Fact | Finding:
    """What a stage found, or how its check ends without."""
    child = situation.child(framework)
    try:
        seen = child.value(stage)
    except NotSeen:
        return failed_by(situation.why(child, stage))
    return seen if seen.value is not None else unknown("it was not tried")


def judge_losses(trained: Fact, steps: int) -> Finding:
    """Whether the losses of a training are all there, finite and falling."""
    losses = [loss.number for loss in trained["losses"]]
    numbers = [loss for loss in losses if loss is not None]
    if len(losses) != steps + 1:
        made = max(0, len(losses) - 1)
        return failed(f"{steps} steps were asked for, {made} were made", code=BROKEN)
    if len(numbers) != len(losses):
        return failed("the loss is not finite", REINSTALL, code=BROKEN)
    part = max(1, len(numbers) // 4)
    first, last = sum(numbers[:part]) / part, sum(numbers[-part:]) / part
    shown = f"loss {numbers[0]:.3f} to {numbers[-1]:.3f} in {steps} steps ({trained['api'].text})"
    if last > MUST_FALL_TO * first:
        return failed(f"the loss does not fall: {shown}", REINSTALL, code=BROKEN)
    return passed(shown)


def judge_outputs(computed: Fact, challenge: int = SEED) -> Finding:
    """Whether what a framework computed is what the network answers, as Python computes it here."""
    expected = find_reference(challenge).outputs
    outputs = [output.number for output in computed["outputs"]]
    numbers = [output for output in outputs if output is not None]
    if len(outputs) != len(expected):
        return failed(f"{len(expected)} numbers were asked for, {len(outputs)} were computed", code=BROKEN)
    if len(numbers) != len(outputs):
        return failed("what it computed is not finite", REINSTALL, code=BROKEN)
    difference = max(abs(one - other) for one, other in zip(numbers, expected, strict=True))
    shown = f"{len(numbers)} outputs within {difference:.1g} of the reference ({computed['api'].text})"
    if difference <= MAY_DIFFER:
        return passed(shown)
    return failed(f"it computes wrongly: {shown}", REINSTALL, code=BROKEN)


def judge_gradient(seen: Fact, challenge: int = SEED) -> Finding:
    """Whether outputs and gradients are those of the reference, computed here."""
    reference = find_reference(challenge)
    wanted = {"outputs": (seen["outputs"], reference.outputs)}
    wanted |= {name: (seen["gradients"][name], numbers) for name, numbers in reference.gradients.items()}
    worst = 0.0
    for name, (told, numbers) in wanted.items():
        found = [number.number for number in told]
        known = [number for number in found if number is not None]
        if len(found) != len(numbers):
            return failed(
                f"{name}: {len(numbers)} numbers were asked for, {len(found)} computed", code=BROKEN
            )
        if len(known) != len(found):
            return failed(f"{name}: what it computed is not finite", REINSTALL, code=BROKEN)
        largest = max(map(abs, numbers))
        difference = max(abs(one - other) for one, other in zip(known, numbers, strict=True)) / largest
        if difference > GRADIENT_MAY_DIFFER:
            return failed(
                f"it computes wrongly: {name} differs from the reference by {difference:.2g} of its largest "
                f"element ({seen['api'].text})",
                REINSTALL,
                code=BROKEN,
            )
        worst = max(worst, difference)
    return passed(
        f"convolution, product and their gradients within {worst:.1g} of the reference ({seen['api'].text})"
    )
