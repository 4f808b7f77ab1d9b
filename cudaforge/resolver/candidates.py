"""What the resolver chooses between: builds per set of platforms, and environments (base image, OS
and Python in one)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, product

from cudaforge.declaration.model import Flavor
from cudaforge.matrix.model import BaseImage, CudaProvider, FrameworkBuild, OperatingSystem, StandalonePython
from cudaforge.matrix.sources import Source, Strength
from cudaforge.records import record, replace
from cudaforge.resolver.model import Bytes, PythonProvider
from cudaforge.systems import APT_FAMILIES
from cudaforge.versions import Version, VersionWish

BOOTSTRAP = "bootstrap:"
HOST = "host"
NOTHING_KNOWN = Bytes()
NOTHING = Bytes(compressed=0, installed=0)
_LIBRARY_FLAVORS = (Flavor.RUNTIME, Flavor.DEVEL)


@record(kw_only=False, eq=False)
class BuildCandidate:
    """One framework build on a set of platforms; where platforms have rows of their own, their facts
    hold together."""

    rows: tuple[FrameworkBuild, ...]
    platforms: frozenset[str]
    label: Version
    """The release with its build as local label, as people write it: `2.8.0+cu128`."""
    line: Version
    """The release line, major and minor."""

    @property
    def row(self) -> FrameworkBuild:
        """The row that stands for all: they agree on what has to be installed."""
        return self.rows[0]

    @property
    def version(self) -> Version:
        """The release."""
        return self.rows[0].version

    @property
    def is_confirmed(self) -> bool:
        """Whether every fact of it has a source that may say yes."""
        return all(is_confirmed(row.source) for row in self.rows)


def local_version(row: FrameworkBuild) -> Version:
    """`2.8.0+cu128` for build `cu128` of release 2.8.0."""
    return Version(f"{row.version.public()}+{row.build}")


def is_confirmed(source: Source) -> bool:
    """Whether a fact of this source may make a yes."""
    return source.strength is not Strength.INFERRED


@record(eq=False)
class Environment:
    """A base image with the OS, the Python and the part of CUDA that it brings."""

    reference: str
    os: OperatingSystem
    python: str
    python_provider: PythonProvider
    standalone: StandalonePython | None = None
    """The archive that Python comes from, where neither the base nor its archive brings it."""
    provider: CudaProvider
    """Whose CUDA libraries an image on it loads."""
    flavors: frozenset[Flavor]
    toolkit: Version | None = None
    """CUDA that the base itself carries."""
    cudnn: Version | None = None
    gate: str | None = None
    gate_branches: tuple[int, ...] = ()
    """Older driver branches that the gate lets pass on `compat_platforms`, for GPUs of `gate_brands`."""
    gate_brands: tuple[str, ...] = ()
    compat_platforms: frozenset[str] = frozenset()
    """Where it carries the forward-compatibility package of its toolkit's release."""
    platforms: frozenset[str] | None = None
    """None where nothing restricts them."""
    size: Bytes = NOTHING_KNOWN
    """What the base weighs."""
    packages_size: Bytes = NOTHING_KNOWN
    """What the OS packages weigh that bring Python and what wheels need."""
    removed: str | None = None
    replaced_by: str | None = None
    is_offered: bool = True
    """Whether it is chosen without being asked for by name."""
    is_own: bool = False
    """Described by the declaration alone."""
    bootstrap_packages: tuple[str, ...] = ()
    source: Source


def build_candidates(rows: Iterable[FrameworkBuild]) -> tuple[BuildCandidate, ...]:
    """Every build on every set of platforms that it can be had on, newest release first."""
    families: dict[tuple[object, ...], list[FrameworkBuild]] = {}
    for row in rows:
        identity = (row.version, row.build, row.index, row.provider, row.requires, row.reported)
        families.setdefault(identity, []).append(row)
    candidates = [candidate for family in families.values() for candidate in _on_platforms(family)]
    candidates.sort(key=lambda one: (one.row.build, one.row.index, sorted(one.platforms)))
    candidates.sort(key=lambda one: one.version, reverse=True)
    return tuple(candidates)


