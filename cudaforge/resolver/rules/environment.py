"""Rules about the base image, its OS and its Python."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import combinations

from cudaforge.declaration.model import Flavor
from cudaforge.matrix.model import CudaProvider
from cudaforge.resolver.candidates import BOOTSTRAP, Environment, brings_compat, has_installer
from cudaforge.resolver.rules.scene import (
    CUDA,
    CUDNN,
    ENVIRONMENT,
    FIRST_FRAMEWORK,
    NONE_BIT,
    Bound,
    Scene,
    each_framework,
    each_platform,
    union,
    wished_minors,
    wished_patches,
)
from cudaforge.resolver.solver import Blocks, Relation, Restriction
from cudaforge.resolver.tables import Tables
from cudaforge.versions import Version, VersionWish


def same_provider(scene: Scene) -> Iterator[Bound]:
    """Frameworks and base agree on who brings CUDA."""
    for position, table, presence in each_framework(scene):
        by_provider = table.by("provider", lambda one: one.row.provider)
        blocks = tuple((mask, scene.tables.by_provider.get(key, 0)) for key, mask in by_provider.items())
        relation = Relation(FIRST_FRAMEWORK + position, ENVIRONMENT, blocks)
        yield Bound("one-provider", relation, presence, position=position)


def loaded_from_base(scene: Scene) -> Iterator[Bound]:
    """With CUDA from the image, what is loaded is what the base has; with none, nothing is."""
    tables = scene.tables
    cuda, cudnn = tables.keep("from base", lambda: _base_blocks(tables))
    yield Bound("base-cuda", Relation(ENVIRONMENT, CUDA, cuda))
    yield Bound("base-cudnn", Relation(ENVIRONMENT, CUDNN, cudnn))


def _base_blocks(tables: Tables) -> tuple[Blocks, Blocks]:
    some = (1 << len(tables.cuda)) - 1 & ~NONE_BIT
    whole = (1 << len(tables.cudnn)) - 1

    def cuda(key: tuple[CudaProvider, Version | None, bool]) -> int:
        provider, version, is_own = key
        if provider is CudaProvider.NONE:
            return NONE_BIT
        if provider is CudaProvider.WHEELS or version is None:
            return some
        return tables.cuda_where(
            ("is", version.text, is_own), lambda row: _is_release(row.version, version, is_own)
        )

    def cudnn(key: tuple[CudaProvider, Version | None, bool]) -> int:
        provider, version, is_own = key
        if provider is CudaProvider.WHEELS:
            return whole
        if provider is CudaProvider.NONE or version is None:
            return NONE_BIT
        return tables.cudnn_where(
            ("is", version.text, is_own), lambda row: _is_release(row.version, version, is_own)
        )

    by_cuda = tables.environments_by("loaded cuda", lambda one: (one.provider, one.toolkit, one.is_own))
    by_cudnn = tables.environments_by("loaded cudnn", lambda one: (one.provider, one.cudnn, one.is_own))
    return (
        tuple((mask, cuda(key)) for key, mask in by_cuda.items()),
        tuple((mask, cudnn(key)) for key, mask in by_cudnn.items()),
    )


def _is_release(release: Version, wanted: Version, is_own: bool) -> bool:  # noqa: FBT001 -- a fact of the base
    """A base of the user's own is described by as many components as they care to write."""
    return release.has_prefix(wanted) if is_own else release == wanted


def devel_toolkit(scene: Scene) -> Iterator[Bound]:
    """A `devel` toolkit has the wheels' CUDA major, and their minor unless another is asked for."""
    tables, question = scene.tables, scene.question
    for rule, is_minor in (("toolkit-major", False), ("toolkit-minor", True)):
        blocks = tables.keep(rule, partial(_toolkit_blocks, tables, is_minor=is_minor))
        unless = question.bit("toolkit") | question.bit("base") if is_minor else 0
        yield Bound(rule, Relation(ENVIRONMENT, CUDA, blocks), unless=unless)


def _toolkit_blocks(tables: Tables, *, is_minor: bool) -> Blocks:
    def key(one: Environment) -> Version | None:
        if one.provider is not CudaProvider.WHEELS or one.toolkit is None or Flavor.DEVEL not in one.flavors:
            return None
        return one.toolkit.minor() if is_minor else Version(str(one.toolkit.major))

    everything = (1 << len(tables.cuda)) - 1
    return tuple(
        (mask, everything if version is None else tables.cuda_with_prefix(version))
        for version, mask in tables.environments_by(f"toolkit {is_minor}", key).items()
    )


def python_wheels(scene: Scene) -> Iterator[Bound]:
    """Each framework has wheels for the Python."""
    for position, table, presence in each_framework(scene):
        by_pythons = table.by(
            "pythons", lambda one: frozenset.intersection(*(frozenset(row.pythons) for row in one.rows))
        )
        by_python = scene.tables.by_python
        blocks = tuple(
            (mask, union(by_python.get(python, 0) for python in pythons))
            for pythons, mask in by_pythons.items()
        )
        relation = Relation(FIRST_FRAMEWORK + position, ENVIRONMENT, blocks)
        yield Bound("python-wheels", relation, presence, position=position)


