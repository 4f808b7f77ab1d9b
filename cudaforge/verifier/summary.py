"""The one sentence of a verdict, and whether it is good. It never says more than was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cudaforge.lockfile.model import LockedFramework
from cudaforge.verifier.evidence import NotSeen
from cudaforge.verifier.model import CheckResult, CheckState, Tier
from cudaforge.verifier.proofs import Work, proof_work
from cudaforge.verifier.sentences import static_sentence
from cudaforge.verifier.situation import GpuWish, Situation

_NAMED = 3


def is_good(situation: Situation, results: Sequence[CheckResult]) -> bool:
    """Whether nothing failed or stayed unknown, and everything that has to be proven was."""
    states = {result.id: result.state for result in results}
    if situation.depth is Tier.STATIC and states.get("static") is not CheckState.PASS:
        return False
    if any(state in {CheckState.FAIL, CheckState.UNKNOWN} for state in states.values()):
        return False
    if situation.depth is Tier.STATIC:
        return True
    needs_gpu = situation.gpu is GpuWish.REQUIRED or (situation.wants_gpu and not situation.is_cpu_twin)
    needed = {"cpu", "gpu"} if needs_gpu else {"cpu"}
    works = [(framework, proof_work(framework.proof)) for framework in situation.image.frameworks]
    return (
        bool(works)
        and states.get("probe") is CheckState.PASS
        and all(
            _is_done(framework, work, states, device)
            for framework, work in works
            for device in needed.intersection(work.devices)
        )
        # What needs a GPU cannot be proven where the image is declared to have none.
        and not (situation.is_cpu_twin and any("cpu" not in work.devices for _, work in works))
        and not (needs_gpu and any("gpu" not in work.devices for _, work in works))
    )


def summarise(situation: Situation, results: Sequence[CheckResult]) -> str:
    """What was proven, what was not, and what went wrong."""
    bad = [result for result in results if result.state in {CheckState.FAIL, CheckState.UNKNOWN}]
    if situation.depth is Tier.STATIC:
        seen = "nothing was run" if bad else f"{static_sentence(situation)}; nothing was run"
        return f"{seen}; {_troubles(bad)}" if bad else seen
    states = {result.id: result.state for result in results}
    frameworks = situation.image.frameworks
    on_gpu = bool(frameworks) and all(
        _is_done(framework, proof_work(framework.proof), states, "gpu") for framework in frameworks
    )
    seen = _seen(situation, states, on_gpu=on_gpu)
    if on_gpu:
        seen += f" ({_device(situation)})"
    else:
        is_required = situation.gpu is GpuWish.REQUIRED
        if is_required or not situation.is_cpu_twin:
            seen += "; not proven on a GPU"
            if is_required:
                # Else `--tier gpu` or `--device` asks for it: nobody finds a line that they never wrote.
                declared = situation.image.verify.gpu == GpuWish.REQUIRED.value
                seen += ', which verify.gpu = "required" asks for' if declared else ", which was asked for"
    if states.get("platforms") is CheckState.SKIPPED and situation.report is not None:
        seen += f"; not proven on {' and '.join(situation.unproven_platforms)}"
    return f"{seen}; {_troubles(bad)}" if bad else seen


def _is_done(framework: LockedFramework, work: Work, states: Mapping[str, CheckState], device: str) -> bool:
    return states.get(f"{framework.name}.{work.name}_{device}") is CheckState.PASS


def _seen(situation: Situation, states: Mapping[str, CheckState], *, on_gpu: bool) -> str:
    """What the frameworks did: in common, or each by its name."""
    frameworks = situation.image.frameworks
    names: dict[str, list[str]] = {}
    for framework in frameworks:
        if phrase := _phrase(situation, framework, states, on_gpu=on_gpu):
            names.setdefault(phrase, []).append(framework.name)
    if not names:
        done = {proof_work(framework.proof).done for framework in frameworks} or {"trained"}
        return f"nothing {' or '.join(sorted(done, reverse=True))}"
    is_all = sum(map(len, names.values())) == len(frameworks)
    if is_all and len(names) == 1:
        return next(iter(names))
    listed = ", ".join(f"{', '.join(those)} {phrase}" for phrase, those in names.items())
    return listed if is_all else f"only {listed}"


def _phrase(
    situation: Situation, framework: LockedFramework, states: Mapping[str, CheckState], *, on_gpu: bool
) -> str | None:
    """`trained on CPU and GPU`; None where it did nothing."""
    work = proof_work(framework.proof)
    devices = [
        device
        for device in work.devices
        if (device != "gpu" or on_gpu) and _is_done(framework, work, states, device)
    ]
    if devices:
        return f"{work.done} on {' and '.join(device.upper() for device in devices)}"
    if "cpu" in work.devices or situation.has_gpu:
        return None
    imported = states[f"{framework.name}.import"]
    told = {CheckState.PASS: "imported, not run", CheckState.SKIPPED: "not imported"}.get(imported)
    return told and f"{told}: it needs a GPU"


def _device(situation: Situation) -> str:
    """The name of the GPU in the framework's own words."""
    try:
        child = situation.child(situation.image.frameworks[0])
        names = [device["name"].text for device in child.value("devices")["devices"]]
    except NotSeen:
        names = []
    return names[0] or "unnamed" if names else "unnamed"


def _troubles(bad: Sequence[CheckResult]) -> str:
    failed = [result.title for result in bad if result.state is CheckState.FAIL]
    unknown = [result.title for result in bad if result.state is CheckState.UNKNOWN]
    parts = [
        f"{word}: {_some(titles)}" for word, titles in (("failed", failed), ("unknown", unknown)) if titles
    ]
    return "; ".join(parts)


def _some(titles: Sequence[str]) -> str:
    more = len(titles) - _NAMED
    return ", ".join(titles[:_NAMED]) + (f" and {more} more" if more > 0 else "")
