"""Comparing one subject after another with its sources: each function takes the facts and who can be asked,
and returns the differences and the rows that would mend them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from cudaforge.indexes import DEFAULT_INDEX
from cudaforge.matrix import Matrix
from cudaforge.matrix.companion import Companion, CompanionRole
from cudaforge.matrix.model import BaseImage, FrameworkImage
from cudaforge.pipeline.sources import Sources
from cudaforge.records import record, replace
from cudaforge.refresher import (
    Change,
    FoundRelease,
    Proposal,
    Tombstone,
    compare_companion,
    compare_index,
)
from cudaforge.refresher.builds import Frame, propose_release
from cudaforge.refresher.changes import pinned
from cudaforge.refresher.companions import propose_companion
from cudaforge.refresher.images import (
    compare_tags,
    find_new_bases,
    find_new_framework_images,
    gather,
    new_tag_change,
    propose_base,
    repository_of,
)
from cudaforge.refresher.toolkits import (
    compare_cuda,
    compare_cuda_feed,
    compare_cudnn,
    compare_cudnn_feed,
    cudnn_packages,
    metapackages,
)
from cudaforge.resources import find_resource

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# A registry counts each manifest as a pull, three for an image of two platforms, and allows few an hour.
_MOST_IMAGES = 25
_Image = TypeVar("_Image", BaseImage, FrameworkImage)


@record()
class Difference:
    """What one subject differs in from its sources."""

    changes: tuple[Change, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()
    silent: tuple[str, ...] = ()
    """Releases that a row needs more for than their source says."""


def compare_framework(matrix: Matrix, name: str, sources: Sources) -> Difference:
    """The builds of a framework with the indexes that they come from, and its companions."""
    builds = matrix.builds(name)
    changes: list[Change] = []
    ignored = matrix.frameworks[name].ignored
    feeds = dict.fromkeys((build.index, one[0]) for build in builds if (one := pinned(build)) is not None)
    for index, package in feeds:
        found = sources.releases(index, package)
        if found is not None:
            changes += compare_index(
                builds, package, found, index=index, broken=matrix.broken, ignored=ignored
            )
    proposed = tuple(_propose_releases(matrix, name, changes, sources))
    own = Difference(
        changes=tuple(changes),
        proposals=tuple(one for one in proposed if isinstance(one, Proposal)),
        silent=tuple(one for one in proposed if isinstance(one, str)),
    )
    return together([own, compare_companions(matrix, name, sources)])


def _propose_releases(
    matrix: Matrix, name: str, changes: Iterable[Change], sources: Sources
) -> Iterable[Proposal | str]:
    """The row of each new release, or why it has none."""
    new = dict.fromkeys(
        one.row.rpartition(" ")[2].partition("+")[0] for one in changes if one.kind == "release"
    )
    if not new:
        return
    file = f"frameworks/{name}.toml"
    path = find_resource("matrices") / file
    if not path.is_file():  # a framework of an overlay: its form is not ours to know
        return
    frame = Frame(file=file, document=tomllib.loads(path.read_text(encoding="utf-8")))
    for version in new:
        found = propose_release(frame, name, version, sources, matrix.cuda_releases)
        yield found if isinstance(found, Proposal) else f"{name} {version}: no row: {found}"


def compare_companions(matrix: Matrix, name: str, sources: Sources) -> Difference:
    """The packages that are released for a framework, or compiled against it.

    A release whose METADATA says no more than that it needs the framework has no row: of what is released
    for the framework it is told, for somebody to look at its vendor's page.
    """
    installed_by = {one[0] for build in matrix.builds(name) if (one := pinned(build)) is not None}
    rows = [row for row in matrix.companions(name) if row.role is not CompanionRole.DEPENDENCY]
    parts = []
    for package in dict.fromkeys(row.package for row in rows):
        known = [row for row in rows if row.package == package]
        found = sources.releases(DEFAULT_INDEX, package)
        if found is not None:
            new = compare_companion(name, known, package, found, index=DEFAULT_INDEX)
            parts.append(_companion_rows(known, new, found, installed_by, sources))
    return together(parts)


def _companion_rows(
    known: Sequence[Companion],
    new: Sequence[Change],
    found: Mapping[str, FoundRelease],
    installed_by: set[str],
    sources: Sources,
) -> Difference:
    newest = max(known, key=lambda row: row.version)
    changes: list[Change] = []
    proposals: list[Proposal] = []
    silent: list[str] = []
    for change in reversed(new):
        release = found[change.row.rpartition(" ")[2]]
        requires = sources.requirements(release.wheels[0]) if release.wheels else None
        if requires is None:
            changes.append(change)
            continue
        proposal = propose_companion(newest, release, requires, installed_by)
        if not proposal.missing:
            changes.append(change)
            proposals.append(proposal)
        elif newest.role is CompanionRole.EXTENSION:
            break  # a package that has stopped to say so does not say it of the releases before
        else:
            silent.append(f"{change.row} ({change.new}): no row, for want of {', '.join(proposal.missing)}")
    return Difference(
        changes=tuple(reversed(changes)), proposals=tuple(reversed(proposals)), silent=tuple(reversed(silent))
    )


def compare_all_companions(matrix: Matrix, sources: Sources) -> Difference:
    """The companions of all frameworks."""
    return together(compare_companions(matrix, name, sources) for name in sorted(matrix.frameworks))


def compare_toolkits(matrix: Matrix, sources: Sources) -> Difference:
    """CUDA with its metapackages and NVIDIA's manifests."""
    rows = matrix.cuda_releases
    parts = []
    for package in metapackages(rows):
        found = sources.releases(DEFAULT_INDEX, package)
        if found is not None:
            parts.append(compare_cuda(rows, package, found, index=DEFAULT_INDEX))
    for feed in matrix.feeds:
        if feed.subject == "cuda":
            releases = sources.feed(feed.url, "cuda", [row.version for row in rows])
            if releases is not None:
                parts.append(compare_cuda_feed(rows, releases, feed=feed.name))
    changes = tuple(change for one, _ in parts for change in one)
    proposals = tuple(proposal for _, one in parts for proposal in one)
    return Difference(changes=changes, proposals=_merged(proposals))


