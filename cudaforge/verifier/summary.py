"""The one sentence of a verdict, and whether it is good. It never says more than was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cudaforge.verifier.evidence import NotSeen
from cudaforge.verifier.model import CheckResult, CheckState
from cudaforge.verifier.situation import GpuWish, Situation

_NAMED = 3


def is_good(situation: Situation, results: Sequence[CheckResult]) -> bool:
    """Whether nothing failed or stayed unknown, and everything that has to be proven was."""
    states = {result.id: result.state for result in results}
    if any(state in {CheckState.FAIL, CheckState.UNKNOWN} for state in states.values()):
        return False
    needs_gpu = situation.gpu is GpuWish.REQUIRED or (situation.wants_gpu and not situation.is_cpu_twin)
    return (
        bool(situation.image.frameworks)
        and states.get("probe") is CheckState.PASS
        and _all_trained(situation, states, "cpu")
        and (not needs_gpu or _all_trained(situation, states, "gpu"))
    )


def summarise(situation: Situation, results: Sequence[CheckResult]) -> str:
    """What was proven, what was not, and what went wrong."""
    states = {result.id: result.state for result in results}
    on_cpu, on_gpu = _all_trained(situation, states, "cpu"), _all_trained(situation, states, "gpu")
    if on_gpu:
        seen = f"trained on {'CPU and ' if on_cpu else ''}GPU ({_device(situation)})"
    else:
        seen = "trained on CPU" if on_cpu else _partly(situation, states)
        is_required = situation.gpu is GpuWish.REQUIRED
        if is_required or not situation.is_cpu_twin:
            seen += "; not proven on a GPU"
            if is_required:
                seen += ', which verify.gpu = "required" asks for'
    bad = [result for result in results if result.state in {CheckState.FAIL, CheckState.UNKNOWN}]
    return f"{seen}; {_troubles(bad)}" if bad else seen


def _all_trained(situation: Situation, states: Mapping[str, CheckState], device: str) -> bool:
    frameworks = situation.image.frameworks
    return bool(frameworks) and all(
        states.get(f"{framework.name}.train_{device}") is CheckState.PASS for framework in frameworks
    )


def _partly(situation: Situation, states: Mapping[str, CheckState]) -> str:
    names = [
        framework.name
        for framework in situation.image.frameworks
        if states.get(f"{framework.name}.train_cpu") is CheckState.PASS
    ]
    return f"only {', '.join(names)} trained on CPU" if names else "nothing trained"


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
