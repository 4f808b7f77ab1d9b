"""The facts of one build on one platform, read from its wheels without fetching them whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from cudaforge.matrix.model import CudaRelease
from cudaforge.matrix.reader import Raw
from cudaforge.measurer import NONE, Measured, Reading
from cudaforge.measurer.metadata import applying
from cudaforge.records import record
from cudaforge.refresher.changes import version_key
from cudaforge.refresher.companions import written
from cudaforge.refresher.metadata import exact
from cudaforge.refresher.model import FoundRelease, WheelFile
from cudaforge.versions import Version

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_CUDNN = re.compile(r"nvidia-cudnn-cu\d+")
_NCCL = re.compile(r"nvidia-nccl-cu\d+")
_OWN = re.compile(r"nvidia-cuda-(?:runtime|nvrtc|cupti|nvcc)(?:-cu\d+)?$")
_ORDER = (
    "pythons",
    "glibc",
    "cuda",
    "cudnn",
    "nccl",
    "cubins",
    "ptx",
    "cudnn_package",
    "nccl_package",
    "size",
    "installed",
    "cuda_size",
    "cuda_installed",
)
_USUAL_PYTHONS = ("3.12", "3.11", "3.13", "3.10")


class Unread(Exception):
    """Nothing can be said of a build. The text says why."""


class Artefacts(Protocol):
    """What indexes and wheels say, asked for when it is needed."""

    def releases(self, index: str, package: str) -> Mapping[str, FoundRelease] | None:
        """None where the index does not answer."""

    def requirements(self, wheel: WheelFile) -> tuple[Requirement, ...] | None:
        """None where the wheel cannot be read."""

    def measure(self, wheel: WheelFile) -> Measured | None:
        """None where the wheel cannot be read."""

    def libraries_of(self, release: CudaRelease) -> Mapping[str, str]:
        """The wheels that the release's metapackage pins, with their versions; none where nobody says."""


@record()
class Facts:
    """What was found of a build: settings of its row, and the names of those that were not found."""

    values: Mapping[str, object]
    missing: tuple[str, ...]
    released: str | None
    is_measured: bool
    """Whether nothing but the artefacts themselves was gone by."""


@record()
class _Part:
    """One package of a build."""

    wanted: Requirement
    release: FoundRelease
    wheels: tuple[WheelFile, ...]
    """Those for the platform."""
    is_binary: bool

    def wheel(self, python: str) -> WheelFile:
        """The one for a Python."""
        fitting = [one for one in self.wheels if not one.pythons or python in one.pythons]
        return (fitting or list(self.wheels))[0]


def read_facts(
    old: Raw, new: Raw, platform: str, artefacts: Artefacts, toolkits: Sequence[CudaRelease]
) -> Facts:
    """The facts of a build: `new` is its row without them, `old` that of the release before, whose facts are
    looked for. Raises Unread where the build is not there, or cannot be asked for."""
    parts = list(_parts(new, platform, artefacts))
    values: dict[str, object] = {}
    pythons = _pythons(parts)
    if pythons:
        values["pythons"] = " ".join(pythons)
    python = next((one for one in _USUAL_PYTHONS if one in pythons), pythons[0] if pythons else "3.12")
    pins = list(_requirements(parts, platform, python, artefacts))
    measured = [one for part in parts if part.is_binary and (one := artefacts.measure(part.wheel(python)))]
    is_system = new.get("provider") == "system"
    if new.get("provider") != NONE:
        values.update(_libraries(pins, measured, is_system=is_system))
        if "cuda" not in values and (cuda := _toolkit(pins, toolkits, artefacts) or _said(measured, "cuda")):
            values["cuda"] = cuda
        for key, value in _code(measured).items():
            values.setdefault(key, value)
    glibc, is_whole = _glibc(measured)
    if glibc:
        values["glibc"] = glibc
    # What the form itself says (a shape that holds for all releases) is not read anew, and nothing is said
    # that rows of this build have not said before.
    said = {*old, *(("ptx",) if "cubins" in old else ())}
    values = {key: values[key] for key in _ORDER if key in values and key in said and key not in new}
    missing = [key for key in _ORDER if key in old and key not in values and key not in new]
    if glibc and not is_whole:
        missing.append("glibc of the libraries that were not read (the tag's is taken)")
    label = _label(measured)
    if label is not None and str(old.get("reported")).endswith(f"+{old.get('build')}"):
        values["build"] = label
    return Facts(
        values=values,
        missing=tuple(missing),
        released=parts[0].release.released if parts else None,
        is_measured=is_whole,
    )


def _parts(new: Raw, platform: str, artefacts: Artefacts) -> Iterator[_Part]:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    requires = new.get("requires")
    for text in requires if isinstance(requires, list) else []:
        wanted = Requirement(str(text))
        name, index = canonicalize_name(wanted.name), str(new.get("index"))
        found = artefacts.releases(index, name)
        if found is None:
            raise Unread(f"{index} was not asked")
        pin = version_key(next(iter(wanted.specifier)).version)
        release = next((one for one in found.values() if version_key(one.version) == pin), None)
        if release is None:
            raise Unread(f"{name} {pin} is not there")
        wheels = tuple(one for one in release.wheels if {platform, "any"} & set(one.platforms))
        if not wheels:
            raise Unread(f"{name} {pin} has no wheels for it")
        is_binary = any(platform in one.platforms for one in wheels)
        yield _Part(wanted=wanted, release=release, wheels=wheels, is_binary=is_binary)


