"""The matrix compiled for solving: numbered values per variable, and masks of those that are alike.

Tables belong to one matrix and keep what they worked out, so that many images share the work.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from typing import TypeVar

from cudaforge.matrix.companion import CompanionRole
from cudaforge.matrix.model import (
    BaseImage,
    CudaProvider,
    CudaRelease,
    CudnnRelease,
    Framework,
    FrameworkBuild,
    Gpu,
    OperatingSystem,
)
from cudaforge.matrix.tables import Matrix
from cudaforge.resolver.candidates import (
    BuildCandidate,
    Environment,
    OwnBase,
    brings_compat,
    build_candidates,
    has_installer,
    image_bases,
    image_environments,
    is_confirmed,
    newest_of_each,
    own_environments,
    plain_bases,
    plain_environments,
    with_standalone,
)
from cudaforge.resolver.model import PythonProvider
from cudaforge.versions import Version, VersionWish

_COMPONENTS = 4
_ZEROS = (0,) * _COMPONENTS

Value = TypeVar("Value")
Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


def mask_where(values: Sequence[Value], predicate: Callable[[Value], bool]) -> int:
    """The values that satisfy the predicate."""
    return int("0" + "".join(["1" if predicate(value) else "0" for value in reversed(values)]), 2)


def groups(values: Iterable[Value], key: Callable[[Value], Key]) -> dict[Key, int]:
    """The values by what they have in common, in order of first appearance."""
    found: dict[Key, list[int]] = {}
    for index, value in enumerate(values):
        found.setdefault(key(value), []).append(index)
    return {one: _mask(positions) for one, positions in found.items()}


def by_prefix(versions: Iterable[Version | None]) -> dict[tuple[int, ...], int]:
    """The versions by what they begin with, up to four components; missing ones are zeros."""
    found: dict[tuple[int, ...], int] = {}
    for index, version in enumerate(versions):
        if version is not None:
            release = (*version.release, *_ZEROS)
            for count in range(1, _COMPONENTS + 1):
                found[release[:count]] = found.get(release[:count], 0) | 1 << index
    return found


def _mask(positions: Iterable[int]) -> int:
    """The bits set, at once: setting them one by one copies a long integer each time."""
    octets = bytearray()
    for position in positions:
        octet = position >> 3
        if octet >= len(octets):
            octets.extend(bytes(octet + 1 - len(octets)))
        octets[octet] |= 1 << (position & 7)
    return int.from_bytes(octets, "little")


class Kept:
    """Results that are worked out once. The key says which."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, object] = {}

    def keep(self, key: Hashable, work: Callable[[], Result]) -> Result:
        """What `work` gives, from the first call with this key on."""
        if key not in self._kept:
            self._kept[key] = work()
        return self._kept[key]  # type: ignore[return-value]  # the key names the work, so the type is its


class FrameworkTable(Kept):
    """The candidates of one framework."""

    def __init__(self, framework: Framework, rows: Sequence[FrameworkBuild]) -> None:
        super().__init__()
        self.framework = framework
        self.candidates: tuple[BuildCandidate, ...] = build_candidates(rows)
        self.everything = (1 << len(self.candidates)) - 1

    def where(self, predicate: Callable[[BuildCandidate], bool]) -> int:
        """The candidates that satisfy the predicate."""
        return mask_where(self.candidates, predicate)

    def named(self, name: Hashable, predicate: Callable[[BuildCandidate], bool]) -> int:
        """The same, worked out once; `name` identifies the predicate."""
        return self.keep(("where", name), partial(self.where, predicate))

    @property
    def confirmed(self) -> int:
        """The candidates whose facts may all make a yes."""
        return self.named("confirmed", lambda one: one.is_confirmed)

    def by(self, name: str, key: Callable[[BuildCandidate], Key]) -> dict[Key, int]:
        """The candidates by a fact that they share; `name` says which fact."""
        return self.keep(("by", name), lambda: groups(self.candidates, key))

    def wished(self, wish: VersionWish) -> int:
        """The candidates whose release, or release with build label, the wish allows."""
        return self.keep(("wished", wish.text), lambda: self.where(lambda one: wish.allows(one.label)))


