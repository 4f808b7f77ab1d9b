"""Comparing the matrix with what the package index answers, live or recorded."""

from collections.abc import Iterator, Mapping

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version as Release

from cudaforge.matrix.model import CudaProvider
from cudaforge.versions import Version, VersionWish

OLDEST = {"torch": "1.11", "tensorflow": "2.4", "jax": "0.4.16"}
PLATFORMS = ("linux/amd64", "linux/arm64")


def missing(matrix, package: str, listing: Mapping) -> list[str]:
    """Releases that the index serves, from the oldest that counts on, and that have no row."""
    rows = {Release(row.version.text) for row in matrix.builds(package)}
    return [
        version
        for version, entry in listing.items()
        if Release(version) >= Release(OLDEST[package])
        and not entry["yanked"]
        and Release(version) not in rows
        and not is_known_broken(matrix, package, version)
    ]


def is_known_broken(matrix, package: str, version: str) -> bool:
    name = matrix.builds(package)[0].framework
    return any(
        row.is_fatal
        and row.when.get("framework") == name
        and set(row.when) == {"framework", "version"}
        and VersionWish(row.when["version"]).allows(Version(version))
        for row in matrix.broken
    )


def wrong_pythons(matrix, package: str, listings: Mapping[str, Mapping]) -> Iterator[str]:
    """Builds of the site's own index whose platform or Pythons are not those of their wheels."""
    for row in matrix.builds(package):
        is_history = Release(row.version.text) < Release(OLDEST[package])
        if row.index != "default" or is_history or is_known_broken(matrix, package, row.version.text):
            continue
        for platform in row.platforms:
            served = _served(row, platform, listings)
            if served is None:
                yield f"{row.version} {row.build}: the index has no wheels for {platform}"
            elif not _agrees(row, served):
                yield (
                    f"{row.version} {row.build} {platform}: Pythons {' '.join(row.pythons)}, "
                    f"on the index {' '.join(sorted(served, key=lambda python: int(python.rstrip('t')[2:])))}"
                )


def _agrees(row, served: set[str]) -> bool:
    """Packages that an extra brings may have wheels for fewer Pythons (TensorRT of tensorflow 2.14)."""
    pythons = set(row.pythons)
    has_extras = any(Requirement(text).extras for text in row.requires)
    return pythons == served or (has_extras and bool(pythons) and pythons < served)


def _served(row, platform: str, listings: Mapping[str, Mapping]) -> set[str] | None:
    """The Pythons that all packages of a build have wheels for."""
    found: set[str] | None = None
    allowed = []
    for text in row.requires:
        requirement = Requirement(text)
        (pin,) = requirement.specifier
        entry = listings[requirement.name].get(str(Release(pin.version)))
        if entry is None:
            return None
        allowed.append(SpecifierSet(entry["requires_python"]))
        if "any" in entry["pythons"]:
            continue
        if platform not in entry["pythons"]:
            return None
        pythons = set(entry["pythons"][platform].split())
        found = pythons if found is None else found & pythons
    return {
        python
        for python in found or set()
        if all(limit.contains(f"{python.rstrip('t')}.99") for limit in allowed)
    }


def wrong_libraries(matrix, pins: Mapping, toolkits: Mapping[str, str]) -> Iterator[str]:
    """Default builds of torch whose CUDA, cuDNN or NCCL is not what the wheel's METADATA pins."""
    for version, platforms in pins.items():
        for platform, texts in platforms.items():
            where = f"torch {version} {platform}"
            rows = [
                row
                for row in matrix.builds("torch")
                if Release(row.version.text) == Release(version)
                and row.index == "default"
                and platform in row.platforms
            ]
            if len(rows) != 1:
                yield f"{where}: {len(rows)} default builds"
                continue
            required = {one.name: one for one in map(Requirement, texts) if not one.name.startswith("triton")}
            yield from (f"{where}: {what}" for what in _differences(matrix, rows[0], required, toolkits))


def _differences(matrix, row, required: Mapping[str, Requirement], toolkits) -> Iterator[str]:
    if not required:
        if row.provider is not CudaProvider.NONE:
            yield f"the wheel pins no CUDA, the build is {row.build}"
        return
    if row.provider is not CudaProvider.WHEELS:
        yield f"the wheel pins CUDA, the build is {row.build}"
        return
    yield from _library(required, "nvidia-cudnn-cu", row.cudnn_package, str(row.cudnn))
    yield from _library(required, "nvidia-nccl-cu", row.nccl_package, str(row.nccl))
    wanted = _releases(matrix, required, toolkits)
    said = {str(release.version) for release in matrix.cuda_releases if row.cuda.allows(release.version)}
    if not said or not said <= wanted:
        yield f"cuda = {row.cuda}, METADATA says one of {sorted(wanted)}"


def _library(required: Mapping[str, Requirement], prefix: str, package: str | None, version: str):
    (pin,) = (str(one) for name, one in required.items() if name.startswith(prefix))
    if pin != f"{package}=={version}":
        yield f"METADATA pins {pin}, the row says {package}=={version}"


def _releases(matrix, required: Mapping[str, Requirement], toolkits: Mapping[str, str]) -> set[str]:
    """The CUDA releases that the pins may be of. The runtime names them: several may share one, and those
    before 11.8 have no metapackage, so that its minor alone is known."""
    if "cuda-toolkit" in required:
        metapackages = {
            version for version in toolkits if required["cuda-toolkit"].specifier.contains(version)
        }
    else:
        (runtime,) = (
            one.specifier for name, one in required.items() if name.startswith("nvidia-cuda-runtime-cu")
        )
        metapackages = {version for version, pinned in toolkits.items() if runtime.contains(pinned)}
        if not metapackages:
            minor = next(iter(runtime)).version.rpartition(".")[0]
            return {
                str(one.version) for one in matrix.cuda_releases if VersionWish(minor).allows(one.version)
            }
    exact = {f"cuda-toolkit=={version}" for version in metapackages}
    return {str(one.version) for one in matrix.cuda_releases if one.metapackage in exact}
