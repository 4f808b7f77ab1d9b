"""Findings about what conda installs."""

from __future__ import annotations

from cudaforge.audit.conda_choice import CondaOutcome, CondaWhy
from cudaforge.audit.rules_python import is_open_ended
from cudaforge.audit.scene import Scene, title, where
from cudaforge.codes import Code


def check(scene: Scene) -> None:
    """All of them."""
    for outcome in scene.outcome.conda:
        match outcome.choice.why:
            case CondaWhy.CHANNEL_ENDED:
                _ended(scene, outcome)
            case CondaWhy.NO_SUCH_CUDA:
                _no_such_cuda(scene, outcome)
            case CondaWhy.NEEDS_DRIVER:
                _needs_driver(scene, outcome)
            case CondaWhy.WITHOUT_DRIVER:
                _without_driver(scene, outcome)
            case CondaWhy.CHOSEN:
                _cpu(scene, outcome)
            case CondaWhy.UNKNOWN:
                _say(scene, outcome)
        if outcome.choice.version is None:
            _unpinned(scene, outcome)
    _both(scene)


def _say(scene: Scene, outcome: CondaOutcome) -> None:
    line, file = where(outcome.install, scene)
    of = f" of {file}" if file is not None else ""
    scene.unknown(line, f"{outcome.install.text}{of} from conda: {outcome.choice.says}")


def _unpinned(scene: Scene, outcome: CondaOutcome) -> None:
    install = outcome.install
    if not is_open_ended(install) or outcome.choice.why not in (CondaWhy.UNKNOWN, CondaWhy.WITHOUT_DRIVER):
        return
    line, file = where(install, scene)
    scene.warn(
        Code.UNPINNED_FRAMEWORK,
        line,
        f"{install.text} is whatever release its channel has on the day of the build",
        "conda's specification of packages: a name alone allows every version",
        file=file,
        advice=f"name the release: {install.text.partition('[')[0].strip('<>= ')}=...",
    )


def _ended(scene: Scene, outcome: CondaOutcome) -> None:
    install, request = outcome.install, outcome.install.conda
    line, file = where(install, scene)
    near = outcome.choice.near[-1]
    is_sure = request is not None and request.is_closed
    (scene.error if is_sure else scene.warn)(
        Code.NO_SUCH_BUILD,
        line,
        f"{install.text}: the channel {near.channel} ended with {near.package} {near.versions[-1]}"
        + ("" if is_sure else ", and another one gives another build, or nothing"),
        near.source.citation(),
        file=file,
        advice=f"install {install.requirement} with pip, or {near.package} from conda-forge",
    )


def _no_such_cuda(scene: Scene, outcome: CondaOutcome) -> None:
    install, near = outcome.install, outcome.choice.near
    line, file = where(install, scene)
    have = ", ".join(sorted({str(row.cuda) for row in near if row.cuda is not None}))
    scene.error(
        Code.NO_SUCH_BUILD,
        line,
        f"{install.text} has no such build on the channel {near[-1].channel}: it was built for CUDA {have}",
        near[-1].source.citation(),
        file=file,
        advice=f"{near[-1].selector}={near[-1].cuda}",
    )


def _needs_driver(scene: Scene, outcome: CondaOutcome) -> None:
    install, near = outcome.install, outcome.choice.near
    line, file = where(install, scene)
    scene.error(
        Code.DRIVER_LIB_AT_BUILD,
        line,
        f"{install.text} requires __cuda, which conda gets from the driver, and no build has one: "
        "nothing can be installed",
        near[-1].source.citation() if near else "the recipe of its channel",
        file=file,
        advice=_override(outcome),
    )


def _override(outcome: CondaOutcome) -> str:
    request = outcome.install.conda
    build = request.build if request is not None else ""
    rows = [row for row in outcome.choice.near if row.cuda is not None]
    named = [row for row in rows if row.build.removeprefix("cu") in build]
    cuda = (named or rows)[-1].cuda if rows else "..."
    return f"ENV CONDA_OVERRIDE_CUDA={cuda} before: the CUDA of the hosts' drivers"


def _without_driver(scene: Scene, outcome: CondaOutcome) -> None:
    install, near = outcome.install, outcome.choice.near
    line, file = where(install, scene)
    if not scene.wants_gpu:
        scene.unknown(line, f"{install.text} is a CPU build where no driver is, as in most builds")
        return
    is_asked = scene.asked.gpus or scene.asked.driver is not None
    (scene.error if is_asked else scene.warn)(
        Code.CPU_ONLY_BUILD,
        line,
        f"{install.text} is a CPU build here: those with CUDA require __cuda, which conda gets from the "
        "driver, and no build has one",
        near[-1].source.citation() if near else "the recipe of its channel",
        file=file,
        advice=_override(outcome),
    )


def _cpu(scene: Scene, outcome: CondaOutcome) -> None:
    row, install = outcome.choice.row, outcome.install
    if row is None or row.cuda is not None or not scene.wants_gpu:
        return
    line, file = where(install, scene)
    is_asked = scene.asked.gpus or scene.asked.driver is not None
    request = install.conda
    why = "cpuonly makes it" if request is not None and "cpuonly" in request.specs else "its build is"
    (scene.error if is_asked else scene.warn)(
        Code.CPU_ONLY_BUILD,
        line,
        f"{install.text}: {why} a CPU build, and the image is meant for GPUs",
        row.source.citation(),
        file=file,
        advice="ask for pytorch-cuda=... in the place of cpuonly" if row.selector else _override(outcome),
    )


def _both(scene: Scene) -> None:
    """A framework that conda and pip bring into one environment."""
    for swap in scene.outcome.swaps:
        before = swap.before.install
        if before is None or before.python is not swap.by.python:
            continue
        if (before.conda is None) == (swap.by.conda is None):
            continue
        line, file = where(swap.by, scene)
        first, second = ("conda", "pip") if before.conda is not None else ("pip", "conda")
        scene.warn(
            Code.CONFLICTING_PACKAGES,
            line,
            f"{second} puts {title(swap.after, scene)} over the {title(swap.before, scene)} that {first} "
            f"installed (line {before.line}): their libraries stay side by side",
            "conda's documentation, Using pip in a conda environment: conda does not see what pip changes",
            file=file,
            advice="install the framework once, with one of the two",
        )