def _on_platforms(family: list[FrameworkBuild]) -> Iterator[BuildCandidate]:
    platforms = sorted({platform for row in family for platform in row.platforms})
    label, line = local_version(family[0]), family[0].version.minor()
    for count in range(1, len(platforms) + 1):
        for chosen in combinations(platforms, count):
            whole = [row for row in family if set(chosen) <= set(row.platforms)]
            for row in whole:
                yield BuildCandidate((row,), frozenset(chosen), label, line)
            if not whole:
                per_platform = ([row for row in family if one in row.platforms] for one in chosen)
                for rows in product(*per_platform):
                    yield BuildCandidate(rows, frozenset(chosen), label, line)


def plain_environments(systems: Iterable[OperatingSystem]) -> Iterator[Environment]:
    """Each OS with the Python of its archive, on its public image and bootstrapped."""
    for system in systems:
        if system.python is not None:
            yield from _plain(system, system.python)


def _plain(system: OperatingSystem, python: str) -> Iterator[Environment]:
    for provider, flavors in _plain_roles():
        plain = Environment(
            reference=system.image,
            os=system,
            python=python,
            python_provider=PythonProvider.DISTRO,
            provider=provider,
            flavors=flavors,
            size=_bytes(system.size, system.installed),
            packages_size=_with_python(system),
            source=system.source,
        )
        yield plain
        if system.bootstrap_packages:
            yield replace(
                plain,
                reference=f"{BOOTSTRAP}{system.id}",
                is_offered=False,
                bootstrap_packages=system.bootstrap_packages,
                size=_bytes(system.bootstrap_size, system.bootstrap_installed),
                packages_size=NOTHING,
            )


def plain_bases(systems: Iterable[OperatingSystem]) -> Iterator[Environment]:
    """Each OS on its public image and bootstrapped, whatever Python its archive has: what a standalone one is
    put on."""
    return (one for system in systems for one in _plain(system, ""))


def with_standalone(base: Environment, pythons: Iterable[StandalonePython]) -> Iterator[Environment]:
    """The base with each of the Pythons that it can run, in place of the one that it has."""
    packages = NOTHING if base.bootstrap_packages else _libraries(base.os)
    for python in pythons:
        if base.os.glibc < python.glibc:
            continue
        able = frozenset(python.files)
        yield replace(
            base,
            python=python.minor,
            python_provider=PythonProvider.STANDALONE,
            standalone=python,
            platforms=able if base.platforms is None else base.platforms & able,
            packages_size=packages,
        )


def newest_of_each(
    pythons: Iterable[StandalonePython], patches: Iterable[VersionWish]
) -> tuple[StandalonePython, ...]:
    """Of releases, oldest first, the newest of each minor, and the newest of each that a wish for a patch
    allows, the newest first. No pre-release, and nothing that is only inferred."""
    known = [one for one in pythons if is_confirmed(one.source) and not one.version.is_prerelease]
    newest = {one.minor: one for one in known}.values()
    wished = [{one.minor: one for one in known if wish.allows(one.version)}.values() for wish in patches]
    chosen = {one.version: one for group in (newest, *wished) for one in group}
    return tuple(chosen[version] for version in sorted(chosen, reverse=True))


def has_installer(system: OperatingSystem) -> bool:
    """Whether the OS packages that every image needs can be installed on it."""
    return system.family in APT_FAMILIES


def _plain_roles() -> tuple[tuple[CudaProvider, frozenset[Flavor]], ...]:
    """A plain base with wheels meets `runtime`; for a CPU twin no flavor asks for anything."""
    return (
        (CudaProvider.WHEELS, frozenset((Flavor.BASE, Flavor.RUNTIME))),
        (CudaProvider.NONE, frozenset(Flavor)),
    )


def image_environments(image: BaseImage, system: OperatingSystem) -> Iterator[Environment]:
    """The ways in which an image tag can be used; none if no Python is known for it."""
    python = image.python or system.python
    if python is not None:
        yield from _image(image, system, python)


