"""What a source says and the rows do not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from cudaforge.matrix.companion import Companion
from cudaforge.matrix.model import Broken, CudaProvider, FrameworkBuild
from cudaforge.matrix.pins import pins_of
from cudaforge.refresher.model import Change, FoundRelease
from cudaforge.versions import InvalidVersion, Version, VersionWish


def pinned(build: FrameworkBuild) -> tuple[str, str] | None:
    """Package and version that a build is installed by: the first that it pins."""
    return next(iter(pins_of(build)), None)


def compare_index(
    builds: Sequence[FrameworkBuild],
    package: str,
    found: Mapping[str, FoundRelease],
    *,
    index: str,
    broken: Sequence[Broken] = (),
    ignored: Collection[Version] = (),
) -> tuple[Change, ...]:
    """What the releases of a package differ in from the builds that are installed by it.

    `builds` are all builds of one framework. Releases older than the oldest row, pre-releases and rows
    without a proof of existence are left out: nobody claims anything of them. A release that the
    framework has under another package, with CUDA where this one has it, is not new; nor is a yanked one a
    change that a row of `broken` tells of, or a release new that is `ignored`.
    """
    source = f"{index}: {package}"
    here = [row for row in builds if row.index == index]
    rows = [(build, one[1]) for build in here if (one := pinned(build)) is not None and one[0] == package]
    by_version = {version_key(version): release for version, release in found.items()}
    return (
        *_new_releases(
            builds[0].framework,
            [*known_versions(builds, package, index)],
            [one for one in found.values() if version_key(one.version.partition("+")[0]) not in ignored],
            source,
            oldest=[version for _, version in rows],
        ),
        *(
            change
            for build, version in rows
            if build.source.strength.value != "inferred"
            for change in _compare_build(build, by_version.get(version_key(version)), source)
            if change.kind != "yanked" or not _is_told(build, broken)
        ),
    )


def known_versions(builds: Sequence[FrameworkBuild], package: str, index: str) -> tuple[str, ...]:
    """The versions that count as known of a package: its own rows', and from then on those that the
    framework has under another name, for GPUs where the package is for GPUs. None where it has no row."""
    pins = [(build, one) for build in builds if build.index == index and (one := pinned(build)) is not None]
    own = [(build, one[1]) for build, one in pins if one[0] == package]
    kinds = {build.provider is CudaProvider.NONE for build, _ in own}
    others = [one[1] for build, one in pins if (build.provider is CudaProvider.NONE) in kinds]
    return tuple(dict.fromkeys([version for _, version in own] + others)) if own else ()


def _is_told(build: FrameworkBuild, broken: Sequence[Broken]) -> bool:
    """Whether a row says of the whole release that it is not to be had."""
    return any(
        row.is_fatal
        and row.when.keys() == {"framework", "version"}
        and row.when["framework"] == build.framework
        and VersionWish(row.when["version"]).allows(build.version)
        for row in broken
    )


def compare_companion(
    framework: str,
    rows: Sequence[Companion],
    package: str,
    found: Mapping[str, FoundRelease],
    *,
    index: str,
) -> tuple[Change, ...]:
    """The releases of a companion that came after those of its rows: by version, or by day."""
    mine = [row for row in rows if row.package == package]
    known = [str(row.version) for row in mine]
    newest = max(known, key=Version, default="")
    day = max((row.released for row in mine if row.released), default="9999")
    later = [
        one
        for one in found.values()
        if newest and (_is_later(one.version, newest) or (one.released or "") > day)
    ]
    return tuple(_new_releases(f"{framework} {package}", known, later, f"{index}: {package}"))


def new_releases(
    name: str, known: Sequence[str], found: Mapping[str, FoundRelease], *, source: str
) -> tuple[Change, ...]:
    """The releases that are not known, and newer than the oldest known one."""
    return tuple(_new_releases(name, known, found.values(), source))


def _is_later(version: str, than: str) -> bool:
    found = version_key(version)
    return isinstance(found, Version) and found > Version(than)


def _new_releases(
    name: str,
    known: Sequence[str],
    found: Iterable[FoundRelease],
    source: str,
    *,
    oldest: Sequence[str] | None = None,
) -> Iterator[Change]:
    """Those that are not known and newer than the oldest of `oldest`, by default of all known."""
    versions = {Version(version) for version in known}
    first = min(map(Version, known if oldest is None else oldest), default=None)
    if first is None:
        return
    candidates: list[tuple[Version, FoundRelease]] = []
    for release in found:
        version = version_key(release.version)
        if isinstance(version, Version) and not version.is_prerelease and not release.is_yanked:
            candidates.append((version, release))
    for version, release in sorted(candidates, key=lambda item: item[0]):
        if version not in versions and version > first:
            tells = [f"released {release.released}"] if release.released else []
            tells += [f"{platform}: {' '.join(minors)}" for platform, minors in release.pythons.items()]
            new = "; ".join(tells) or "there"
            row = f"{name} {release.version}"
            yield Change(kind="release", row=row, field="version", old=None, new=new, source=source)


def _compare_build(build: FrameworkBuild, found: FoundRelease | None, source: str) -> Iterator[Change]:
    row = f"{build.framework} {build.version} {build.build} {' '.join(build.platforms)}"
    if found is None:
        yield Change(kind="gone", row=row, field="version", old=str(build.version), new=None, source=source)
        return
    if found.is_yanked:
        yield Change(kind="yanked", row=row, field="version", old=str(build.version), new=None, source=source)
    for platform in build.platforms:
        if found.platforms and platform not in found.platforms:
            yield Change(kind="gone", row=row, field="platforms", old=platform, new=None, source=source)
    minors = {found.pythons[platform] for platform in build.platforms if platform in found.pythons}
    if len(minors) == 1 and set(build.pythons) != set(new := minors.pop()):
        yield Change(
            kind="differs",
            row=row,
            field="pythons",
            old=" ".join(build.pythons),
            new=" ".join(new),
            source=source,
        )


def version_key(version: str) -> Version | str:
    """Versions that are written in several ways are one: 2.10 and 2.10.0."""
    try:
        return Version(version)
    except InvalidVersion:
        return version
