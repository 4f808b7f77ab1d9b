"""The rules written a second time, plainly, over raw rows, and a search that tries everything.

Shares no code with the resolver: what the two agree on is tested, what both get wrong is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product

from cudaforge.declaration.model import Wishes
from cudaforge.matrix import Matrix
from cudaforge.matrix.companion import Companion
from cudaforge.matrix.model import (
    BaseImage,
    CudaRelease,
    CudnnRelease,
    FrameworkBuild,
    Gpu,
    OperatingSystem,
    StandalonePython,
)
from cudaforge.versions import Version, VersionWish

DEFAULT_PLATFORM = "linux/amd64"


@dataclass(frozen=True)
class Base:
    reference: str
    system: OperatingSystem
    image: BaseImage | None
    python: str
    brings_python: bool = False
    is_bootstrap: bool = False
    standalone: StandalonePython | None = None

    @property
    def python_provider(self) -> str:
        if self.standalone is not None:
            return "standalone"
        return "image" if self.brings_python else "distro"


@dataclass(frozen=True)
class Set:
    """One complete choice: per framework a row for each platform, and the rest."""

    builds: tuple[tuple[FrameworkBuild, ...], ...]
    cuda: CudaRelease | None
    cudnn: CudnnRelease | None
    base: Base
    provider: str


def bases(matrix: Matrix) -> list[Base]:
    plain = {one.image: one for one in matrix.systems.values() if one.python}
    described = {one.reference for one in matrix.base_images if one.python is None and one.cuda is None}
    found = [Base(ref, one, None, one.python) for ref, one in plain.items() if ref not in described]
    found += [
        Base(f"bootstrap:{one.id}", one, None, one.python, is_bootstrap=True)
        for one in matrix.systems.values()
        if one.python and one.bootstrap_packages
    ]
    for image in matrix.base_images:
        system = matrix.systems.get(image.os)
        if system is not None and (image.python or system.python):
            found.append(
                Base(image.reference, system, image, image.python or system.python, image.python is not None)
            )
    return found


def weight(one: Set) -> tuple[int, int]:
    """How many of builds and base nobody has weighed, and the bytes on disk of the others."""
    unknown = total = shared = 0
    for builds in one.builds:
        row = builds[0]
        if row.installed is None:
            unknown += 1
        else:
            total += row.installed - (row.cuda_installed or 0)
            shared = max(shared, row.cuda_installed or 0)
    system, image = one.base.system, one.base.image
    if one.base.standalone is not None:  # nobody says how large it is
        parts: list[int | None] = [None]
    elif one.base.is_bootstrap:
        parts = [system.bootstrap_installed]
    elif one.base.brings_python:
        parts = [image.installed, system.library_installed]
    else:
        parts = [system.installed if image is None else image.installed, system.python_installed]
    if None in parts:
        return unknown + 1, total + shared
    return unknown, total + shared + sum(parts)


def standalone_bases(wishes: Wishes, matrix: Matrix) -> list[Base]:
    """Every base without a Python of its own, with each standalone one that is the newest of its minor, or of
    those of its minor that the wish for a patch allows."""
    bare = [Base(one.image, one, None, "") for one in matrix.systems.values()]
    described = {one.reference for one in matrix.base_images if one.python is None and one.cuda is None}
    bare = [one for one in bare if one.reference not in described]
    bare += [
        Base(f"bootstrap:{one.id}", one, None, "", is_bootstrap=True)
        for one in matrix.systems.values()
        if one.bootstrap_packages
    ]
    bare += [
        Base(one.reference, matrix.systems[one.os], one, "")
        for one in matrix.base_images
        if one.python is None and one.os in matrix.systems
    ]
    known = [row for row in matrix.standalone_pythons if confirmed(row)]
    is_patch = names_patch(wishes)
    allowed = [row for row in known if is_patch and wishes.python.allows(row.version)]
    chosen = [
        one
        for group in (known, allowed)
        for one in group
        if not any(other.minor == one.minor and other.version > one.version for other in group)
    ]
    return [
        replace(one, python=row.minor, standalone=row)
        for one in bare
        for row in chosen
        if one.system.glibc >= row.glibc and one.system.family in ("debian", "ubuntu")
    ]


def names_patch(wishes: Wishes) -> bool:
    return wishes.python is not None and wishes.python.text.count(".") > wishes.python.text.count(",") + 1


def tied(text: str, framework: str, matrix: Matrix) -> list[Companion]:
    """The releases that a requirement means, where they are known to be all. Requirements of the tests are
    `NAME==X`, `NAME<X` and `NAME>=X`."""
    name, operator, version = re.fullmatch(r"(\w+)([=<>]+)(.*)", text).groups()
    known = [one for one in matrix.companions(framework) if one.package == name]
    known = [one for one in known if one.role.value != "dependency"]
    meant = [one for one in known if VersionWish(operator + version).allows(one.version)]
    if operator == ">=" or not all(confirmed(one) for one in meant):
        return []
    if any(says_nothing_of_newer(one) and newest_then(one, matrix) is None for one in meant):
        return []
    return (
        []
        if operator == "<"
        and max((one.version for one in known), default=Version(version)) < Version(version)
        else meant
    )


def newest_then(row: Companion, matrix: Matrix) -> Version | None:
    """The newest release of the framework by the day of what was compiled against it."""
    there = [
        one.version
        for one in matrix.builds(row.framework)
        if one.released and row.released and one.released <= row.released
    ]
    return max((one for one in there if row.needs.allows(one) and not one.is_prerelease), default=None)


def says_nothing_of_newer(row: Companion) -> bool:
    return row.abi.value == "framework" and row.role.value != "dependency" and row.needs.text[0] == ">"


def reaches(row: Companion, version: Version, matrix: Matrix) -> bool:
    """What is compiled for one release goes with none that came after it, whatever the METADATA allows."""
    if says_nothing_of_newer(row):
        newest = newest_then(row, matrix)
        return row.needs.allows(version) and newest is not None and version <= newest
    return row.needs.allows(version)


def packages_fit(
    builds: tuple[tuple[FrameworkBuild, ...], ...], python: str, wishes: Wishes, matrix: Matrix
) -> bool:
    for text in wishes.packages:
        for build in (rows[0] for rows in builds):
            meant = tied(text, build.framework, matrix)
            if meant and not any(reaches(one, build.version, matrix) for one in meant):
                return False
            if meant and all(one.pythons and python not in one.pythons for one in meant):
                return False
    return True


def platforms_of(wishes: Wishes, matrix: Matrix) -> tuple[str, ...]:
    """Those asked for, else those of the machines that the GPUs are in, else the default one."""
    if wishes.platforms:
        return wishes.platforms
    gpus = [gpu for text in wishes.gpus for gpu in matrix.gpus if gpu.name == text]
    is_anywhere = [not gpu.platforms or DEFAULT_PLATFORM in gpu.platforms for gpu in gpus]
    elsewhere = {gpu.platforms[0] for gpu, anywhere in zip(gpus, is_anywhere, strict=True) if not anywhere}
    return (*sorted(elsewhere), *((DEFAULT_PLATFORM,) if any(is_anywhere) or not gpus else ()))


def can_start(wishes: Wishes, platforms: tuple[str, ...], matrix: Matrix) -> bool:
    gpus = [gpu for gpu in matrix.gpus if gpu.name in wishes.gpus and gpu.platforms]
    return all(set(gpu.platforms) & set(platforms) for gpu in gpus)


def solutions(wishes: Wishes, matrix: Matrix) -> Iterator[Set]:
    """Every choice that satisfies all wishes and rules."""
    platforms = platforms_of(wishes, matrix)
    if can_start(wishes, platforms, matrix):
        yield from _solutions(wishes, platforms, matrix)


def _solutions(wishes: Wishes, platforms: tuple[str, ...], matrix: Matrix) -> Iterator[Set]:
    per_framework = []
    for wish in wishes.frameworks:
        rows = [row for row in matrix.builds(wish.name) if build_fits(row, wish.version, wishes, matrix)]
        choices = [
            one for one in product(*([r for r in rows if p in r.platforms] for p in platforms)) if alike(one)
        ]
        per_framework.append(choices)
    for builds in product(*per_framework):
        for base in (*bases(matrix), *standalone_bases(wishes, matrix)):
            if not base_fits(base, builds, wishes, platforms):
                continue
            if not packages_fit(builds, base.python, wishes, matrix):
                continue
            for provider in ("wheels", "system", "none"):
                for cuda in (None, *matrix.cuda_releases):
                    for cudnn in (None, *matrix.cudnn_releases):
                        one = Set(builds, cuda, cudnn, base, provider)
                        if fits(one, wishes, matrix):
                            yield one


def alike(rows: tuple[FrameworkBuild, ...]) -> bool:
    return len({(r.version, r.build, r.index, r.provider, r.requires, r.reported) for r in rows}) == 1


def confirmed(row: object) -> bool:
    return row.source.strength.value != "inferred"


def build_fits(row: FrameworkBuild, wish: VersionWish | None, wishes: Wishes, matrix: Matrix) -> bool:
    if not confirmed(row) or (row.provider.value == "none") != wishes.is_cpu:
        return False
    names = wish is not None and wish.names_prerelease
    if row.version.is_prerelease and not names:
        return False
    if wish is not None and not wish.allows(Version(f"{row.version.public()}+{row.build}")):
        return False
    if wishes.build is not None and row.build != wishes.build:
        known = {one.build for one in matrix.builds(row.framework)}
        every = {one.build for other in wishes.frameworks for one in matrix.builds(other.name)}
        return wishes.build not in known and wishes.build in every
    return True


def base_fits(  # noqa: PLR0911 -- rules one after the other, on purpose
    base: Base, builds: tuple[tuple[FrameworkBuild, ...], ...], wishes: Wishes, platforms: tuple[str, ...]
) -> bool:
    image = base.image
    if not confirmed(base.system) or (image is not None and not confirmed(image)):
        return False
    if image is not None and (image.removed is not None or not set(platforms) <= set(image.platforms)):
        return False
    if wishes.base is not None and base.reference != wishes.base:
        return False
    if base.is_bootstrap and (wishes.base is None or len(platforms) > 1):
        return False
    if wishes.os is not None and base.system.id != wishes.os:
        return False
    if base.standalone is not None and not set(platforms) <= set(base.standalone.files):
        return False
    if wishes.python is not None:
        exact = base.standalone.version if base.standalone and names_patch(wishes) else Version(base.python)
        if not wishes.python.allows(exact):
            return False
    if wishes.python_provider not in (None, base.python_provider):
        return False
    rows = [row for one in builds for row in one]
    return all(base.python in row.pythons and base.system.glibc >= row.glibc for row in rows)


def fits(one: Set, wishes: Wishes, matrix: Matrix) -> bool:
    rows = [row for build in one.builds for row in build]
    return (
        all(row.provider.value == one.provider for row in rows)
        and libraries_fit(one, rows, wishes)
        and base_brings(one, wishes)
        and not known_broken(one, wishes, matrix)
        and (wishes.is_cpu or gpus_fit(one, rows, wishes, matrix))
    )


def libraries_fit(one: Set, rows: list[FrameworkBuild], wishes: Wishes) -> bool:  # noqa: C901, PLR0911 -- rules one after the other, on purpose
    cuda, cudnn = one.cuda, one.cudnn
    if any(row is not None and not confirmed(row) for row in (cuda, cudnn)):
        return False
    if (one.provider == "none") != (cuda is None):
        return False
    if one.provider == "none" and cudnn is not None:
        return False
    for row in rows:
        if row.cuda is None or cuda is None:
            if (row.cuda is None) != (cuda is None):
                return False
        elif not row.cuda.allows(cuda.version) or (row.toolkit_extras and cuda.metapackage is None):
            return False
        if row.cudnn is not None and (cudnn is None or not row.cudnn.allows(cudnn.version)):
            return False
        if row.cudnn_package is not None and (
            cudnn is None or row.cudnn_package not in cudnn.packages.values()
        ):
            return False
    if cuda is not None and cudnn is not None and not paired(cuda, cudnn):
        return False
    has_cudnn = one.base.image is not None and one.base.image.cudnn is not None
    brought = has_cudnn or any(row.cudnn is not None for row in rows) or not rows
    if cudnn is not None and not brought:
        return False
    if wishes.cuda is not None and (cuda is None or not wishes.cuda.allows(cuda.version)):
        return False
    wanted = None if wishes.is_cpu else wishes.cudnn
    return wanted is None or (cudnn is not None and wanted.allows(cudnn.version))


def paired(cuda: CudaRelease, cudnn: CudnnRelease) -> bool:
    major = str(cuda.version.major)
    if cudnn.cuda.get(major):
        return str(cuda.version.minor()) in cudnn.cuda[major].split()
    majors = set(cudnn.cuda) | set(cudnn.capability_min) | set(cudnn.packages)
    return major in majors or majors == set()


def base_brings(one: Set, wishes: Wishes) -> bool:  # noqa: C901, PLR0911 -- rules one after the other, on purpose
    image = one.base.image
    toolkit = image.cuda if image is not None else None
    is_forward = wishes.forward_compat and not wishes.is_cpu
    if one.provider == "system":
        if toolkit is None or image.flavor == "base" or toolkit != one.cuda.version:
            return False
        if image.cudnn != (one.cudnn.version if one.cudnn else None):
            return False
    if one.provider == "wheels" and toolkit is not None and image.flavor == "devel":
        if toolkit.major != one.cuda.version.major:
            return False
        if wishes.toolkit is None and wishes.base is None and toolkit.minor() != one.cuda.version.minor():
            return False
    if wishes.base is None and toolkit is not None and one.provider != "system":
        is_devel = one.provider == "wheels" and image.flavor == "devel" and image.cudnn is None
        carries = image.flavor == "base" and image.compat_platforms and one.provider == "wheels"
        if not is_devel and not (is_forward and carries):
            return False
    if wishes.is_cpu:
        return True
    if wishes.cuda_provider not in (None, one.provider):
        return False
    if wishes.toolkit is not None and (toolkit is None or not wishes.toolkit.allows(toolkit)):
        return False
    return wishes.flavor is None or wishes.flavor.value in flavors(one, toolkit)


def flavors(one: Set, toolkit: Version | None) -> set[str]:
    if one.provider == "none":
        return {"base", "runtime", "devel"}
    if toolkit is None:
        return {"base", "runtime"}
    own = one.base.image.flavor or "runtime"
    return {"base", "runtime"} if own == "base" else {own}


def runs(code: tuple[Version, ...], gpu: Gpu, matrix: Matrix) -> bool:
    """A cubin runs on its own capability, and on a higher minor of its major outside embedded GPUs."""
    for one in code:
        if one == gpu.capability:
            return True
        owners = {other.kind == "embedded" for other in matrix.gpus if other.capability == one}
        is_desktop_code = owners != {True}
        if (
            gpu.kind != "embedded"
            and is_desktop_code
            and one.major == gpu.capability.major
            and one < gpu.capability
        ):
            return True
    return False


def gpus_fit(one: Set, rows: list[FrameworkBuild], wishes: Wishes, matrix: Matrix) -> bool:  # noqa: C901, PLR0911, PLR0912 -- rules one after the other, on purpose
    driver = Version(wishes.driver) if wishes.driver else None
    cuda = one.cuda
    least = (cuda.minor_driver or cuda.driver) if cuda is not None else None
    gpus = [gpu for text in wishes.gpus for gpu in matrix.gpus if gpu.name == text]
    if wishes.forward_compat:
        if not forward_fits(one, gpus, driver, wishes, matrix):
            return False
    elif cuda is not None and driver is not None and (least is None or driver < least):
        return False
    gate = one.base.image.gate if one.base.image is not None else None
    is_kept = wishes.require_cuda.value == "keep"
    platforms = platforms_of(wishes, matrix)
    if gate and set(platforms) <= set(one.base.image.compat_platforms):
        gate = " ".join([gate, *forward_terms(one.base.image)])
    centre = [gpu for gpu in matrix.gpus if gpu.kind == "datacenter"][:1] if wishes.forward_compat else []
    wanted = [[gpu] for gpu in gpus] or [centre]
    if gate and is_kept and driver and not all(passes(gate, driver, one, matrix) for one in wanted):
        return False
    for gpu in gpus:
        if not confirmed(gpu):
            return False
        if driver is not None and gpu.first_driver is not None and driver < gpu.first_driver:
            return False
        if gpu.last_branch is not None:
            if driver is not None and driver.major > gpu.last_branch:
                return False
            if least is not None and least.major > gpu.last_branch:
                return False
            known = [
                Version(str(row.branch)) for row in matrix.driver_branches if row.branch <= gpu.last_branch
            ]
            if gate and is_kept and known and not any(passes(gate, one, [gpu], matrix) for one in known):
                return False
        native = None if wishes.forward_compat else driver
        if cuda is not None and not code_fits(one, rows, gpu, native, matrix):
            return False
    return True


def forward_terms(image: BaseImage) -> list[str]:
    return [
        f"brand={brand},driver>={branch},driver<{branch + 1}"
        for branch in image.gate_branches
        for brand in image.gate_brands
    ]


def forward_fits(one: Set, gpus: list[Gpu], driver: Version | None, wishes: Wishes, matrix: Matrix) -> bool:
    image = one.base.image
    toolkit = next((row for row in matrix.cuda_releases if image and row.version == image.cuda), None)
    if any(gpu.kind != "datacenter" for gpu in gpus) or toolkit is None or one.cuda is None:
        return False
    if not set(platforms_of(wishes, matrix)) <= set(image.compat_platforms):
        return False
    if not confirmed(toolkit) or not toolkit.compat_branches or toolkit.driver is None:
        return False
    if one.cuda.version.minor() > toolkit.version.minor():
        return False
    if any(gpu.last_branch is not None and toolkit.driver.major > gpu.last_branch for gpu in gpus):
        return False
    return driver is None or driver >= toolkit.driver or driver.major in toolkit.compat_branches


def code_fits(one: Set, rows: list[FrameworkBuild], gpu: Gpu, driver: Version | None, matrix: Matrix) -> bool:
    cuda = one.cuda
    if not runs(cuda.capabilities, gpu, matrix):
        return False
    oldest = one.cudnn.capability_min.get(str(cuda.version.major)) if one.cudnn is not None else None
    if oldest is not None and gpu.capability < oldest:
        return False
    newest = one.cudnn.capability_max.get(str(cuda.version.major)) if one.cudnn is not None else None
    if newest is not None and gpu.capability > newest and gpu.capability.major > newest.major:
        return False
    for row in rows:
        if gpu.platforms and not set(gpu.platforms) & set(row.platforms):
            continue
        if row.cubins is None and row.compiler is None:
            return False
        if row.cubins is None or runs(row.cubins, gpu, matrix):
            continue
        if not any(ptx <= gpu.capability for ptx in row.ptx):
            return False
        if driver is not None and (cuda.driver is None or driver < cuda.driver):
            return False
    return True


def wanted_cuda(gate: str) -> Version:
    return Version(gate.split(maxsplit=1)[0].removeprefix("cuda>="))


BRANDS = {"datacenter": ("tesla", "nvidia", "unknown"), "consumer": ("geforce", "titan")}


def passes(gate: str, driver: Version, gpus: list[Gpu], matrix: Matrix) -> bool:
    """Gates of the tests: `cuda>=X` and any number of `brand=NAME,driver>=A,driver<B`."""
    native = [row.cuda for row in matrix.driver_branches if row.branch <= driver.major]
    if native and native[-1] >= wanted_cuda(gate):
        return True
    in_range = set()
    for part in gate.split()[1:]:
        brand, low, high = part.split(",")
        if Version(low.removeprefix("driver>=")) <= driver < Version(high.removeprefix("driver<")):
            in_range.add(brand.removeprefix("brand="))
    for gpu in gpus:
        brands = BRANDS.get(gpu.kind, ("none",))
        if gpu.kind == "datacenter" and driver.major < 470:
            brands = ("tesla",)
        if not set(brands) <= in_range:
            return False
    return bool(gpus)


def known_broken(one: Set, wishes: Wishes, matrix: Matrix) -> bool:
    gpus = [gpu for text in wishes.gpus for gpu in matrix.gpus if gpu.name == text]
    for row in matrix.broken:
        if not confirmed(row) or not row.is_fatal:
            continue
        for build in (rows[0] for rows in one.builds):
            actual = {
                "framework": row.when.get("framework") in (None, build.framework),
                "version": "version" not in row.when
                or VersionWish(row.when["version"]).allows(build.version),
                "build": row.when.get("build") in (None, build.build),
                "provider": row.when.get("provider") in (None, build.provider.value),
                "python": "python" not in row.when
                or VersionWish(row.when["python"]).allows(Version(one.base.python)),
                "cuda": "cuda" not in row.when
                or (one.cuda is not None and VersionWish(row.when["cuda"]).allows(one.cuda.version)),
                "cudnn": "cudnn" not in row.when
                or (one.cudnn is not None and VersionWish(row.when["cudnn"]).allows(one.cudnn.version)),
                "os": row.when.get("os") in (None, one.base.system.id),
                "capability": "capability" not in row.when
                or (
                    not wishes.is_cpu
                    and any(VersionWish(row.when["capability"]).allows(gpu.capability) for gpu in gpus)
                ),
            }
            if all(actual.values()):
                return True
    return False


def subsets(items: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for count in range(len(items) + 1):
        yield from combinations(items, count)