def _merged(proposals: Sequence[Proposal]) -> tuple[Proposal, ...]:
    """One for each row: what the index says of a release, and the manifest, are one row."""
    found: dict[str, Proposal] = {}
    for one in proposals:
        before = found.get(one.row)
        if before is None:
            found[one.row] = one
            continue
        entry = {**one.entries[0], **before.entries[0]}
        found[one.row] = replace(before, entries=(entry,), basis=f"{before.basis}; {one.basis}")
    return tuple(found.values())


def compare_cudnns(matrix: Matrix, sources: Sources) -> Difference:
    """The cuDNN releases with their wheels and NVIDIA's manifests."""
    rows = matrix.cudnn_releases
    found = {
        major: releases
        for major, package in cudnn_packages(rows).items()
        if (releases := sources.releases(DEFAULT_INDEX, package)) is not None
    }
    changes, proposals, left_out = compare_cudnn(rows, found, index=DEFAULT_INDEX)
    for feed in matrix.feeds:
        if feed.subject == "cudnn":
            listed = sources.feed(feed.url, "cudnn", [row.version for row in rows])
            changes = (*changes, *compare_cudnn_feed(rows, listed or (), feed=feed.name))
    return Difference(changes=changes, proposals=proposals, silent=left_out)


def compare_bases(matrix: Matrix, sources: Sources) -> Difference:
    """The tags of base images with their registries: gone, there again, new."""
    parts = []
    for repository, rows in _by_repository(matrix.base_images).items():
        tags = sources.tags(repository)
        if tags is None:
            continue
        changes, tombstones = compare_tags("base_images", rows, tags, source=repository)
        new = find_new_bases(rows, tags)
        read = [(one, configs) for one in new[:_MOST_IMAGES] if (configs := sources.image(one.reference))]
        proposals = gather([propose_base(one, configs, source=repository) for one, configs in read])
        told = tuple(new_tag_change(one, repository) for one in new)
        more = len(new) - _MOST_IMAGES
        silent = (f"{more} more new tags of {repository}: not looked into in this run",) if more > 0 else ()
        parts.append(
            Difference(changes=(*changes, *told), proposals=proposals, tombstones=tombstones, silent=silent)
        )
    return together(parts)


def compare_framework_images(matrix: Matrix, sources: Sources) -> Difference:
    """The tags of published framework images. What is inside a new one its registry does not say."""
    parts = []
    for repository, rows in _by_repository(matrix.framework_images).items():
        tags = sources.tags(repository)
        if tags is None:
            continue
        changes, tombstones = compare_tags("framework_images", rows, tags, source=repository)
        new = find_new_framework_images(rows, tags, source=repository)
        parts.append(Difference(changes=(*changes, *new), tombstones=tombstones))
    return together(parts)


def _by_repository(rows: Iterable[_Image]) -> Mapping[str, list[_Image]]:
    found: dict[str, list[_Image]] = {}
    for row in rows:
        found.setdefault(repository_of(row.reference)[0], []).append(row)
    return found


def together(parts: Iterable[Difference]) -> Difference:
    """Several differences as one, what is in two of them once."""
    known = tuple(parts)
    proposals = {(one.file, one.row): one for part in known for one in part.proposals}
    return Difference(
        changes=tuple(dict.fromkeys(change for one in known for change in one.changes)),
        proposals=tuple(proposals.values()),
        tombstones=tuple(stone for one in known for stone in one.tombstones),
        silent=tuple(dict.fromkeys(text for one in known for text in one.silent)),
    )


COMPARED: Mapping[str, Callable[[Matrix, Sources], Difference]] = {
    "cuda": compare_toolkits,
    "cudnn": compare_cudnns,
    "base_images": compare_bases,
    "framework_images": compare_framework_images,
    "companions": compare_all_companions,
}
"""Subjects besides the frameworks whose sources can be asked."""
