"""Rules about the CUDA and cuDNN libraries that are loaded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from cudaforge.matrix.model import CudaProvider, CudnnRelease
from cudaforge.resolver.candidates import BuildCandidate
from cudaforge.resolver.rules.scene import (
    CUDA,
    CUDNN,
    ENVIRONMENT,
    FIRST_FRAMEWORK,
    NONE_BIT,
    Bound,
    Scene,
    blocks_of,
    each_framework,
    union,
)
from cudaforge.resolver.solver import Blocks, Exclusion, Relation, Restriction
from cudaforge.resolver.tables import FrameworkTable, Tables, groups
from cudaforge.versions import Version, VersionWish


def cuda_libraries(scene: Scene) -> Iterator[Bound]:
    """The CUDA releases that each build loads; where its wheels are pinned by a metapackage, one exists."""
    for position, table, presence in each_framework(scene):
        blocks = table.keep("cuda", partial(_cuda_blocks, table, scene.tables))
        yield Bound(
            "cuda-libraries", Relation(FIRST_FRAMEWORK + position, CUDA, blocks), presence, position=position
        )


def _cuda_blocks(table: FrameworkTable, tables: Tables) -> Blocks:
    def allowed(candidate: BuildCandidate) -> int:
        mask = -1
        for row in candidate.rows:
            one = NONE_BIT if row.cuda is None else tables.cuda_wished(row.cuda)
            if row.toolkit_extras:
                one &= tables.cuda_where("metapackage", lambda release: release.metapackage is not None)
            mask &= one
        return mask

    return blocks_of(table, allowed)


def cudnn_libraries(scene: Scene) -> Iterator[Bound]:
    """The cuDNN releases that each build loads."""
    for position, table, presence in each_framework(scene):
        blocks = table.keep("cudnn", partial(_cudnn_blocks, table, scene.tables))
        yield Bound(
            "cudnn-libraries",
            Relation(FIRST_FRAMEWORK + position, CUDNN, blocks),
            presence,
            position=position,
        )


def _cudnn_blocks(table: FrameworkTable, tables: Tables) -> Blocks:
    def allowed(candidate: BuildCandidate) -> int:
        mask = -1
        for row in candidate.rows:
            if row.provider is CudaProvider.NONE:
                one = NONE_BIT
            elif row.cudnn is None:
                one = -1
            else:
                one = tables.cudnn_wished(row.cudnn)
            package = row.cudnn_package
            if package is not None:
                one &= tables.cudnn_packaged(package)
                one = _pinned(row.cudnn, tables) & one or one
            mask &= one
        return mask & (1 << len(tables.cudnn)) - 1

    return blocks_of(table, allowed)


def _pinned(wish: VersionWish | None, tables: Tables) -> int:
    """The release that is spelled exactly like this: ==9.1.0.70, as a wheel pins it, is no 9.1.0.70.post1."""
    text = wish.text if wish is not None else None
    return tables.cudnn_where(("pinned", text), lambda row: row.version.text == text)


def cudnn_and_cuda(scene: Scene) -> Iterator[Bound]:
    """The cuDNN supports the CUDA that it is loaded with."""
    tables = scene.tables
    blocks = tables.keep("cuda cudnn", lambda: _supported_pairs(tables))
    yield Bound("cudnn-cuda", Relation(CUDA, CUDNN, blocks))


def _supported_pairs(tables: Tables) -> Blocks:
    by_minor = groups(tables.cuda, lambda row: None if row is None else row.version.minor())
    everything = (1 << len(tables.cudnn)) - 1
    alike = groups(tables.cudnn, lambda row: None if row is None else _made_for(row))

    def supporting(minor: Version | None) -> int:
        if minor is None:
            return everything
        masks = (mask for made_for, mask in alike.items() if made_for and _supports(made_for, minor))
        return NONE_BIT | union(masks)

    return tuple((mask, supporting(minor)) for minor, mask in by_minor.items())


_MadeFor = tuple[tuple[tuple[str, str], ...], frozenset[str]]
"""CUDA major to its minors in one text, and every major that is named."""


def _made_for(row: CudnnRelease) -> _MadeFor:
    return tuple(row.cuda.items()), frozenset((*row.cuda, *row.capability_min, *row.packages))


def _supports(made_for: _MadeFor, minor: Version) -> bool:
    by_major, named = made_for
    major = str(minor.major)
    minors = dict(by_major).get(major, "").split()
    if minors:
        return str(minor) in minors
    return not named or major in named


def cudnn_is_brought(scene: Scene) -> Iterator[Bound]:
    """Frameworks that bring no cuDNN of their own, on a base that has none, make an image without."""
    parts = []
    needs = 0
    for position, table, presence in each_framework(scene):
        without = table.named("no cudnn", lambda one: all(row.cudnn is None for row in one.rows))
        parts.append((FIRST_FRAMEWORK + position, without))
        needs |= presence
    plain = scene.tables.environments_where("no cudnn", lambda one: one.cudnn is None)
    some = (1 << len(scene.tables.cudnn)) - 1 & ~NONE_BIT
    parts += [(ENVIRONMENT, plain), (CUDNN, some)]
    yield Bound("cudnn-libraries", Exclusion(tuple(parts)), needs)


def wished_cuda(scene: Scene) -> Iterator[Bound]:
    """The wishes on the CUDA and cuDNN that are loaded."""
    question = scene.question
    if question.wishes.cuda is not None:
        mask = scene.tables.cuda_wished(question.wishes.cuda)
        yield Bound("cuda-version", Restriction(CUDA, mask), question.bit("cuda"))
    if question.wishes.cudnn is not None:
        mask = scene.tables.cudnn_wished(question.wishes.cudnn)
        yield Bound("cudnn-version", Restriction(CUDNN, mask), question.bit("cudnn"), scene.cpu)


def known_releases(scene: Scene) -> Iterator[Bound]:
    """Releases and bases whose facts are only inferred are left out."""
    tables = scene.tables
    yield Bound("confirmed", Restriction(CUDA, tables.confirmed_cuda | NONE_BIT))
    yield Bound("confirmed", Restriction(CUDNN, tables.confirmed_cudnn | NONE_BIT))
    yield Bound("confirmed", Restriction(ENVIRONMENT, tables.confirmed_environments))