def image_bases(image: BaseImage, system: OperatingSystem) -> Iterator[Environment]:
    """The ways in which an image tag that brings no Python can be used, whatever the OS archive has."""
    if image.python is None:
        yield from _image(image, system, "")


def _image(image: BaseImage, system: OperatingSystem, python: str) -> Iterator[Environment]:
    packages = _libraries(system) if image.python else _with_python(system)
    flavor = Flavor(image.flavor) if image.flavor else None
    roles: list[tuple[CudaProvider, frozenset[Flavor], bool]] = []
    if image.cuda is None:
        roles += [(provider, flavors, True) for provider, flavors in _plain_roles()]
    else:
        met = frozenset((Flavor.BASE, Flavor.RUNTIME)) if flavor is Flavor.BASE else _only(flavor)
        # Wheels on a base that has CUDA too carry it twice: offered only where a toolkit is the point.
        roles.append((CudaProvider.WHEELS, met, flavor is Flavor.DEVEL and image.cudnn is None))
        roles.append((CudaProvider.NONE, frozenset(Flavor), False))
        if flavor in (None, *_LIBRARY_FLAVORS):
            roles.append((CudaProvider.SYSTEM, _only(flavor), True))
    for provider, flavors, is_offered in roles:
        yield Environment(
            reference=image.reference,
            os=system,
            python=python,
            python_provider=PythonProvider.IMAGE if image.python else PythonProvider.DISTRO,
            provider=provider,
            flavors=flavors,
            toolkit=image.cuda,
            cudnn=image.cudnn,
            gate=image.gate,
            gate_branches=image.gate_branches,
            gate_brands=image.gate_brands,
            compat_platforms=frozenset(image.compat_platforms),
            platforms=frozenset(image.platforms),
            size=_bytes(image.size, image.installed),
            packages_size=packages,
            removed=image.removed,
            replaced_by=image.replaced_by,
            is_offered=is_offered,
            source=image.source,
        )


def brings_compat(one: Environment) -> bool:
    """Whether it is the smallest base of its release for wheels that are to have forward compatibility."""
    is_for_wheels = one.provider is CudaProvider.WHEELS and Flavor.BASE in one.flavors
    return is_for_wheels and bool(one.compat_platforms)


def _libraries(system: OperatingSystem) -> Bytes:
    return _bytes(system.library_size, system.library_installed)


def _with_python(system: OperatingSystem) -> Bytes:
    return _bytes(system.python_size, system.python_installed)


def _bytes(compressed: int | None, installed: int | None) -> Bytes:
    if compressed is None and installed is None:
        return NOTHING_KNOWN
    return Bytes(compressed=compressed, installed=installed)


def _only(flavor: Flavor | None) -> frozenset[Flavor]:
    return frozenset((flavor or Flavor.RUNTIME,))


@record()
class OwnBase:
    """A base image that no row describes, as the declaration describes it."""

    reference: str
    os: str
    python: str
    """The minor; empty where a standalone one goes on it."""
    python_provider: PythonProvider
    cuda: Version | None
    cudnn: Version | None


def own_environments(own: OwnBase, system: OperatingSystem) -> Iterator[Environment]:
    """The ways in which a base of the user's own can be used: with CUDA in the image only if the
    declaration says which. `with_standalone` gives them their Python where they have none."""
    roles = [CudaProvider.WHEELS, CudaProvider.NONE]
    if own.cuda is not None and own.cudnn is not None:
        roles.append(CudaProvider.SYSTEM)
    for provider in roles:
        is_system = provider is CudaProvider.SYSTEM
        yield Environment(
            reference=own.reference,
            os=system,
            python=own.python,
            python_provider=own.python_provider,
            provider=provider,
            flavors=frozenset(Flavor),
            toolkit=own.cuda if is_system else None,
            cudnn=own.cudnn if is_system else None,
            is_offered=False,
            is_own=True,
            source=system.source,
        )
