"""Checks of the image as a whole: is it what was locked?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cudaforge.renderer.model import ENTRY_LABEL
from cudaforge.verifier.evidence import Fact
from cudaforge.verifier.judging import (
    Check,
    Finding,
    agrees,
    compare,
    failed,
    failed_by,
    passed,
    skipped,
    unknown,
)
from cudaforge.verifier.model import Tier
from cudaforge.verifier.situation import Situation

REBUILD = "build it again from its lock: cudaforge build --no-cache"
_OS = re.compile(r"(?P<id>[a-z_-]+)(?P<version>[\d.]*)")
_LISTED = 5
_CUDA_COMPONENTS = 2
"""The third number of a CUDA release (12.8.1) is not in what its libraries report (12.8)."""


def image_checks(situation: Situation) -> tuple[Check, ...]:
    """The rows for this image."""
    rows = [
        Check(id="probe", title="The probe ran", tier=Tier.STATIC, judge=_judge_probe),
        Check(id="lock", title="Built from this lock entry", tier=Tier.STATIC, judge=_judge_lock),
        Check(id="python", title="Python", tier=Tier.STATIC, judge=_judge_python, needs=("probe",)),
        Check(id="os", title="Operating system", tier=Tier.STATIC, judge=_judge_os, needs=("probe",)),
        Check(id="user", title="User", tier=Tier.STATIC, judge=_judge_user, needs=("probe",)),
        Check(
            id="packages",
            title="Python packages as locked",
            tier=Tier.STATIC,
            judge=_judge_packages,
            needs=("probe",),
        ),
    ]
    if situation.image.companions:
        row = Check(
            id="companions", title="Companions", tier=Tier.STATIC, judge=_judge_companions, needs=("probe",)
        )
        rows.append(row)
    if not situation.is_cpu_twin:
        rows += [
            Check(
                id="toolkit", title="CUDA toolkit", tier=Tier.STATIC, judge=_judge_toolkit, needs=("probe",)
            ),
            Check(id="cuda", title="CUDA libraries", tier=Tier.STATIC, judge=_judge_cuda, needs=("probe",)),
            Check(id="cudnn", title="cuDNN", tier=Tier.STATIC, judge=_judge_cudnn, needs=("probe",)),
            Check(id="nccl", title="NCCL", tier=Tier.STATIC, judge=_judge_nccl, needs=("probe",)),
        ]
    return tuple(rows)


def _judge_probe(situation: Situation) -> Finding:
    if situation.failure is not None:
        return failed_by(situation.failure)
    report = situation.seen
    memory = f", at most {report.peak_memory / 2**20:.0f} MiB" if report.peak_memory else ""
    return passed(f"{report.seconds:.1f} s{memory}")


def _judge_lock(situation: Situation) -> Finding:
    label = situation.labels.get(ENTRY_LABEL)
    if label is None:
        return skipped("the image says nothing of a lock: cudaforge did not build it")
    if label != situation.image.digest:
        return failed("the image was built from another entry than the lock has now", REBUILD)
    return passed(label)


def _judge_python(situation: Situation) -> Finding:
    system = situation.system("system")
    actual = system["python"].text
    declared = situation.image.python
    if actual is None:
        return unknown("Python did not say its version")
    is_free_threaded = system["free_threaded"].is_true
    if is_free_threaded != declared.endswith("t"):
        kind = "a free-threaded" if is_free_threaded else "a GIL"
        return failed(f"declared {declared}, found {kind} build of {actual}", REBUILD)
    locked = situation.image.standalone
    wanted = locked.version if locked is not None else declared.removesuffix("t")
    return compare(wanted, actual, remedy=REBUILD)


def _judge_os(situation: Situation) -> Finding:
    system = situation.system("system")
    release = system["os"].texts
    name, version = release.get("id"), release.get("version_id")
    declared = _OS.fullmatch(situation.image.os)
    if name is None or declared is None:
        return unknown("the image has no readable /etc/os-release")
    detail = f"{release.get('pretty_name', name)}, glibc {system['glibc'].text or 'none'}"
    same_version = not declared["version"] or (version is not None and agrees(declared["version"], version))
    if declared["id"] == name and same_version:
        return passed(detail)
    return failed(f"declared {situation.image.os}, found {detail}", REBUILD)


def _judge_user(situation: Situation) -> Finding:
    system = situation.system("system")
    uid, name = system["uid"].number, system["user"].text
    declared = situation.image.user.split(":", 1)[0]
    shown = f"{name or 'no name'} (uid {uid})"
    is_same = declared == (f"{uid:.0f}" if declared.isdigit() and uid is not None else name)
    return passed(shown) if is_same else failed(f"declared {declared}, runs as {shown}", REBUILD)


def _judge_packages(situation: Situation) -> Finding:
    wheels = {wheel.package: wheel.version for wheel in situation.image.closure.wheels}
    return _compare_packages(wheels, situation.system("distributions").texts)


def _judge_companions(situation: Situation) -> Finding:
    return _compare_packages(situation.image.companions, situation.system("distributions").texts)


def _compare_packages(locked: Mapping[str, str], installed: Mapping[str, str]) -> Finding:
    wrong = []
    for package, version in sorted(locked.items()):
        actual = installed.get(normal_name(package))
        if actual is None:
            wrong.append(f"{package} {version} is not installed")
        elif not agrees(version, actual):
            wrong.append(f"{package} is {actual}, not {version}")
    if wrong:
        return failed(_some(wrong), REBUILD)
    return passed(f"{len(locked)} as locked")


def _judge_toolkit(situation: Situation) -> Finding:
    if situation.image.flavor != "devel" or situation.image.toolkit is None:
        return skipped(f"flavor {situation.image.flavor} promises no compiler")
    found = situation.system("toolkit")
    if found["path"].text is None:
        return failed("the image has no nvcc", REBUILD)
    return compare(
        situation.image.toolkit, found["version"].text, components=_CUDA_COMPONENTS, remedy=REBUILD
    )


def _judge_cuda(situation: Situation) -> Finding:
    evidence = _library_evidence(situation, "cudart", said="cuda", package="nvidia-cuda-runtime")
    return _weigh(situation.image.cuda, evidence, components=_CUDA_COMPONENTS)


def _judge_cudnn(situation: Situation) -> Finding:
    evidence = _library_evidence(situation, "cudnn", said="cudnn", package="nvidia-cudnn")
    return _weigh(situation.image.cudnn, evidence)


def _judge_nccl(situation: Situation) -> Finding:
    evidence = _library_evidence(situation, "nccl", said="nccl", package="nvidia-nccl")
    return _weigh(situation.image.nccl, evidence)


def _library_evidence(
    situation: Situation, library: str, *, said: str, package: str
) -> tuple[tuple[str, str], ...]:
    """Who says which version of a CUDA library is used. Everyone has to agree with the lock."""
    evidence = []
    for framework in situation.image.frameworks:
        stage = situation.child(framework).stages.get("describe")
        version = stage.value[said].text if stage else None
        if version:
            evidence.append((framework.name, version))
    found = situation.seen.libraries.value("versions")[library]
    if version := found["version"].text:
        evidence.append((found["path"].text or library, version))
    # Packages count where the wheels bring CUDA: elsewhere one may lie about unused.
    if situation.image.cuda_provider == "wheels":
        evidence += _from_packages(situation.system("distributions"), package)
    return tuple(evidence)


def _from_packages(distributions: Fact, package: str) -> Iterable[tuple[str, str]]:
    pattern = re.compile(re.escape(package) + r"(-cu\d+)?")
    return [(name, version) for name, version in distributions.texts.items() if pattern.fullmatch(name)]


def _weigh(declared: str | None, evidence: tuple[tuple[str, str], ...], *, components: int = 4) -> Finding:
    if declared is None:
        return skipped("the lock promises none")
    if not evidence:
        return unknown(f"declared {declared}; neither the framework nor a library says its version", REBUILD)
    shown = "; ".join(f"{who}: {version}" for who, version in evidence)
    if all(agrees(declared, version, components=components) for _, version in evidence):
        return passed(shown)
    return failed(
        f"declared {declared}, found {shown}",
        "look for CUDA libraries in LD_LIBRARY_PATH and packages that `run` steps moved; build again",
    )


def normal_name(package: str) -> str:
    """A package's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _some(items: list[str]) -> str:
    more = len(items) - _LISTED
    return "; ".join(items[:_LISTED]) + (f"; and {more} more" if more > 0 else "")
