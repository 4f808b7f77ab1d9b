"""Which build of a framework conda installs, as far as the facts about channels say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from cudaforge.audit.choice import is_pinned
from cudaforge.audit.state import CondaRequest, Install
from cudaforge.matrix.model import CudaProvider, FrameworkBuild
from cudaforge.matrix.model_audit import CondaBuild
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record
from cudaforge.versions import Version, VersionWish, find_version

INDEX = "conda"
"""What stands for the index of builds that conda installs."""
_OPEN = ("nvidia", "numba", "bioconda", "rapidsai", "xformers", "fastai", "huggingface")
"""Channels that have no framework of the tables under its plain name."""
_ALTERNATIVE = ("defaults", "main", "anaconda")
_GLIBC = Version("2.17")
_MINOR = re.compile(r"=*(\d+\.\d+)(?:\.\d+)?(?:\.?\*)?")
_CUDA_BUILD = re.compile(r"cuda_?(\d+)\.?(\d+)?")


class CondaWhy(str, Enum):
    """What came of a request."""

    CHOSEN = "chosen"
    CHANNEL_ENDED = "channel-ended"
    NO_SUCH_CUDA = "no-such-cuda"
    NEEDS_DRIVER = "needs-driver"
    WITHOUT_DRIVER = "without-driver"
    """The CPU build, as the machine that builds has no driver."""
    UNKNOWN = "unknown"


@record()
class CondaChoice:
    """What conda installs; `version` without `row` where the build is not known."""

    why: CondaWhy
    version: Version | None = None
    row: CondaBuild | None = None
    near: tuple[CondaBuild, ...] = ()
    says: str = ""
    """Why it is not known."""


@record()
class CondaOutcome:
    """What came of a framework that conda was asked for."""

    install: Install
    choice: CondaChoice


def choose_conda(
    matrix: Matrix, framework: str, install: Install, *, platform: str, as_of: str
) -> CondaChoice:
    """What conda installs for a requirement of a framework on that date."""
    request = install.conda
    assert request is not None  # noqa: S101 -- this is for what conda installs
    rows = [row for row in matrix.conda_builds if row.framework == framework]
    known = dict.fromkeys(row.channel for row in rows)
    channel = next((one for one in request.channels if one not in _OPEN), None)
    if channel not in known:
        return _unknown(f"what the channel {channel or 'defaults'} has is not in the facts")
    own = [row for row in rows if row.channel == channel]
    if not request.is_clear:
        return _unknown("its version cannot be read")
    if platform not in {name for row in own for name in row.platforms}:
        return _unknown(f"what the channel {channel} has for {platform} is not in the facts")
    return _Chooser(matrix, install, request, own, as_of).choose()


def _unknown(says: str, version: Version | None = None) -> CondaChoice:
    return CondaChoice(why=CondaWhy.UNKNOWN, says=says, version=version)


class _Chooser:
    """Narrows the builds of one channel down."""

    def __init__(
        self,
        matrix: Matrix,
        install: Install,
        request: CondaRequest,
        rows: Sequence[CondaBuild],
        as_of: str,
    ) -> None:
        self._matrix, self._install, self._request, self._as_of = matrix, install, request, as_of
        self._rows = rows
        self._has_ended = any(row.is_last for row in rows)
        released = {
            build.version.public().text: build.released
            for build in matrix.builds(rows[0].framework)
            if build.released
        }
        self._allowed = {
            id(row): [
                version
                for version in row.versions
                if released.get(version.text, "9") <= as_of
                and install.requirement.specifier.contains(version.text, prereleases=True)
            ]
            for row in rows
        }

    def choose(self) -> CondaChoice:
        """What is installed."""
        rows = [row for row in self._rows if self._allowed[id(row)]]
        if not rows:
            return self._nothing()
        if any(row.needs_driver for row in self._rows):
            return self._by_driver(rows)
        return self._by_selector(rows)

    def _newest(self, row: CondaBuild) -> Version:
        return max(self._allowed[id(row)])

    def _nothing(self) -> CondaChoice:
        last = max((version for row in self._rows for version in row.versions), default=None)
        pins = [
            find_version(one.version) for one in self._install.requirement.specifier if one.operator == "=="
        ]
        floors = [
            find_version(one.version.removesuffix(".*"))
            for one in self._install.requirement.specifier
            if one.operator in ("==", ">=", "~=", ">")
        ]
        is_beyond = last is not None and any(one is not None and one > last for one in (*pins, *floors))
        if self._has_ended and is_beyond:
            return CondaChoice(
                why=CondaWhy.CHANNEL_ENDED, near=tuple(row for row in self._rows if row.is_last)
            )
        return _unknown("the facts know no such release on its channel")

    def _by_selector(self, rows: Sequence[CondaBuild]) -> CondaChoice:
        """A channel on which a package beside it says which build."""
        specs = self._request.specs
        newest = max(map(self._newest, rows))
        if "cpuonly" in specs or "cpu" in self._request.build:
            rows = [row for row in rows if row.cuda is None]
            return self._chosen(rows)
        asked = next((name for name in ("pytorch-cuda", "cudatoolkit") if name in specs), None)
        cuda = _MINOR.fullmatch(specs[asked][0]) if asked else _CUDA_BUILD.search(self._request.build)
        if cuda is None:
            return _unknown("nothing says which CUDA it is built for: pytorch-cuda=...", self._sure(newest))
        wanted = Version(cuda[1]) if "." in cuda[1] else Version(f"{cuda[1]}.{cuda[2] or 0}")
        ruled = [row for row in rows if asked is None or row.selector == asked]
        if not ruled or newest not in {self._newest(row) for row in ruled}:
            return _unknown(f"{asked} does not choose the build of these releases", self._sure(newest))
        fitting = [row for row in ruled if row.cuda is not None and row.cuda.has_prefix(wanted)]
        if not fitting:
            return CondaChoice(why=CondaWhy.NO_SUCH_CUDA, near=tuple(ruled))
        if newest not in {self._newest(row) for row in fitting}:
            return _unknown(f"whether conda takes {newest} without CUDA or an older release is not known")
        return self._chosen(fitting)

    def _sure(self, newest: Version) -> Version | None:
        return newest if is_pinned(self._install) or self._has_ended else None

    def _by_driver(self, rows: Sequence[CondaBuild]) -> CondaChoice:
        """A channel whose CUDA builds want the driver's virtual package."""
        request = self._request
        wants_cpu = "cpuonly" in request.specs or request.package.endswith("-cpu") or "cpu" in request.build
        wants_cuda = request.package.endswith("-gpu") or "cuda" in request.build or "gpu" in request.build
        wants_cuda = wants_cuda or any(name.endswith("-gpu") for name in request.specs)
        is_known = is_pinned(self._install)
        plain = [row for row in rows if row.cuda is None]
        if wants_cpu:
            return self._chosen(plain) if is_known else _unknown("its channel may have a newer release")
        if not request.driver:
            why = CondaWhy.NEEDS_DRIVER if wants_cuda else CondaWhy.WITHOUT_DRIVER
            near = tuple(row for row in rows if row.needs_driver)
            row = plain[-1] if plain else None
            return CondaChoice(
                why=why, row=row, version=row.versions[-1] if row and is_known else None, near=near
            )
        if not is_known:
            return _unknown("its channel may have a newer release")
        return self._with_driver([row for row in rows if row.cuda is not None], request.driver)

    def _with_driver(self, rows: Sequence[CondaBuild], driver: str) -> CondaChoice:
        match = _MINOR.match(driver)
        wished = _MINOR.fullmatch(self._request.specs.get("cuda-version", ("", ""))[0])
        fitting = [
            row
            for row in rows
            if row.cuda is not None
            and (match is None or row.cuda.major <= Version(match[1]).major)
            and (wished is None or row.cuda.has_prefix(Version(wished[1])))
            and (not any(map(str.isdigit, self._request.build)) or row.build[2:] in self._request.build)
        ]
        if match is None or len(fitting) != 1:
            return _unknown("nothing says which CUDA it is built for: cuda-version=...", rows[0].versions[-1])
        return self._chosen(fitting)

    def _chosen(self, rows: Sequence[CondaBuild]) -> CondaChoice:
        if not rows:
            return _unknown("the facts know no such build on its channel")
        row = max(rows, key=self._newest)
        return CondaChoice(why=CondaWhy.CHOSEN, row=row, version=self._newest(row))


def as_build(row: CondaBuild, version: Version, install: Install) -> FrameworkBuild:
    """A build on a channel in the form of one of the package index: it brings its own CUDA."""
    is_gpu = row.cuda is not None
    return FrameworkBuild(
        framework=row.framework,
        version=version,
        build=row.build,
        platforms=row.platforms,
        released=None,
        pythons=(),
        glibc=_GLIBC,
        provider=CudaProvider.WHEELS if is_gpu else CudaProvider.NONE,
        cuda=VersionWish(str(row.cuda)) if is_gpu else None,
        cudnn=VersionWish(str(row.cudnn)) if row.cudnn is not None else None,
        nccl=None,
        cubins=row.cubins,
        ptx=row.ptx,
        index=INDEX,
        requires=(f"{install.requirement.name}==={version}",),
        toolkit_extras=(),
        cudnn_package=None,
        reported=version.text,
        env={},
        size=None,
        source=row.source,
    )
