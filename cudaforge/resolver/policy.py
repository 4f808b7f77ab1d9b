"""Which of several answers is the best. This docstring is the policy; the code below is its data.

Fields are settled in this order, each as well as the ones before it allow:

0. who brings Python: a standalone one only where no base and no OS archive has one that will do;
1. frameworks in the order of the declaration: the newest release, then, among its builds, one of the
   site's own package index (what a plain `pip install` gives) before those of a named index, CUDA in
   wheels before CUDA of the base, then the newest CUDA; then the build for the fewest platforms beyond
   those asked for;
2. the base: no CUDA toolkit in the image before one, one for running before one for compiling, unless
   wishes ask for it;
3. CUDA, cuDNN and Python: the newest (a CUDA whose driver is not known after the others); where the
   base has a toolkit, the newest that fits (with forward compatibility, of the oldest minor);
4. the OS: one that is still supported before one past its end of life; a base that brings its Python
   (`python:*` images, slimmer and with the newest patch) before the OS archive's Python; the OS that is
   supported longest; the smallest base; the order of the matrix.

`prefer` changes this per field (`framework`, `build`, `cuda`, `cudnn`, `python`, `os`, `base`):
`stable` takes the newest release line (major.minor) last, so that what is chosen has had its patches,
and for `os` the one that has been out longest and is still supported. `smallest` for everything takes,
of the newest release of each framework on an OS that is still supported, the image that is expected to
have the fewest bytes on disk, whatever else that means, Python and CUDA too; images with parts that nobody
has weighed come after the others, and what is as small is told apart as above. A field that has a preference
of its own besides is settled before the bytes. For `build` alone, or `os` and `base`, `smallest` weighs
these alone; releases of frameworks, CUDA, cuDNN and Python have no size of their own, and stay at the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

from cudaforge.declaration.model import Flavor, Preference
from cudaforge.indexes import DEFAULT_INDEX
from cudaforge.matrix.model import CudaProvider, CudaRelease
from cudaforge.resolver.candidates import BuildCandidate, Environment
from cudaforge.resolver.model import PythonProvider
from cudaforge.resolver.rules.scene import CUDA, CUDNN, ENVIRONMENT, FIRST_FRAMEWORK, NONE_BIT, Scene
from cudaforge.resolver.sizes import total_rank, weight_of_build, weight_of_environment
from cudaforge.resolver.solver import Criterion, Total
from cudaforge.resolver.tables import FrameworkTable, Tables
from cudaforge.versions import Version

_LARGEST = 1 << 62
BuildRank = tuple[int, bool, bool, int]
_PROVIDERS = (PythonProvider.IMAGE, PythonProvider.DISTRO, PythonProvider.STANDALONE)


def policy_of(scene: Scene) -> Hashable:
    """What the policy for one image depends on, besides its frameworks."""
    wishes = scene.question.wishes
    return (wishes.prefer, *sorted(wishes.prefer_per_field.items()), wishes.forward_compat)


def criteria(scene: Scene) -> tuple[Criterion | Total, ...]:
    """The policy for one image, as classes of values, best first."""
    return scene.tables.keep(("criteria", scene.asked, policy_of(scene)), lambda: _criteria(scene))


def _criteria(scene: Scene) -> tuple[Criterion | Total, ...]:
    wishes = scene.question.wishes

    def preference(field: str) -> Preference:
        return wishes.prefer_per_field.get(field, wishes.prefer)

    found: list[Criterion | Total] = []
    has_own = scene.tables.by_standalone.get(None, 0)
    if has_own != (everywhere := (1 << len(scene.tables.environments)) - 1):
        found.append(Criterion("standalone", ENVIRONMENT, (has_own, everywhere & ~has_own)))
    if wishes.prefer is Preference.SMALLEST:
        for position, table in enumerate(scene.frameworks):
            found.append(_release(table, FIRST_FRAMEWORK + position, preference("framework")))
        found.append(_end_of_life(scene.tables, preference("os")))
        found += _settled_before(scene, wishes.prefer_per_field)
        found.append(_smallest(scene))
    for position, table in enumerate(scene.frameworks):
        found += _framework(scene.tables, table, FIRST_FRAMEWORK + position, preference)
    found.append(_environment(scene.tables, "flavor", preference("base"), _flavor_rank))
    found += (_versions(scene, field, preference(field)) for field in ("cuda", "cudnn", "python"))
    found.append(_toolkit(scene.tables, is_nearest=wishes.forward_compat))
    found.append(_end_of_life(scene.tables, preference("os")))
    found.append(_environment(scene.tables, "python provider", preference("base"), _provider_rank))
    if Preference.SMALLEST in (preference("os"), preference("base")):
        found.append(_environment(scene.tables, "base", Preference.SMALLEST, _size))
    found.append(_os(scene.tables, preference("os")))
    found.append(_environment(scene.tables, "base", preference("base"), _size))
    return tuple(found)


def _settled_before(scene: Scene, own: Mapping[str, Preference]) -> Iterator[Criterion]:
    """The fields with a preference of their own, where all others are to make the smallest image."""
    for field in ("cuda", "cudnn", "python"):
        if own.get(field, Preference.SMALLEST) is not Preference.SMALLEST:
            yield _versions(scene, field, own[field])
    if own.get("os", Preference.SMALLEST) is not Preference.SMALLEST:
        yield _os(scene.tables, own["os"])


def _smallest(scene: Scene) -> Total:
    """The fewest bytes of builds and base together."""
    builds = tuple(
        (FIRST_FRAMEWORK + position, tuple(table.by("weight", weight_of_build).items()))
        for position, table in enumerate(scene.frameworks)
    )
    bases = tuple(scene.tables.environments_by("weight", weight_of_environment).items())
    return Total("size", (*builds, (ENVIRONMENT, bases)), total_rank)


def _versions(scene: Scene, field: str, preference: Preference) -> Criterion:
    tables = scene.tables
    if field != "python":
        return Criterion(field, CUDA if field == "cuda" else CUDNN, _releases(tables, field, preference))
    # A newer Python that nobody but an archive of its own brings makes no release line.
    brought = tables.confirmed_environments & tables.by_standalone.get(None, 0)
    classes = tables.keep(
        ("policy", "python", preference),
        lambda: by_version(
            {Version(minor): mask for minor, mask in tables.by_python.items()}, preference, confirmed=brought
        ),
    )
    return Criterion("python", ENVIRONMENT, classes)


def _end_of_life(tables: Tables, preference: Preference) -> Criterion:
    as_of = tables.matrix.as_of
    return _environment(tables, "end of life", preference, lambda one: _is_past(one.os.eol, as_of))


def by_version(masks: Mapping[Version, int], preference: Preference, *, confirmed: int) -> tuple[int, ...]:
    """Classes of equal version, newest first; `stable` takes the newest release line last."""
    ordered = sorted(masks, reverse=True)
    if preference is Preference.STABLE:
        finals = [one for one in ordered if not one.is_prerelease and masks[one] & confirmed]
        newest = finals[0].minor() if finals else None
        ordered.sort(key=lambda version: newest is not None and version.minor() >= newest)
    return tuple(masks[version] for version in ordered)


def _release(table: FrameworkTable, variable: int, preference: Preference) -> Criterion:
    classes = table.keep(
        ("policy", preference),
        lambda: by_version(
            table.by("version", lambda one: one.version), preference, confirmed=table.confirmed
        ),
    )
    return Criterion("framework", variable, classes)


def _framework(
    tables: Tables, table: FrameworkTable, variable: int, preference: Callable[[str], Preference]
) -> Iterable[Criterion]:
    build = preference("build")
    yield _release(table, variable, preference("framework"))

    def rank(candidate: BuildCandidate) -> BuildRank:
        return build_rank(tables, candidate, build)

    builds = table.keep(("policy", "build", build), lambda: _ranked(table.by(f"rank {build}", rank)))
    yield Criterion("build", variable, builds)
    fewest = table.keep(
        ("policy", "platforms"), lambda: _ranked(table.by("platforms", lambda one: len(one.platforms)))
    )
    yield Criterion("platforms", variable, fewest)


def build_rank(tables: Tables, candidate: BuildCandidate, preference: Preference) -> BuildRank:
    """What builds of a release are ordered by: bytes, a named index, CUDA of the base, how old the newest
    CUDA is that it loads. Bytes count where the smallest is preferred, and are 0 elsewhere."""
    row = candidate.row
    size = row.installed if row.installed is not None else _LARGEST
    newest = NONE_BIT if row.cuda is None else tables.cuda_wished(row.cuda)
    return (
        size if preference is Preference.SMALLEST else 0,
        row.index != DEFAULT_INDEX,
        row.provider is not CudaProvider.WHEELS,
        (newest & -newest).bit_length(),
    )


def _ranked(masks: Mapping[BuildRank, int] | Mapping[int, int]) -> tuple[int, ...]:
    return tuple(mask for _, mask in sorted(masks.items()))


def _releases(tables: Tables, subject: str, preference: Preference) -> tuple[int, ...]:
    """Releases by version, None first: where an image may load none, it loads none."""
    is_cuda = subject == "cuda"
    values = tables.cuda if is_cuda else tables.cudnn
    confirmed = tables.confirmed_cuda if is_cuda else tables.confirmed_cudnn
    # A CUDA whose driver nobody has published says less about where the image runs.
    obscure = sum(
        1 << index for index, row in enumerate(values) if isinstance(row, CudaRelease) and row.driver is None
    )

    def ranked() -> tuple[int, ...]:
        masks = {row.version: 1 << index for index, row in enumerate(values) if row is not None}
        classes = by_version(masks, preference, confirmed=confirmed)
        return (NONE_BIT, *sorted(classes, key=lambda mask: bool(mask & obscure)))

    return tables.keep(("policy", subject, preference), ranked)


def _toolkit(tables: Tables, *, is_nearest: bool) -> Criterion:
    """Newest first; with forward compatibility, which runs what is not newer, the one nearest to it."""

    def by_toolkit() -> tuple[int, ...]:
        masks = tables.by_toolkit
        ordered = sorted((one for one in masks if one is not None), reverse=True)
        if is_nearest:
            ordered.sort(key=lambda one: one.minor())
        return (masks.get(None, 0), *(masks[one] for one in ordered))

    return Criterion("toolkit", ENVIRONMENT, tables.keep(("policy", "toolkit", is_nearest), by_toolkit))


def _environment(
    tables: Tables, field: str, preference: Preference, rank: Callable[[Environment], int]
) -> Criterion:
    classes = tables.keep(
        ("policy", "environment", field, preference),
        lambda: _ranked(tables.environments_by(f"rank {field}", rank)),
    )
    return Criterion(field, ENVIRONMENT, classes)


def _flavor_rank(one: Environment) -> int:
    if one.toolkit is None:
        return 0
    return 2 if Flavor.DEVEL in one.flavors else 1


def _provider_rank(one: Environment) -> int:
    return _PROVIDERS.index(one.python_provider)


def _size(one: Environment) -> int:
    weight = weight_of_environment(one)
    return weight if weight is not None else _LARGEST


def _is_past(date: str | None, as_of: str) -> bool:
    return date is not None and date < as_of


def _os(tables: Tables, preference: Preference) -> Criterion:
    def ordered() -> tuple[int, ...]:
        masks = tables.environments_by("end", lambda one: one.os.eol or "")
        is_longest_first = preference is not Preference.STABLE
        return tuple(mask for _, mask in sorted(masks.items(), reverse=is_longest_first))

    return Criterion("os", ENVIRONMENT, tables.keep(("policy", "os", preference), ordered))
