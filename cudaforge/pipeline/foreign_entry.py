"""What is in somebody else's image as a lock entry: what the facts say of the builds that are installed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cudaforge.lockfile.model import Closure, LockedBase, LockedFramework, LockedImage, LockedVerify
from cudaforge.matrix import Matrix
from cudaforge.matrix.companion import CompanionRole
from cudaforge.matrix.model import Framework, FrameworkBuild
from cudaforge.matrix.pins import pins_of
from cudaforge.pipeline.expecting import find_release
from cudaforge.resolver.candidates import is_confirmed
from cudaforge.resolver.drivers import cuda_floor
from cudaforge.versions import InvalidVersion, Version, VersionWish

if TYPE_CHECKING:
    from cudaforge.engine import ImageFacts
    from cudaforge.verifier import ForeignImage, FoundPython
    from cudaforge.verifier.evidence import Report

_STEPS, _SECONDS = 20, 300.0
_NO_CUDA = "none"
_CUDA_DISTRIBUTION = re.compile(r"(nvidia-(cudnn|cuda|cublas)|jax-cuda\d+|cupy-cuda\d+).*")


def compose(
    reference: str,
    image: ImageFacts,
    python: FoundPython,
    matrix: Matrix,
    installed: Mapping[str, str | None],
    report: Report | None,
) -> tuple[LockedImage, ForeignImage]:
    """The lock entry of an image with these versions of frameworks for a Python, and where it comes from.

    `report` is what its files say. A framework whose build no fact names is held against nothing.
    """
    from cudaforge.verifier import ForeignImage

    platform = f"linux/{image.architecture}"
    rows: dict[str, FrameworkBuild | None] = {}
    frameworks, notes = [], {}
    for name, version in installed.items():
        framework = matrix.frameworks[name]
        tells = _tells(report, framework)
        row, notes[framework.name] = _find_build(matrix, framework, version, tells, python, platform)
        rows[framework.name] = row
        reported = row.reported if row is not None else tells.get("reported") or version or "0"
        frameworks.append(
            LockedFramework(
                name=framework.name,
                version=str(Version(version or "0").public()) if is_version(version or "0") else str(version),
                build=row.build if row is not None else "",
                reported=reported,
                proof=framework.proof,
                template=framework.template,
            )
        )
    known = [row for row in rows.values() if row is not None]
    unknown = frozenset(name for name, row in rows.items() if row is None)
    cuda = _cuda(known, python, [_tells(report, matrix.frameworks[name]) for name in installed])
    entry = _entry(reference, python, platform, tuple(frameworks), known, cuda, matrix)
    return entry, ForeignImage(python=python.path, notes=notes, unknown=unknown)


def _tells(report: Report | None, framework: Framework) -> Mapping[str, str]:
    from cudaforge.verifier.evidence import NotSeen
    from cudaforge.verifier.measured import find_tells

    if report is None:
        return {}
    try:
        return find_tells(report, framework.proof)
    except NotSeen:
        return {}


def _find_build(
    matrix: Matrix,
    framework: Framework,
    version: str | None,
    tells: Mapping[str, str],
    python: FoundPython,
    platform: str,
) -> tuple[FrameworkBuild | None, str]:
    """The row that what is installed came from, and what to say of it: one alone counts, no guess."""
    release = None if version is None or not is_version(version) else Version(version)
    if release is None:
        return None, f"{framework.title} calls itself {version}, which is no version"
    rows = [
        row
        for row in matrix.builds(framework.name)
        if row.version == release.public() and platform in row.platforms and is_confirmed(row.source)
    ]
    if not rows:
        asked = f"{framework.title} {release.public()} for {platform}"
        return None, f"the matrix of {matrix.as_of} has no confirmed facts of {asked}"
    fitting = [row for row in rows if _came_from(row, python, release, tells)]
    # Builds that differ in how they are installed, and in nothing that is compared, are one.
    facts = {(row.cuda, row.cudnn, row.cubins, row.ptx): row for row in fitting}
    if len(facts) != 1:
        builds = ", ".join(dict.fromkeys(row.build for row in fitting or rows))
        word = "several builds fit" if fitting else "none of its builds fits"
        return None, f"{framework.title} {version}: {word} ({builds})"
    (row,) = list(facts.values())[:1]
    return row, f"{framework.title} {row.version}, build {row.build} [{row.source.text}]"


def _came_from(row: FrameworkBuild, python: FoundPython, release: Version, tells: Mapping[str, str]) -> bool:
    pins = pins_of(row)
    for package, pinned in pins:
        has = python.distributions.get(package)
        if has is None or not is_version(has) or Version(has).public() != Version(pinned).public():
            return False
    reported = tells.get("reported") or release.text
    if Version(reported).local is not None if is_version(reported) else False:
        return row.reported == reported
    told = tells.get("cuda")
    if told is None:
        # Without a word of its own: its build for CPUs requires none of CUDA's packages.
        has_cuda = any(_CUDA_DISTRIBUTION.fullmatch(name) for name in python.distributions)
        return (row.cuda is not None) == has_cuda
    if row.cuda is None or told == _NO_CUDA:
        return row.cuda is None and told == _NO_CUDA
    return is_version(told) and _allows_prefix(row.cuda, told)


def _allows_prefix(wish: VersionWish, told: str) -> bool:
    """Whether a CUDA of a minor that is told (`12.8`) is one of those of a row (`12.8.1`)."""
    if wish.prefix is not None:
        count = min(len(wish.prefix.release), len(Version(told).release))
        return wish.prefix.release[:count] == Version(told).release[:count]
    return wish.allows(Version(told)) or wish.allows(Version(f"{told}.99"))


def _cuda(
    known: Sequence[FrameworkBuild], python: FoundPython, tells: Sequence[Mapping[str, str]]
) -> str | None:
    """The CUDA that the image is held against; None for builds for CPUs alone."""
    prefixes = [str(row.cuda.prefix) for row in known if row.cuda is not None and row.cuda.prefix is not None]
    told = [one["cuda"] for one in tells if one.get("cuda", _NO_CUDA) != _NO_CUDA]
    if prefixes or told:
        return (prefixes or told)[0]
    for name, version in python.distributions.items():
        if re.fullmatch(r"nvidia-cuda-runtime(-cu\d+)?", name):
            return ".".join(version.split(".")[:2])
    wishes = [row.cuda for row in known if row.cuda is not None]
    return str(wishes[0].text) if wishes and is_version(wishes[0].text) else None


def _entry(
    reference: str,
    python: FoundPython,
    platform: str,
    frameworks: tuple[LockedFramework, ...],
    known: Sequence[FrameworkBuild],
    cuda: str | None,
    matrix: Matrix,
) -> LockedImage:
    has_wheels = any(_CUDA_DISTRIBUTION.fullmatch(name) for name in python.distributions)
    release = find_release(matrix, cuda) if cuda is not None else None
    gpu_rows = [row for row in known if row.cuda is not None]
    compiled = [str(one) for one in release.capabilities] if release is not None else []
    codes = [
        compiled if row.cubins is None and row.compiler else [str(one) for one in row.cubins or ()]
        for row in gpu_rows
    ]
    common = [one for one in (codes[0] if codes else []) if all(one in code for code in codes)]
    ptx = [str(one) for one in gpu_rows[0].ptx] if len(gpu_rows) == 1 else []
    floor = cuda_floor(release, needs_native=False) if release is not None else None
    return LockedImage(
        name=reference,
        image=reference,
        digest="",
        tags=(reference,),
        base=LockedBase(reference=reference, digest=None, codename=""),
        frameworks=frameworks,
        cuda=cuda,
        cudnn=_exact([row.cudnn for row in gpu_rows]),
        nccl=next((str(row.nccl) for row in gpu_rows if row.nccl is not None), None),
        cuda_provider=_NO_CUDA if cuda is None else "wheels" if has_wheels else "system",
        toolkit=None,
        driver_floor=None if floor is None else str(floor),
        gate=None,
        forward_compat=False,
        architectures=tuple(f"sm_{one.replace('.', '')}" for one in common),
        ptx=tuple(f"compute_{one.replace('.', '')}" for one in ptx),
        python=".".join(python.version.split(".")[:2]),
        python_provider="image",
        os="",
        os_family="",
        flavor="runtime",
        platforms=(platform,),
        os_packages=(),
        base_user=None,
        closure=Closure(file="", sha256="", wheels=()),
        companions=_companions(matrix, frameworks, python),
        copy=(),
        workdir="/",
        env={},
        command=None,
        entrypoint=None,
        user="",
        labels={},
        max_size=None,
        run=(),
        secrets=(),
        ssh=False,
        template=None,
        verify=LockedVerify(gpu="auto", steps=_STEPS, memory_limit=None, timeout=_SECONDS),
    )


def _exact(wishes: Sequence[VersionWish | None]) -> str | None:
    """The one version that a row names; None for a range, which is judged by nothing here."""
    prefixes = {str(wish.prefix) for wish in wishes if wish is not None and wish.prefix is not None}
    return prefixes.pop() if len(prefixes) == 1 else None


def _companions(
    matrix: Matrix, frameworks: Sequence[LockedFramework], python: FoundPython
) -> Mapping[str, str]:
    """The installed packages that are released for the frameworks, each with the release that fits."""
    found: dict[str, str] = {}
    for framework in frameworks:
        if not is_version(framework.version):
            continue
        release = Version(framework.version)
        rows = matrix.companions(framework.name, CompanionRole.COMPANION)
        for package in {row.package for row in rows} & python.distributions.keys():
            fitting = [row.version for row in rows if row.package == package and row.goes_with(release)]
            has = python.distributions[package]
            if fitting and is_version(has):
                same = [one for one in fitting if one == Version(has).public()]
                found[package] = str((same or [max(fitting)])[0])
    return found


def is_version(text: str) -> bool:
    """Whether a text is a version."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
