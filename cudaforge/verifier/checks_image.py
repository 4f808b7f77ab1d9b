"""Checks of the image as a whole: is it what was locked?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from cudaforge.codes import Code
from cudaforge.packages.machines import ARCHITECTURES, wheels_for
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
    some,
    unknown,
)
from cudaforge.verifier.model import Tier
from cudaforge.verifier.situation import Situation
from cudaforge.versions import InvalidVersion, Version

REBUILD = "build it again from its lock: cudaforge build --no-cache"
_ELSEWHERE = "verify the image on a machine of that platform, too"
_OS = re.compile(r"(?P<id>[a-z_-]+)(?P<version>[\d.]*)")
_CUDA_COMPONENTS = 2
"""The third number of a CUDA release (12.8.1) is not in what its libraries report (12.8)."""


def image_checks(situation: Situation) -> tuple[Check, ...]:
    """The rows for this image."""
    rows = [Check(id="probe", title="The probe ran", tier=Tier.STATIC, judge=_judge_probe)]
    if not situation.is_foreign:
        rows.append(Check(id="lock", title="Built from this lock entry", tier=Tier.STATIC, judge=_judge_lock))
    rows += [_row("python", "Python", _judge_python), _row("os", "Operating system", _judge_os)]
    if not situation.is_foreign:
        rows += [
            _row("user", "User", _judge_user),
            _row("packages", "Python packages as locked", _judge_packages),
        ]
    if len(situation.image.platforms) > 1:
        rows.append(_row("platforms", "Other platforms", _judge_platforms))
    if situation.image.companions:
        rows.append(_row("companions", "Companions", _judge_companions))
    if not situation.is_cpu_twin:
        rows += [
            _row("toolkit", "CUDA toolkit", _judge_toolkit),
            _row("cuda", "CUDA libraries", _judge_cuda),
            _row("cudnn", "cuDNN", _judge_cudnn),
            _row("nccl", "NCCL", _judge_nccl),
        ]
    return tuple(rows)


def _row(id_: str, title: str, judge: Callable[[Situation], Finding]) -> Check:
    return Check(id=id_, title=title, tier=Tier.STATIC, judge=judge, needs=("probe",))


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
    if situation.is_foreign:
        return passed(f"{actual} ({situation.python})")
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
    detail = f"{release.get('pretty_name', name)}, glibc {system['glibc'].text or 'none'}"
    if situation.is_foreign:
        return passed(detail)
    if name is None or declared is None:
        return unknown("the image has no readable /etc/os-release")
    same_version = not declared["version"] or (version is not None and agrees(declared["version"], version))
    if declared["id"] == name and same_version:
        return passed(detail)
    return failed(f"declared {situation.image.os}, found {detail}", REBUILD)


def _judge_platforms(situation: Situation) -> Finding:
    """What one machine proves holds for its own platform."""
    others = situation.unproven_platforms
    return skipped(f"{' and '.join(others)} {'was' if len(others) == 1 else 'were'} not proven", _ELSEWHERE)


def _judge_user(situation: Situation) -> Finding:
    system = situation.system("system")
    uid, name = system["uid"].number, system["user"].text
    declared = situation.image.user.split(":", 1)[0]
    shown = f"{name or 'no name'} (uid {uid})"
    is_same = declared == (f"{uid:.0f}" if declared.isdigit() and uid is not None else name)
    return passed(shown) if is_same else failed(f"declared {declared}, runs as {shown}", REBUILD)


def _judge_packages(situation: Situation) -> Finding:
    machine = situation.system("system")["machine"].text
    here = [platform for platform, name in ARCHITECTURES.items() if name == machine]
    closure = situation.image.closure.wheels
    wheels = {wheel.package: wheel.version for wheel in (wheels_for(closure, here[0]) if here else closure)}
    return _compare_packages(wheels, situation.system("distributions").texts)


def _judge_companions(situation: Situation) -> Finding:
    installed = situation.system("distributions").texts
    return _compare_packages(situation.image.companions, installed, code=Code.COMPANION_MISMATCH)


def _compare_packages(
    locked: Mapping[str, str], installed: Mapping[str, str], *, code: Code | None = None
) -> Finding:
    wrong = []
    for package, version in sorted(locked.items()):
        actual = installed.get(normal_name(package))
        if actual is None:
            wrong.append(f"{package} {version} is not installed")
        elif not agrees(version, actual):
            wrong.append(f"{package} is {actual}, not {version}")
    if wrong:
        return failed(some(wrong), REBUILD, code=code)
    return passed(f"{len(locked)} as locked" if code is None else f"{len(locked)} that fit")


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
    return _weigh(
        situation.image.cuda,
        evidence,
        components=_CUDA_COMPONENTS,
        codes=(Code.CUDA_MAJOR_MISMATCH, Code.CUDA_TOO_OLD),
    )


def _judge_cudnn(situation: Situation) -> Finding:
    evidence = _library_evidence(situation, "cudnn", said="cudnn", package="nvidia-cudnn")
    codes = (Code.CUDNN_MAJOR_MISMATCH, Code.CUDNN_TOO_OLD)
    return _weigh(situation.image.cudnn, evidence, codes=codes)


def _judge_nccl(situation: Situation) -> Finding:
    evidence = _library_evidence(situation, "nccl", said="nccl", package="nvidia-nccl")
    return _weigh(situation.image.nccl, evidence)


def _library_evidence(
    situation: Situation, library: str, *, said: str, package: str
) -> tuple[tuple[str, str], ...]:
    """Who says which version of a CUDA library is used. Everyone has to agree with the lock."""
    evidence = []
    for framework in () if situation.depth is Tier.STATIC else situation.image.frameworks:
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


def _weigh(
    declared: str | None,
    evidence: tuple[tuple[str, str], ...],
    *,
    components: int = 4,
    codes: tuple[Code, Code] | None = None,
) -> Finding:
    """`codes` are for another major and for an older release."""
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
        code=_difference(declared, [version for _, version in evidence], components, codes),
    )


def _difference(
    declared: str, actual: list[str], components: int, codes: tuple[Code, Code] | None
) -> Code | None:
    try:
        wanted = Version(declared)
        others = [Version(one) for one in actual if not agrees(declared, one, components=components)]
    except InvalidVersion:
        return None
    if codes is None or not others:
        return None
    if any(one.major != wanted.major for one in others):
        return codes[0]
    return codes[1] if any(one < wanted for one in others) else None


def normal_name(package: str) -> str:
    """A package's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", package).lower()
