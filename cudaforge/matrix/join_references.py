"""Rules between tables: what a row names is there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from cudaforge.indexes import DEFAULT_INDEX
from cudaforge.matrix.companion import Companion, dated
from cudaforge.matrix.judged import (
    Join,
    all_builds,
    branches,
    capabilities,
    concerns,
    cuda_by_version,
    existing_images,
    families,
    is_confirmed,
    is_gpu_build,
)
from cudaforge.matrix.model import (
    BaseImage,
    Broken,
    CudaProvider,
    CudaRelease,
    Framework,
    FrameworkBuild,
    FrameworkImage,
    Gpu,
    OperatingSystem,
    StandalonePython,
)
from cudaforge.matrix.tables import Matrix
from cudaforge.versions import InvalidVersion, Version, VersionWish


def _system(matrix: Matrix, row: BaseImage | FrameworkImage) -> Iterator[str]:
    if row.os not in matrix.systems:
        yield f"os = {row.os!r}: no such operating system{_near(row.os, matrix.systems)}"


def _systems(matrix: Matrix, row: CudaRelease) -> Iterator[str]:
    for name in row.systems:
        if name not in matrix.systems:
            yield f"systems: {name!r} is no such operating system{_near(name, matrix.systems)}"


def _framework(matrix: Matrix, row: FrameworkBuild | Companion) -> Iterator[str]:
    if row.framework not in matrix.frameworks:
        known = matrix.find_framework(row.framework)
        hint = f": it is called {known.name!r}" if known else _near(row.framework, matrix.frameworks)
        yield f"framework = {row.framework!r}: no such framework{hint}"


def _index(matrix: Matrix, row: FrameworkBuild) -> Iterator[str]:
    if row.index != DEFAULT_INDEX and row.index not in matrix.indexes:
        known = (*matrix.indexes, DEFAULT_INDEX)
        yield f"index = {row.index!r}: no such package index{_near(row.index, known)}"


def _tombstone(matrix: Matrix, row: BaseImage) -> Iterator[str]:
    if row.replaced_by is None:
        return
    if row.removed is None:
        yield "replaced_by without removed: it still exists"
    if row.replaced_by not in existing_images(matrix):
        yield f"replaced_by = {row.replaced_by!r}: no such image, or it is gone itself"


def _broken(matrix: Matrix, row: Broken) -> Iterator[str]:
    name = row.when.get("framework")
    if name is not None and name not in matrix.frameworks:
        yield f"when.framework = {name!r}: no such framework{_near(name, matrix.frameworks)}"
    elif all_builds(matrix) and not any(concerns(matrix, row, build) for build in all_builds(matrix)):
        yield "no build is meant by it"


def _ignored(matrix: Matrix, row: Framework) -> Iterator[str]:
    known = {build.version for build in matrix.builds(row.name)}
    for version in row.ignored:
        if version in known:
            yield f"ignored names {version}, of which there are builds"


def _releases(matrix: Matrix, row: FrameworkBuild) -> Iterator[str]:
    """A build whose CUDA or cuDNN no row meets can never be chosen. Builds for releases from before the
    first row are facts that nothing is made of."""
    cuda = [one.version for one in matrix.cuda_releases]
    cudnn = [one.version for one in matrix.cudnn_releases]
    for key, wish, known in (("cuda", row.cuda, cuda), ("cudnn", row.cudnn, cudnn)):
        if wish is None or not known or _is_older(wish, min(known)):
            continue
        if not any(wish.allows(one) for one in known):
            yield f"{key} = {wish.text!r}: {key}.toml has no such release"


def _is_older(wish: VersionWish, first: Version) -> bool:
    try:
        return Version(wish.text) < first
    except InvalidVersion:  # a range
        return False


def _parts(matrix: Matrix, row: BaseImage | FrameworkImage) -> Iterator[str]:
    cuda = cuda_by_version(matrix)
    if row.removed is not None and row.cuda is not None and row.cuda < min(cuda, default=row.cuda):
        return  # tags that are gone may be older than the first release of the table
    cudnn = {one.version: one for one in matrix.cudnn_releases}
    if row.cudnn is not None and row.cudnn not in cudnn and is_confirmed(row.source):
        yield f"cudnn = {row.cudnn}: cudnn.toml has no such release"
    if isinstance(row, BaseImage) and row.cuda is not None and row.cuda not in cuda:
        yield f"cuda = {row.cuda}: cuda.toml has no such release"
    # NVIDIA's own framework images pair them ahead of the releases.
    if isinstance(row, BaseImage) and row.cudnn in cudnn and row.cuda is not None:
        release = cudnn[row.cudnn]
        majors = {*release.cuda, *release.capability_min, *release.packages}
        if majors and str(row.cuda.major) not in majors:
            yield f"cudnn = {row.cudnn}: it is not made for CUDA {row.cuda.major}"


def _contents(matrix: Matrix, row: FrameworkImage) -> Iterator[str]:
    """Vendors build their images from sources between releases, too: those are pre-releases."""
    for package, text in row.contents.items():
        framework = matrix.find_framework(package)
        try:
            version = Version(text).public()
        except InvalidVersion:
            yield f"contents: {package} {text!r} is not a version"
            continue
        known = {one.version for one in matrix.builds(framework.name)} if framework else set()
        if known and min(known) < version and not version.is_prerelease and version not in known:
            yield f"contents: {package} {text}: the framework has no such release"


def _pythons(
    matrix: Matrix,
    row: FrameworkBuild | Companion | BaseImage | FrameworkImage | OperatingSystem | StandalonePython,
) -> Iterator[str]:
    """Pythons from before the first row are not told."""
    if isinstance(row, (FrameworkBuild, Companion)):
        named: Iterable[str | None] = row.pythons
    else:
        named = (row.minor if isinstance(row, StandalonePython) else row.python,)
    known = {Version(one) for one in matrix.pythons}
    for text in dict.fromkeys(one.removesuffix("t") for one in named if one is not None):
        try:
            version = Version(text)
        except InvalidVersion:
            yield f"{text!r} is no minor version of Python"
            continue
        if known and version not in known and version > min(known):
            yield f"Python {version}: pythons.toml has no such version"


def _drivers(matrix: Matrix, row: CudaRelease | Gpu | BaseImage) -> Iterator[str]:
    known = branches(matrix)
    if not known:
        return
    if isinstance(row, Gpu):
        if row.last_branch is not None and row.last_branch not in known:
            yield f"last_branch = {row.last_branch}: drivers.toml has no such branch"
        return
    named: Iterable[int] = row.gate_branches if isinstance(row, BaseImage) else row.compat_branches
    key = "gate_branches" if isinstance(row, BaseImage) else "compat_branches"
    # Branches from before the first row are not told.
    for branch in named:
        if branch > min(known) and branch not in known:
            yield f"{key}: drivers.toml has no branch {branch}"
    driver = row.driver if isinstance(row, CudaRelease) else None
    if driver is not None and driver.major > min(known) and driver.major not in known:
        yield f"driver = {driver}: drivers.toml has no such branch"


def _gpu(matrix: Matrix, row: Gpu) -> Iterator[str]:
    """GPUs older than every CUDA of the table are only too old."""
    known = capabilities(matrix)
    is_judged = known and is_confirmed(row.source) and row.capability >= min(known)
    if is_judged and not any(one.major == row.capability.major and one <= row.capability for one in known):
        yield f"capability = {row.capability}: no CUDA has code for it"


def _family(matrix: Matrix, row: Gpu) -> Iterator[str]:
    """Only the first of several that disagree is taken at its word."""
    first = families(matrix).get(row.capability)
    if row.family is not None and row.family != first:
        yield f"family = {row.family!r}: others of {row.capability} are {first!r}"


def _companion(matrix: Matrix, row: Companion) -> Iterator[str]:
    versions = {one.version for one in matrix.builds(row.framework)}
    if versions and not any(row.needs.allows(version) for version in versions):
        yield f"needs = {row.needs.text!r}: {row.framework} has no such release"


def _day(matrix: Matrix, row: Companion) -> Iterator[str]:
    if dated(row, matrix.builds(row.framework)).is_unknown:
        yield (
            f"needs = {row.needs.text!r}, with no upper limit: of what is compiled against one release that "
            f"says nothing of later ones, and no release of {row.framework} is known by its own day "
            f"(released = {row.released!r}); or say that its abi is stable or none"
        )


def _packages(matrix: Matrix, row: FrameworkBuild) -> Iterator[str]:
    cuda = [one for one in matrix.cuda_releases if row.cuda is not None and row.cuda.allows(one.version)]
    if row.toolkit_extras and cuda and not any(one.metapackage for one in cuda):
        yield f"toolkit_extras: no CUDA release that {row.cuda} allows has a metapackage"
    cudnn = [one for one in matrix.cudnn_releases if row.cudnn is not None and row.cudnn.allows(one.version)]
    if row.cudnn_package and not any(row.cudnn_package in one.packages.values() for one in cudnn):
        yield f"cudnn_package = {row.cudnn_package!r}: no cuDNN release that it loads is such a package"
    if row.nccl_package and row.nccl is None:
        yield "nccl_package without nccl: which version of it?"


def _contradiction(_: Matrix, row: FrameworkBuild) -> Iterator[str]:
    """What a build says of itself must hold together: CPU builds have no CUDA, all others have."""
    if not is_gpu_build(row) and (row.cuda is not None or row.cubins is not None):
        yield "provider = 'none' and CUDA beside it"
    if is_gpu_build(row) and row.cuda is None:
        yield "cuda is missing"
    if not row.requires:
        yield "requires is missing"
    if row.own_base and row.provider is not CudaProvider.SYSTEM:
        yield f"own_base = true, and provider = {row.provider.value!r}: it loads no CUDA of the base"


def _feed(matrix: Matrix, row: StandalonePython) -> Iterator[str]:
    known = {feed.name for feed in matrix.feeds if feed.subject == "python"}
    if row.feed not in known:
        yield f"feed = {row.feed!r}: no such feed of Pythons{_near(row.feed, known)}"


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


REFERENCE_RULES: dict[str, Join] = {
    "unknown-system": Join(
        subjects=("base_images", "framework_images"),
        statement="images are made of systems of the table",
        find=_system,
    ),
    "unknown-systems": Join(
        subjects=("cuda",), statement="CUDA is packaged for systems of the table", find=_systems
    ),
    "unknown-framework": Join(
        subjects=("builds", "companions"),
        statement="builds and companions belong to a framework",
        find=_framework,
    ),
    "unknown-index": Join(
        subjects=("builds",), statement="builds come from an index of the table", find=_index
    ),
    "tombstone": Join(
        subjects=("base_images",),
        statement="what replaces a removed tag exists, and only a removed tag is replaced",
        find=_tombstone,
    ),
    "broken-reference": Join(
        subjects=("broken",), statement="what is known not to work is some known build", find=_broken
    ),
    "contradiction": Join(
        subjects=("builds",), statement="a build says one thing of itself", find=_contradiction
    ),
    "ignored-release": Join(
        subjects=("frameworks",),
        statement="a release that is ignored has no builds",
        find=_ignored,
    ),
    "unknown-release": Join(
        subjects=("builds",), statement="some CUDA and some cuDNN meet each build", find=_releases
    ),
    "wheel-packages": Join(
        subjects=("builds",),
        statement="the packages that pin the CUDA, cuDNN and NCCL of a build are known",
        find=_packages,
    ),
    "parts-of-images": Join(
        subjects=("base_images", "framework_images"),
        statement="the CUDA and the cuDNN in an image are releases of the tables, made for each other",
        find=_parts,
    ),
    "contents-of-images": Join(
        subjects=("framework_images",),
        statement="the frameworks in a published image are known releases",
        find=_contents,
    ),
    "unknown-python": Join(
        subjects=(
            "builds",
            "companions",
            "base_images",
            "framework_images",
            "systems",
            "standalone_pythons",
        ),
        statement="each Python is one of the table",
        find=_pythons,
    ),
    "unknown-feed": Join(
        subjects=("standalone_pythons",),
        statement="standalone Pythons come from a feed of the table",
        find=_feed,
    ),
    "driver-branch": Join(
        subjects=("cuda", "gpus", "base_images"),
        statement="every driver belongs to a branch",
        find=_drivers,
    ),
    "cuda-for-gpu": Join(subjects=("gpus",), statement="some CUDA has code for each GPU", find=_gpu),
    "family": Join(
        subjects=("gpus",), statement="GPUs of one compute capability are of one family", find=_family
    ),
    "release-for-companion": Join(
        subjects=("companions",),
        statement="a companion goes with some release of its framework",
        find=_companion,
    ),
    "day-of-companion": Join(
        subjects=("companions",),
        statement="what is compiled against a framework, and needs it from a release on, was released on a "
        "day by which there was one",
        find=_day,
    ),
}
"""Rules on references, by name."""
