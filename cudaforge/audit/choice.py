"""What pip, or uv, would install of a framework: on that date, for that Python, platform and system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from cudaforge.audit.names import (
    Channels,
    channels,
    find_distribution,
    main_name,
    normal,
    other_names,
    serves,
)
from cudaforge.audit.state import Install
from cudaforge.indexes import DEFAULT_INDEX
from cudaforge.matrix.model import FrameworkBuild, OperatingSystem
from cudaforge.matrix.model_audit import WheelTag
from cudaforge.matrix.sources import Strength
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record
from cudaforge.versions import Version, VersionWish


class Why(str, Enum):
    """Why nothing can be installed, or why that is not known."""

    RELEASE_UNKNOWN = "release-unknown"
    NOT_YET = "not-yet"
    PYTHON = "python"
    PYTHON_UNKNOWN = "python-unknown"
    PLATFORM = "platform"
    BUILD = "build"
    INDEX = "index"
    INDEX_UNKNOWN = "index-unknown"
    GLIBC = "glibc"
    PIP = "pip"
    MUSL = "musl"
    EXTRA_UNKNOWN = "extra-unknown"


@record()
class Question:
    """For what an installer chooses."""

    platform: str
    as_of: str
    python: str | None
    systems: tuple[OperatingSystem, ...]
    is_musl: bool = False


@record()
class Candidate:
    """A build on an index, and the version that it has there."""

    build: FrameworkBuild
    version: Version
    index: str


@record()
class Choice:
    """What is installed; or why nothing is, and `near`, the builds that it failed on."""

    build: FrameworkBuild | None = None
    version: Version | None = None
    why: Why | None = None
    near: tuple[FrameworkBuild, ...] = ()
    missing_extra: str | None = None
    is_exact: bool = False
    """Whether the requirement allows this one version alone."""


_UNKNOWN_RELEASE = Choice(why=Why.RELEASE_UNKNOWN)


def is_pinned(install: Install) -> bool:
    """Whether a requirement names one version."""
    return any(
        one.operator == "===" or (one.operator == "==" and not one.version.endswith(".*"))
        for one in install.requirement.specifier
    )


def choose(
    matrix: Matrix,
    framework: str,
    install: Install,
    question: Question,
    *,
    needs: Sequence[VersionWish] = (),
) -> Choice:
    """What is installed for a requirement of a framework; `needs` are limits by what comes with it."""
    name = normal(install.requirement.name)
    retired = find_distribution(matrix, name)
    if retired is not None and retired.replaced_by is not None:
        own = {main_name(build)[0] for build in matrix.builds(framework)}
        dead = [
            build
            for build in matrix.builds(framework)
            if retired.versions is None or retired.versions.allows(build.version)
        ]
        if name not in own or any(_allowed(install, build.version, needs) for build in dead):
            name = retired.replaced_by
    return _Chooser(matrix, framework, install, question, needs, name).choose()


def _allowed(install: Install, version: Version, needs: Iterable[VersionWish]) -> bool:
    try:
        spec: SpecifierSet = install.requirement.specifier
        within = spec.contains(version.text, prereleases=True)
    except InvalidSpecifier:
        return False
    return within and all(wish.allows(version) for wish in needs)


class _Chooser:
    """Narrows the builds down, one condition after the other."""

    def __init__(
        self,
        matrix: Matrix,
        framework: str,
        install: Install,
        question: Question,
        needs: Sequence[VersionWish],
        name: str,
    ) -> None:
        self._matrix, self._install, self._question = matrix, install, question
        self._needs, self._name = needs, name
        self._builds = matrix.builds(framework)
        self._channels: Channels = channels(matrix, install)
        self._extras = frozenset(map(normal, install.requirement.extras))

    def choose(self) -> Choice:
        """What is installed."""
        question = self._question
        named = [build for build in self._builds if main_name(build)[0] == self._name]
        label = self._label()
        public = [build for build in named if self._is_wished(build, label)]
        if not public:
            return Choice(why=Why.BUILD, near=near) if (near := self._skipped(named)) else _UNKNOWN_RELEASE
        on_date = [one for one in public if one.released is None or one.released <= question.as_of]
        if not on_date:
            return Choice(why=Why.NOT_YET, near=tuple(public))
        if question.is_musl:
            return Choice(why=Why.MUSL, near=tuple(on_date))
        if self._channels.unknown or (self._channels.is_open and not self._label()):
            return Choice(why=Why.INDEX_UNKNOWN, near=tuple(on_date))
        if question.python is None:
            return self._without_python(on_date)
        return self._fitting(on_date)

    def _skipped(self, named: Sequence[FrameworkBuild]) -> tuple[FrameworkBuild, ...]:
        """The builds of a pinned release that the package itself skipped: it has older and newer ones."""
        if not is_pinned(self._install):
            return ()
        label = self._label()
        others = [build for build in self._builds if self._is_wished(build, label)]
        versions = [build.version for build in named]
        is_between = bool(others and versions) and min(versions) < others[0].version < max(versions)
        return tuple(others) if is_between and self._channels.default else ()

    def _without_python(self, builds: Sequence[FrameworkBuild]) -> Choice:
        """A pinned release may be one build whatever the Python."""
        here = [build for build in builds if self._question.platform in build.platforms]
        found = self._narrow(self._candidates(here))
        if not is_pinned(self._install) or found.build is None:
            return Choice(why=Why.PYTHON_UNKNOWN, near=tuple(builds))
        return found

    def _fitting(self, builds: Sequence[FrameworkBuild]) -> Choice:
        question = self._question
        python = [one for one in builds if question.python in one.pythons]
        if not python:
            why = Why.RELEASE_UNKNOWN if self._may_go_back(builds) else Why.PYTHON
            return Choice(why=why, near=tuple(builds))
        platform = [one for one in python if question.platform in one.platforms]
        if not platform:
            return Choice(why=Why.PLATFORM, near=tuple(python))
        candidates = self._candidates(platform)
        if not candidates:
            return self._no_candidate(platform, builds)
        oldest = min((system.glibc for system in question.systems), default=None)
        loads = [one for one in candidates if oldest is None or one.build.glibc <= oldest]
        if not loads:
            return Choice(why=Why.GLIBC, near=tuple(one.build for one in candidates))
        seen = [one for one in loads if is_seen(self._matrix, one.build, self._install)]
        if not seen:
            return Choice(why=Why.PIP, near=tuple(one.build for one in loads))
        return self._narrow(seen)

    def _may_go_back(self, builds: Sequence[FrameworkBuild]) -> bool:
        """Whether the installer may find a release for an old Python that is older than the facts go."""
        python = self._question.python
        minors = [Version(one) for build in builds for one in build.pythons if not one.endswith("t")]
        oldest = min(build.version for build in self._builds)
        is_old = python is not None and bool(minors) and Version(python) < min(minors)
        before = f"{max(oldest.release[0] - 1, 0)}.999999"
        return is_old and any(
            _contains(self._install.requirement.specifier, one)
            and all(w.allows(Version(one)) for w in self._needs)
            for one in (
                before,
                f"{oldest.release[0]}.0.1",
                f"{oldest.release[0]}.{max(oldest.release[1] - 1, 0)}.9",
            )
            if Version(one) < oldest
        )

    def _no_candidate(self, platform: Sequence[FrameworkBuild], builds: Sequence[FrameworkBuild]) -> Choice:
        label = self._label()
        if label and any(build.build == label for build in platform):
            return Choice(why=Why.INDEX, near=tuple(platform))
        elsewhere = [
            build
            for build in builds
            if any(serves(index, build) for index in self._channels.named) or build.build == label
        ]
        if elsewhere and not any(self._question.platform in build.platforms for build in elsewhere):
            return Choice(why=Why.PLATFORM, near=tuple(elsewhere))
        if self._channels.named and not any(
            serves(index, build) for index in self._channels.named for build in self._builds
        ):
            return Choice(why=Why.INDEX, near=tuple(platform))
        return Choice(why=Why.BUILD, near=tuple(platform))

    def _label(self) -> str | None:
        for one in self._install.requirement.specifier:
            _, plus, local = one.version.partition("+")
            if plus:
                return local
        return None

    def _is_wished(self, build: FrameworkBuild, label: str | None) -> bool:
        if build.version.is_prerelease and not (self._install.prerelease or is_pinned(self._install)):
            return False
        spec = self._install.requirement.specifier
        text = f"{build.version.public().text}+{label}" if label else build.version.text
        return _contains(spec, text) and all(wish.allows(build.version) for wish in self._needs)

    def _candidates(self, builds: Iterable[FrameworkBuild]) -> list[Candidate]:
        """On the indexes that are looked at, with the versions that the builds have there."""
        found: list[Candidate] = []
        label = self._label()
        for build in builds:
            if self._install.origin.direct:
                if label in (None, build.build):
                    found.append(_labelled(build, "address"))
                continue
            if self._channels.is_open and label == build.build:
                found.append(_labelled(build, "links"))
            found += (
                _labelled(build, index)
                for index in self._channels.named
                if serves(index, build) and label in (None, build.build)
            )
            if self._channels.default and build.index == DEFAULT_INDEX and label is None:
                found.append(Candidate(build=build, version=build.version, index=DEFAULT_INDEX))
        if not self._install.best_match and any(one.index != DEFAULT_INDEX for one in found):
            found = [one for one in found if one.index != DEFAULT_INDEX]
        return found

    def _narrow(self, candidates: Sequence[Candidate]) -> Choice:
        if not candidates:
            return Choice(why=Why.BUILD)
        newest = max(one.version for one in candidates)
        best = [one for one in candidates if one.version == newest]
        public = newest.public() if newest.local else newest
        builds, missing, is_known = self._by_extras([one.build for one in best], public)
        if not is_known or not builds:
            return Choice(why=Why.EXTRA_UNKNOWN, version=public, near=tuple(one.build for one in best))
        chosen = min(builds, key=lambda build: (len(build.requires), build.build))
        return Choice(
            build=chosen,
            version=chosen.version,
            missing_extra=missing,
            is_exact=is_pinned(self._install),
        )

    def _by_extras(
        self, builds: Sequence[FrameworkBuild], version: Version
    ) -> tuple[list[FrameworkBuild], str | None, bool]:
        """The builds that the extras stand for, an extra that is not there, and whether all is clear."""
        plain = [build for build in builds if not main_name(build)[1]]
        missing = None
        for extra in sorted(self._extras):
            row = find_distribution(self._matrix, self._name, extra)
            if row is not None and row.versions is not None and not row.versions.allows(version):
                missing = extra
                continue
            with_extra = [build for build in builds if extra in main_name(build)[1]]
            if row is not None and row.build is not None:
                labelled = [build for build in builds if build.build == row.build]
                return labelled, None, bool(labelled)
            if with_extra:
                return with_extra, None, True
            if row is not None:
                return [], None, False
        if plain:
            least = min(len(other_names(build)) for build in plain)
            return [build for build in plain if len(other_names(build)) == least], missing, True
        return [], missing, False


def _labelled(build: FrameworkBuild, index: str) -> Candidate:
    text = f"{build.version.public().text}+{build.build}"
    return Candidate(build=build, version=Version(text), index=index)


@lru_cache(maxsize=16384)
def _contains(spec: SpecifierSet, text: str) -> bool:
    return bool(spec.contains(text, prereleases=True))


def needed_tag(matrix: Matrix, build: FrameworkBuild) -> WheelTag | None:
    """The platform tag that the build's wheels have."""
    return next((row for row in matrix.wheel_tags if build.glibc <= row.glibc), None)


def is_seen(matrix: Matrix, build: FrameworkBuild, install: Install) -> bool:
    """Whether the pip that installs knows the platform tag of the build's wheels."""
    if install.pip is None:
        return True
    tag = needed_tag(matrix, build)
    return tag is None or install.pip >= tag.pip


def is_confirmed(build: FrameworkBuild) -> bool:
    """Whether the fact is more than inferred."""
    return build.source.strength is not Strength.INFERRED
