"""What package indexes told of the packages that an image is to have: facts that no table has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cudaforge.records import made, record, replace
from cudaforge.resolver.packages import normal

_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*={2,3}\s*(?P<version>[^\s;,*]+)")


@record()
class Obstacle:
    """With which values some packages do not go.

    Either `needs` says which versions of what the frameworks pin the packages allow, or `excluded` with which
    of its versions they were proven not to go, or `tried` which frameworks they were found not to go with,
    or none of them: then nothing of the frameworks matters.
    """

    packages: tuple[str, ...]
    """As they are asked for: `vllm==0.10.0`."""
    python: str | None
    """Holds on this Python alone; None on all."""
    glibc: str | None = None
    """Holds with this C library alone."""
    needs: tuple[str, str] | None = None
    """A package that frameworks pin, and the versions of it that are allowed (PEP 440)."""
    excluded: tuple[str, str] | None = None
    """A package that frameworks pin, and versions of it (PEP 440) of which none goes with the packages."""
    index: str | None = None
    """With `excluded`: the index that was asked. Of builds that another one serves it says nothing."""
    tried: Mapping[str, str] = made(default_factory=dict)
    """Framework to its release, or to its release with the build's label."""
    text: str
    """The obstacle in words."""

    def excludes(self, pins: Iterable[str]) -> bool:
        """Whether one of these exact pins (`torch===2.8.0`) is a version that `needs` does not allow, or
        that is `excluded`."""
        versions = tuple(exact_versions(pins))
        if self.needs is not None:
            package, allowed = self.needs
            return any(name == package and not is_allowed(version, allowed) for name, version in versions)
        if self.excluded is not None:
            package, excluded = self.excluded
            return any(name == package and is_within(version, excluded) for name, version in versions)
        return False


def widened(obstacle: Obstacle) -> Obstacle:
    """What packages need, taken to be the same on every Python: likely, and not proven."""
    is_of_versions = obstacle.needs is not None or obstacle.excluded is not None
    return replace(obstacle, python=None) if is_of_versions else obstacle


def exact_versions(requirements: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The packages that are pinned to one version, and that version."""
    for text in requirements:
        match = _PIN.fullmatch(text.strip())
        if match is not None:
            yield normal(match["name"]), match["version"]


def is_allowed(version: str, allowed: str) -> bool:
    """Whether a version specifier allows a version; what is no version is not judged."""
    # 14 ms of import, only where packages collide.
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        return SpecifierSet(allowed).contains(Version(version), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return True


def is_within(version: str, specifier: str) -> bool:
    """Whether a version is one that an index would have offered for a specifier: no pre-release, for one."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=False)
    except (InvalidSpecifier, InvalidVersion):
        return False


def asked(learnt: Sequence[Obstacle], packages: Iterable[str]) -> tuple[Obstacle, ...]:
    """The obstacles that are about packages of these alone."""
    wanted = set(packages)
    return tuple(one for one in learnt if wanted.issuperset(one.packages))
