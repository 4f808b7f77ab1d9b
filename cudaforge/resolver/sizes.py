"""What an image is expected to weigh, part by part, and what of it is there twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cudaforge.declaration.model import Flavor
from cudaforge.matrix.model import BaseImage, CudaProvider, FrameworkBuild
from cudaforge.matrix.tables import Matrix
from cudaforge.resolver.candidates import NOTHING, BuildCandidate, Environment
from cudaforge.resolver.model import Bytes, Duplicate, PythonProvider, Size, SizePart
from cudaforge.resolver.packages import named
from cudaforge.units import bytes_text


def expected_size(
    builds: Sequence[BuildCandidate], environment: Environment, matrix: Matrix, packages: Sequence[str] = ()
) -> Size:
    """The bytes of an image of these builds on that base; `packages` are what is asked for besides."""
    rows = [build.row for build in builds]
    parts = (*_base(environment), *_wheels(rows), *_packages(packages))
    compressed = [one.bytes.compressed for one in parts]
    installed = [one.bytes.installed for one in parts]
    is_whole = None not in compressed and None not in installed
    return Size(
        compressed=_sum(compressed),
        installed=_sum(installed),
        known=is_whole and len(rows) == 1,
        parts=parts,
        duplicate=_duplicate(rows, environment, matrix),
    )


def _sum(parts: Iterable[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _base(environment: Environment) -> Iterator[SizePart]:
    yield SizePart(kind="base", name=environment.reference, bytes=environment.size)
    if environment.standalone is not None:  # nobody says how large it is
        yield SizePart(kind="python", name=f"Python {environment.standalone.version}", bytes=Bytes())
    added = environment.packages_size
    if added != NOTHING:
        own = environment.os.python_packages if environment.python_provider is PythonProvider.DISTRO else ()
        names = ", ".join(dict.fromkeys((*own, *environment.os.library_packages)))
        yield SizePart(kind="os-packages", name=names, bytes=added)


def _wheels(rows: Sequence[FrameworkBuild]) -> Iterator[SizePart]:
    """Frameworks in one environment share NVIDIA's wheels: these count once, the larger set of them."""
    for row in rows:
        yield SizePart(
            kind="wheels",
            name=f"{row.framework} {row.version}+{row.build}",
            bytes=Bytes(
                compressed=_without(row.size, row.cuda_size),
                installed=_without(row.installed, row.cuda_installed),
            ),
        )
    largest = max(rows, key=lambda row: row.cuda_installed or 0)
    if largest.cuda_installed is not None:
        shared = Bytes(compressed=largest.cuda_size, installed=largest.cuda_installed)
        yield SizePart(kind="cuda-wheels", name="nvidia-*", bytes=shared)


def _without(whole: int | None, part: int | None) -> int | None:
    return None if whole is None else whole - (part or 0)


def _packages(texts: Sequence[str]) -> Iterator[SizePart]:
    if texts:
        names = ", ".join(dict.fromkeys(named(text) for text in texts))
        yield SizePart(kind="packages", name=names, bytes=Bytes())


def _duplicate(rows: Sequence[FrameworkBuild], environment: Environment, matrix: Matrix) -> Duplicate | None:
    if has_two_copies(environment):
        own = _cuda_of_base(environment, matrix)
        if own is not None:
            return Duplicate(compressed=own.compressed, installed=own.installed, known=True)
        return _as_large_as(rows)
    is_bundled = [_bundles(row) for row in rows]
    if any(is_bundled) and len(rows) > 1:
        return _as_large_as([row for row in rows if not _bundles(row)])
    return None


def has_two_copies(environment: Environment) -> bool:
    """Whether the base has CUDA's libraries, and the wheels bring their own."""
    return (
        environment.provider is CudaProvider.WHEELS
        and environment.toolkit is not None
        and Flavor.BASE not in environment.flavors
    )


def _bundles(row: FrameworkBuild) -> bool:
    """Whether the framework's own wheel holds the CUDA that it loads, as far as anybody has looked."""
    return row.provider is CudaProvider.WHEELS and row.installed is not None and row.cuda_installed is None


def _as_large_as(rows: Sequence[FrameworkBuild]) -> Duplicate:
    """The other copy, as large as the one in NVIDIA's wheels; of what is not known, nothing is said."""
    largest = max(rows, key=lambda row: row.cuda_installed or 0, default=None)
    return Duplicate(
        compressed=None if largest is None else largest.cuda_size,
        installed=None if largest is None else largest.cuda_installed,
        known=False,
    )


def _cuda_of_base(environment: Environment, matrix: Matrix) -> Bytes | None:
    """What the base has more than the one of its release and system that has the runtime alone."""
    size = environment.size
    if size.compressed is None or size.installed is None:
        return None
    smallest = next((one for one in matrix.cuda_images if _is_base_of(one, environment)), None)
    if smallest is None or smallest.size is None or smallest.installed is None:
        return None
    return Bytes(compressed=size.compressed - smallest.size, installed=size.installed - smallest.installed)


def _is_base_of(image: BaseImage, environment: Environment) -> bool:
    return (
        image.cuda == environment.toolkit
        and image.os == environment.os.id
        and image.flavor == Flavor.BASE.value
        and image.removed is None
    )


def weight_of_build(build: BuildCandidate) -> tuple[int | None, int | None]:
    """What `total_rank` takes of a build."""
    return build.row.installed, build.row.cuda_installed


def weight_of_environment(one: Environment) -> int | None:
    """What `total_rank` takes of a base."""
    base, added = one.size.installed, one.packages_size.installed
    if base is None or added is None or one.standalone is not None:
        return None
    return base + added


def total_rank(weights: Sequence[object]) -> tuple[int, int]:
    """How good builds and a base (the last of them) are where the smallest image is the best: how many of
    them nobody has weighed, then the bytes on disk of the others."""
    *of_builds, base = weights
    known = [one for one in of_builds if isinstance(one, tuple) and one[0] is not None]
    shared = max((cuda or 0 for _, cuda in known), default=0)
    total = sum(installed - (cuda or 0) for installed, cuda in known) + shared
    unknown = len(of_builds) - len(known)
    return (unknown, total + base) if isinstance(base, int) else (unknown + 1, total)


def second_copy(size: Size) -> str | None:
    """A warning for an image that carries CUDA twice."""
    duplicate = size.duplicate
    if duplicate is None:
        return None
    what = "the image carries a second copy of CUDA"
    if duplicate.installed is None:
        return f"{what}, of a size that is not known"
    return f"{what}, about {bytes_text(duplicate.installed)}"


def too_large(size: Size, limit: int) -> str | None:
    """A warning for an image that is known to grow beyond what is allowed."""
    if size.installed is None or size.installed <= limit:
        return None
    return (
        f"about {bytes_text(size.installed)} on disk are expected, more than max_size allows "
        f"({bytes_text(limit)})"
    )
