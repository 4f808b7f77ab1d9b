"""What a source says and the rows do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cudaforge.matrix.model import Companion, FrameworkBuild
from cudaforge.matrix.pins import pins_of
from cudaforge.records import record
from cudaforge.refresher.index import FoundRelease
from cudaforge.versions import InvalidVersion, Version


@record()
class Change:
    """One difference between a row and its source."""

    kind: str
    """`release` (new), `gone`, `yanked`, `differs`."""
    row: str
    """The row in words: `pytorch 2.8.0 cu128 linux/amd64`."""
    field: str
    old: str | None
    new: str | None
    source: str
    """The index that says so, by name, and the package."""


def pinned(build: FrameworkBuild) -> tuple[str, str] | None:
    """Package and version that a build is installed by: the first that it pins."""
    return next(iter(pins_of(build)), None)


def compare_index(
    framework: str,
    builds: Sequence[FrameworkBuild],
    package: str,
    found: Mapping[str, FoundRelease],
    *,
    index: str,
) -> tuple[Change, ...]:
    """What the releases of a package differ in from the builds that are installed by it.

    `builds` are those of one framework on one index. Releases older than the oldest row, pre-releases
    and rows without a proof of existence are left out: nobody claims anything of them.
    """
    source = f"{index}: {package}"
    rows = [(build, one[1]) for build in builds if (one := pinned(build)) is not None and one[0] == package]
    by_version = {_key(version): release for version, release in found.items()}
    return (
        *_new_releases(framework, [version for _, version in rows], found.values(), source),
        *(
            change
            for build, version in rows
            if build.source.strength.value != "inferred"
            for change in _compare_build(build, by_version.get(_key(version)), source)
        ),
    )


def compare_companion(
    framework: str,
    rows: Sequence[Companion],
    package: str,
    found: Mapping[str, FoundRelease],
    *,
    index: str,
) -> tuple[Change, ...]:
    """The releases of a companion that came after the newest of its rows."""
    known = [str(row.version) for row in rows if row.package == package]
    newest = max(known, key=Version, default="")
    later = [one for one in found.values() if newest and _is_later(one.version, newest)]
    return tuple(_new_releases(f"{framework} {package}", known, later, f"{index}: {package}"))


def _is_later(version: str, than: str) -> bool:
    found = _key(version)
    return isinstance(found, Version) and found > Version(than)


def _new_releases(
    name: str, known: Sequence[str], found: Iterable[FoundRelease], source: str
) -> Iterator[Change]:
    versions = {Version(version) for version in known}
    if not versions:
        return
    candidates: list[tuple[Version, FoundRelease]] = []
    for release in found:
        version = _key(release.version)
        if isinstance(version, Version) and not version.is_prerelease and not release.is_yanked:
            candidates.append((version, release))
    for version, release in sorted(candidates, key=lambda item: item[0]):
        if version not in versions and version > min(versions):
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


def _key(version: str) -> Version | str:
    """Versions that are written in several ways are one: 2.10 and 2.10.0."""
    try:
        return Version(version)
    except InvalidVersion:
        return version