def glibc(scene: Scene) -> Iterator[Bound]:
    """The OS has the glibc that each framework's binaries need."""
    for position, table, presence in each_framework(scene):
        by_need = table.by("glibc", lambda one: max(row.glibc for row in one.rows))
        by_glibc = scene.tables.by_glibc
        blocks = tuple(
            (mask, union(env for glibc, env in by_glibc.items() if glibc >= need))
            for need, mask in by_need.items()
        )
        yield Bound(
            "glibc", Relation(FIRST_FRAMEWORK + position, ENVIRONMENT, blocks), presence, position=position
        )


def platforms(scene: Scene) -> Iterator[Bound]:
    """Every platform asked for can be had; where none is, the default one."""
    for platform, needs, unless in each_platform(scene):
        yield from _platform(scene, platform, needs=needs, unless=unless)


def bootstrap_platforms(scene: Scene) -> Iterator[Bound]:
    """A base that is made of the packages of one architecture is for one platform."""
    if scene.question.base is None or not scene.question.base.startswith(BOOTSTRAP):
        return
    base = scene.question.bit("base")
    for (one, needs, unless), (other, more, without) in combinations(each_platform(scene), 2):
        if one != other and not (needs | more) & (unless | without):
            about = f"{min(one, other)} and {max(one, other)}"
            constraint = Restriction(ENVIRONMENT, 0)
            yield Bound("bootstrap-platforms", constraint, base | needs | more, unless | without, about)


def _platform(scene: Scene, platform: str, *, needs: int, unless: int) -> Iterator[Bound]:
    for position, table, presence in each_framework(scene):
        mask = table.named(("platform", platform), lambda one: platform in one.platforms)
        constraint = Restriction(FIRST_FRAMEWORK + position, mask)
        yield Bound("platforms", constraint, presence | needs, unless, platform, position)
    able = scene.tables.environments_where(
        ("platform", platform), lambda one: one.platforms is None or platform in one.platforms
    )
    yield Bound("base-platforms", Restriction(ENVIRONMENT, able), needs, unless, platform)


def base(scene: Scene) -> Iterator[Bound]:
    """The base asked for, or one that is offered; never a tag that is gone."""
    question, tables = scene.question, scene.tables
    bit = question.bit("base")
    offered = tables.environments_where("offered", lambda one: one.is_offered)
    kept = tables.environments_where("kept", lambda one: one.removed is None)
    forward = question.bit("forward_compat")
    yield Bound("offered-bases", Restriction(ENVIRONMENT, offered), unless=bit | forward)
    if forward:
        carrying = tables.environments_where("carrying", brings_compat)
        yield Bound("offered-bases", Restriction(ENVIRONMENT, offered | carrying), forward, bit)
    yield Bound("removed-tags", Restriction(ENVIRONMENT, kept))
    if question.base is not None:
        named = tables.environments_by("reference", lambda one: one.reference).get(question.base, 0)
        yield Bound("base", Restriction(ENVIRONMENT, named), bit)


def wished_environment(scene: Scene) -> Iterator[Bound]:
    """The wishes on OS, Python, providers, flavor and toolkit."""
    question, tables, wishes = scene.question, scene.tables, scene.question.wishes
    if wishes.os is not None:
        yield _environment("os", tables.by_os.get(wishes.os, 0), question.bit("os"))
    if wishes.python is not None:
        wished = tables.keep(("python", wishes.python.text), partial(_wished_pythons, tables, wishes.python))
        yield _environment("python-version", wished, question.bit("python"))
    if wishes.python_provider is not None:
        by_name = {key.value: mask for key, mask in tables.by_python_provider.items()}
        mask = by_name.get(wishes.python_provider, 0)
        yield _environment("python-provider", mask, question.bit("python_provider"))
    if wishes.cuda_provider is not None:
        by_name = {key.value: mask for key, mask in tables.by_provider.items()}
        mask = by_name.get(wishes.cuda_provider, 0)
        yield _environment("cuda-provider", mask, question.bit("cuda_provider"), scene.cpu)
    if wishes.flavor is not None:
        flavor = wishes.flavor
        mask = tables.environments_where(("flavor", flavor), lambda one: flavor in one.flavors)
        yield _environment("flavor", mask, question.bit("flavor"), scene.cpu)
    if wishes.toolkit is not None:
        toolkit = wishes.toolkit
        mask = tables.environments_where(
            ("toolkit", toolkit.text), lambda one: one.toolkit is not None and toolkit.allows(one.toolkit)
        )
        yield _environment("toolkit-version", mask, question.bit("toolkit"), scene.cpu)


def _wished_pythons(tables: Tables, wish: VersionWish) -> int:
    """By the minor, where that is all that is known, and by the patch, where that is known and wished for."""
    allowed = wished_minors(tables.by_python, wish)
    if not wished_patches(wish):
        return allowed
    for version, mask in tables.by_standalone.items():
        if version is not None:
            allowed = allowed | mask if wish.allows(version) else allowed & ~mask
    return allowed


def installable(scene: Scene) -> Iterator[Bound]:
    """A standalone Python goes where the OS packages that images need can be installed."""
    if scene.tables.by_standalone.keys() != {None}:
        able = scene.tables.environments_where(
            "installable", lambda one: one.standalone is None or one.is_own or has_installer(one.os)
        )
        yield Bound("os-packages", Restriction(ENVIRONMENT, able))


def _environment(rule: str, mask: int, needs: int, unless: int = 0) -> Bound:
    return Bound(rule, Restriction(ENVIRONMENT, mask), needs, unless)