class Tables(Kept):
    """All variables that do not depend on the framework, and the frameworks that were asked for.

    Value 0 of `cuda` and `cudnn` is None: the image loads none. Releases follow newest first.
    """

    def __init__(
        self,
        matrix: Matrix,
        named: str | None = None,
        own: OwnBase | None = None,
        *,
        has_cuda_images: bool = True,
        is_forward: bool = False,
        standalone: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
        self.matrix = matrix
        self._standalone = standalone
        self._is_forward = is_forward
        self._has_cuda_images = has_cuda_images
        self._named = named
        self._own = own

    def framework(self, name: str) -> FrameworkTable:
        """The candidates of a framework by canonical name."""
        return _framework_table(self.matrix, name)

    def companions(self, framework: str, version: Version, python: str | None) -> Mapping[str, str]:
        """What goes with a framework release on a Python (None: on any): package to the newest version made
        for both."""
        return self.keep(
            ("companions", framework, version.text, python),
            partial(self._goes_with, framework, version, python),
        )

    def _goes_with(self, framework: str, version: Version, python: str | None) -> Mapping[str, str]:
        return {
            row.package: row.version.text
            for row in self.matrix.companions(framework, CompanionRole.COMPANION)
            if is_confirmed(row.source)
            and row.goes_with(version)
            and (python is None or not row.pythons or python in row.pythons)
        }

    @cached_property
    def cuda(self) -> tuple[CudaRelease | None, ...]:
        """CUDA releases, newest first, after None."""
        return (None, *reversed(self.matrix.cuda_releases))

    @cached_property
    def cudnn(self) -> tuple[CudnnRelease | None, ...]:
        """The cuDNN releases, newest first, after None."""
        return (None, *reversed(self.matrix.cudnn_releases))

    @cached_property
    def cuda_majors(self) -> Mapping[str | None, int]:
        """CUDA releases by major as text, which is how cuDNN rows name them; None for no CUDA."""
        return groups(self.cuda, lambda row: None if row is None else str(row.version.major))

    @cached_property
    def environments(self) -> tuple[Environment, ...]:
        """Everything that an image can start from, in the order of the matrix: what is chosen unasked,
        bootstrapped bases, and every use of the base that is asked for by name. Standalone Pythons on these
        come last."""
        found = self._bases(plain_environments, image_environments)
        own: list[Environment] = []
        if self._own is not None:
            own += own_environments(self._own, self.matrix.systems[self._own.os])
        has_python = self._own is not None and self._own.python_provider is not PythonProvider.STANDALONE
        if self._standalone is None:
            return (*found, *(own if has_python else ()))
        pythons = newest_of_each(self.matrix.standalone_pythons, map(VersionWish, self._standalone))
        bare = [*self._bases(plain_bases, image_bases), *(() if has_python else own)]
        more = (one for base in bare for one in with_standalone(base, pythons))
        return (*found, *(own if has_python else ()), *more)

    def _bases(
        self,
        plain: Callable[[Iterable[OperatingSystem]], Iterable[Environment]],
        of_image: Callable[[BaseImage, OperatingSystem], Iterable[Environment]],
    ) -> list[Environment]:
        systems = self.matrix.systems
        found = list(plain(systems.values()))
        known = {(one.reference, one.provider): position for position, one in enumerate(found)}
        images = self.matrix.base_images if self._has_cuda_images else self.matrix.plain_images
        for image in images:
            system = systems.get(image.os)
            is_named = image.reference == self._named
            if system is None or (image.removed is not None and not is_named):
                continue
            if image.cuda is not None and not has_installer(system) and not is_named:
                continue  # there are hundreds, and no answer among them
            for environment in of_image(image, system):
                same = (environment.reference, environment.provider)
                if image.python is None and image.cuda is None and same in known:
                    found[known[same]] = environment  # the plain image of an OS, with its platforms and size
                elif environment.is_offered or is_named or (self._is_forward and brings_compat(environment)):
                    found.append(environment)
        return found

    @cached_property
    def embedded_capabilities(self) -> frozenset[Version]:
        """Compute capabilities that only embedded GPUs have."""
        embedded = {gpu.capability for gpu in self.matrix.gpus if is_embedded(gpu)}
        return frozenset(embedded - {gpu.capability for gpu in self.matrix.gpus if not is_embedded(gpu)})

    def cuda_where(self, name: Hashable, predicate: Callable[[CudaRelease], bool]) -> int:
        """The CUDA releases (never None) that satisfy the predicate, which `name` identifies."""
        return self.keep(
            ("cuda", name), lambda: mask_where(self.cuda, lambda row: row is not None and predicate(row))
        )

    def cudnn_where(self, name: Hashable, predicate: Callable[[CudnnRelease], bool]) -> int:
        """The cuDNN releases (never None) that satisfy the predicate, which `name` identifies."""
        return self.keep(
            ("cudnn", name), lambda: mask_where(self.cudnn, lambda row: row is not None and predicate(row))
        )

    def cudnn_packaged(self, package: str) -> int:
        """The cuDNN releases that exist as a wheel of that name."""
        return self.cudnn_where(("package", package), lambda row: package in row.packages.values())

    def cuda_with_prefix(self, prefix: Version) -> int:
        """The CUDA releases that begin with the components of `prefix`."""
        if len(prefix.release) <= _COMPONENTS:
            return self._cuda_by_prefix.get(prefix.release, 0)
        return self.cuda_where(("prefix", prefix.text), lambda row: row.version.has_prefix(prefix))

    def cuda_wished(self, wish: VersionWish) -> int:
        """The CUDA releases that the wish allows."""
        if wish.prefix is not None:
            return self.cuda_with_prefix(wish.prefix)
        return self.cuda_where(("wished", wish.text), lambda row: wish.allows(row.version))

    def cudnn_wished(self, wish: VersionWish) -> int:
        """The cuDNN releases that the wish allows."""
        if wish.prefix is not None and len(wish.prefix.release) <= _COMPONENTS:
            return self._cudnn_by_prefix.get(wish.prefix.release, 0)
        return self.cudnn_where(("wished", wish.text), lambda row: wish.allows(row.version))

    @cached_property
    def _cuda_by_prefix(self) -> Mapping[tuple[int, ...], int]:
        return by_prefix([None if row is None else row.version for row in self.cuda])

    @cached_property
    def _cudnn_by_prefix(self) -> Mapping[tuple[int, ...], int]:
        return by_prefix([None if row is None else row.version for row in self.cudnn])

    def environments_by(self, name: str, key: Callable[[Environment], Key]) -> dict[Key, int]:
        """The environments by a fact that they share; `name` says which fact."""
        return self.keep(("environments", name), lambda: groups(self.environments, key))

    def environments_where(self, name: Hashable, predicate: Callable[[Environment], bool]) -> int:
        """The environments that satisfy the predicate, which `name` identifies."""
        return self.keep(("environment", name), lambda: mask_where(self.environments, predicate))

    @property
    def confirmed_cuda(self) -> int:
        """The CUDA releases whose facts may make a yes."""
        return self.cuda_where("confirmed", lambda row: is_confirmed(row.source))

    @property
    def confirmed_cudnn(self) -> int:
        """The cuDNN releases whose facts may make a yes."""
        return self.cudnn_where("confirmed", lambda row: is_confirmed(row.source))

    @property
    def confirmed_environments(self) -> int:
        """The environments whose facts may make a yes."""
        return self.environments_where(
            "confirmed", lambda one: is_confirmed(one.source) and is_confirmed(one.os.source)
        )

    @property
    def by_python(self) -> dict[str, int]:
        """Environments by Python minor."""
        return self.environments_by("python", lambda one: one.python)

    @property
    def by_provider(self) -> dict[CudaProvider, int]:
        """Environments by whose CUDA libraries are loaded."""
        return self.environments_by("provider", lambda one: one.provider)

    @property
    def by_toolkit(self) -> dict[Version | None, int]:
        """Environments by the CUDA that the base itself carries."""
        return self.environments_by("toolkit", lambda one: one.toolkit)

    def release(self, version: Version) -> CudaRelease | None:
        """The CUDA release of exactly that version."""
        return self.keep(
            ("release", version),
            lambda: next((row for row in self.cuda if row is not None and row.version == version), None),
        )

    @property
    def by_os(self) -> dict[str, int]:
        """Environments by operating system."""
        return self.environments_by("os", lambda one: one.os.id)

    @property
    def by_python_provider(self) -> dict[PythonProvider, int]:
        """Environments by who brings Python."""
        return self.environments_by("python provider", lambda one: one.python_provider)

    @property
    def by_standalone(self) -> dict[Version | None, int]:
        """Environments by the exact version of a standalone Python; None for those that have none."""
        return self.environments_by(
            "standalone", lambda one: None if one.standalone is None else one.standalone.version
        )

    @property
    def by_glibc(self) -> dict[Version, int]:
        """Environments by glibc."""
        return self.environments_by("glibc", lambda one: one.os.glibc)


def is_embedded(gpu: Gpu) -> bool:
    """Whether the GPU is a system on a chip, whose binaries are its own."""
    return gpu.kind == "embedded"


@lru_cache(maxsize=64)
def _framework_table(matrix: Matrix, name: str) -> FrameworkTable:
    """Nothing in it depends on what images start from."""
    return FrameworkTable(matrix.frameworks[name], matrix.builds(name))


@lru_cache(maxsize=16)
def tables_of(
    matrix: Matrix,
    named: str | None = None,
    own: OwnBase | None = None,
    *,
    has_cuda_images: bool = True,
    is_forward: bool = False,
    standalone: tuple[str, ...] | None = None,
) -> Tables:
    """The tables of a matrix, shared by everything that is resolved on it.

    `named` is a base image that is asked for by name, `own` one that the declaration describes. Without
    `has_cuda_images` bases that bring CUDA, nine of ten, are not even read. With `is_forward` those that
    bring forward compatibility to wheels are there to be chosen. With `standalone` there are standalone
    Pythons, too; it has the wishes for a patch, for which older ones are.
    """
    return Tables(
        matrix,
        named,
        own,
        has_cuda_images=has_cuda_images,
        is_forward=is_forward,
        standalone=standalone,
    )
