"""Closures of images for several platforms: the same versions on each, in the files that each takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cudaforge.errors import NegativeAnswer, Problem
from cudaforge.packages.model import LockedWheel
from cudaforge.packages.question import Offer
from cudaforge.records import record, replace


@record()
class Split:
    """A package that two platforms have in different versions."""

    package: str
    versions: Mapping[str, str]
    """Platform to version."""

    @property
    def limit(self) -> str:
        """The oldest of the versions, as a requirement: what one platform has at most."""
        from packaging.version import Version

        return f"{self.package}==={min(self.versions.values(), key=Version)}"

    @property
    def text(self) -> str:
        """For people."""
        said = " and ".join(f"{version} on {platform}" for platform, version in self.versions.items())
        return f"{self.package} is {said}, and an image has one version of a package on all its platforms"


def find_splits(found: Mapping[str, Sequence[Offer]]) -> tuple[Split, ...]:
    """The packages that the platforms would have in different versions, by name."""
    versions: dict[str, dict[str, str]] = {}
    for platform, offers in found.items():
        for offer in offers:
            versions.setdefault(offer.package, {})[platform] = offer.version
    return tuple(
        Split(package=package, versions=each)
        for package, each in sorted(versions.items())
        if len(set(each.values())) > 1
    )


def agreed(
    platforms: Sequence[str], ask_for: Callable[[str, Sequence[Split]], tuple[Offer, ...]]
) -> Mapping[str, tuple[Offer, ...]]:
    """The files for each platform, in the same versions: where one has no newer version of a package, all are
    asked again for the one that it has. Raises what `ask_for` raises, given a platform and the splits so far;
    NegativeAnswer where a version that was asked for is not the one that comes."""
    splits: list[Split] = []
    while True:
        found = {platform: ask_for(platform, splits) for platform in platforms}
        more = find_splits(found)
        if not more:
            return found
        again = {split.package for split in splits}
        stuck = [split.text for split in more if split.package in again]
        if stuck:
            raise NegativeAnswer(
                Problem(what=stuck[0], remedy="check uv's own variables and files for overrides")
            )
        splits += more


def joined(chosen: Mapping[str, Sequence[LockedWheel]]) -> tuple[LockedWheel, ...]:
    """The files of all platforms, each once, sorted by package: with the platforms that take it where those
    are not all."""
    platforms: dict[LockedWheel, list[str]] = {}
    for platform, wheels in chosen.items():
        for wheel in wheels:
            platforms.setdefault(wheel, []).append(platform)
    every = [
        replace(wheel, platforms=() if len(takers) == len(chosen) else tuple(sorted(takers)))
        for wheel, takers in platforms.items()
    ]
    return tuple(sorted(every, key=lambda wheel: (wheel.package, wheel.filename)))