def _pythons(parts: Sequence[_Part]) -> list[str]:
    """The Pythons that all packages have wheels for, where they are for certain ones."""
    sets = [
        {minor for wheel in part.wheels for minor in wheel.pythons}
        for part in parts
        if any(wheel.pythons for wheel in part.wheels)
    ]
    return sorted(set.intersection(*sets), key=Version) if sets else []


def _requirements(
    parts: Sequence[_Part], platform: str, python: str, artefacts: Artefacts
) -> Iterator[Requirement]:
    for part in parts:
        requires = artefacts.requirements(part.wheel(python)) or ()
        for one, extra in applying(requires, platform=platform, python=python):
            if not extra or extra in part.wanted.extras:
                yield one


def _libraries(
    pins: Sequence[Requirement], measured: Sequence[Measured], *, is_system: bool
) -> Iterator[tuple[str, object]]:
    """CUDA, cuDNN and NCCL: what the wheels pin, else what they say that they were built with. A build that
    takes them from the image loads the same major, from its own minor on."""
    for key, pattern in (("cudnn", _CUDNN), ("nccl", _NCCL)):
        found = next((one for one in pins if pattern.fullmatch(one.name.lower())), None)
        if found is not None and not is_system and found.specifier:
            pin = exact(found)
            if key == "cudnn" or pin is not None:
                yield key, pin or written(found.specifier)
                yield f"{key}_package", found.name.lower()
        elif (said := _said(measured, key)) is not None:
            yield key, _from_on(said) if is_system else said
    toolkit = next((exact(one) for one in pins if one.name.lower() == "cuda-toolkit"), None)
    said = _said(measured, "cuda")
    if toolkit is not None and not is_system:
        yield "cuda", toolkit
    elif said is not None and is_system:
        yield "cuda", _from_on(said)


def _said(measured: Sequence[Measured], key: str) -> str | None:
    readings: list[Reading | None] = [getattr(one, key) for one in measured]
    known = [one.value for one in readings if one is not None and not one.is_partial and not one.is_bound]
    return next((value for value in known if value != NONE), None)


def _from_on(version: str) -> str:
    found = Version(version)
    return f">={found.minor()},<{found.major + 1}"


def _toolkit(
    pins: Sequence[Requirement], toolkits: Sequence[CudaRelease], artefacts: Artefacts
) -> str | None:
    """The oldest toolkit whose libraries all meet what is required of them: that one where they are pinned,
    else it and all later ones of its major."""
    limits = {one.name.lower(): one for one in pins if one.name.lower().startswith("nvidia-")}
    lowest = [Version(low) for name, one in limits.items() if _OWN.match(name) and (low := _lowest(one))]
    if not lowest:
        return None
    # The version of these is that of their toolkit, but for the last component.
    start = max(lowest).minor()
    for release in sorted(toolkits, key=lambda one: one.version):
        if release.version.major != start.major or release.version < start:
            continue
        libraries = artefacts.libraries_of(release)
        both = limits.keys() & libraries.keys()
        if both and all(limits[name].specifier.contains(libraries[name]) for name in both):
            is_pinned = any(exact(limits[name]) is not None for name in both)
            return str(release.version) if is_pinned else f">={release.version},<{start.major + 1}"
    return None


def _lowest(requirement: Requirement) -> str | None:
    allowed = [one.version for one in requirement.specifier if one.operator in (">=", "==", "===", "~=")]
    return next((version for version in allowed if "*" not in version), None)


def _label(measured: Sequence[Measured]) -> str | None:
    """The local label that the framework reports with its version: `cu128`."""
    first = measured[0].reported if measured else None
    return first.value.partition("+")[2] or None if first is not None else None


def _code(measured: Sequence[Measured]) -> Mapping[str, object]:
    """The window of compiled-in code, from the one package that has any."""
    for one in measured:
        if one.cubins is not None and not one.cubins.is_partial and one.cubins.value:
            ptx = one.ptx.value if one.ptx is not None and not one.ptx.is_partial else ""
            return {"cubins": one.cubins.value, **({"ptx": ptx} if ptx else {})}
    return {}


def _glibc(measured: Sequence[Measured]) -> tuple[str | None, bool]:
    """The oldest glibc that all load on, and whether all libraries were read for it. What was not read is
    held to the tag, below which no installer takes the wheel."""
    found = [one.glibc for one in measured]
    values = [one.value for one in found if one is not None]
    is_whole = bool(found) and all(one is not None and not one.is_partial for one in found)
    if not is_whole:
        values += [one.tag_glibc for one in measured if one.tag_glibc]
    return (max(values, key=Version) if values else None), is_whole
