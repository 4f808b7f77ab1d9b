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
and for `os` the one that has been out longest and is still supported; `smallest` takes the fewest known
bytes for `build`, `os` and `base` and leaves versions at the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from cudaforge.declaration.model import Flavor, Preference
from cudaforge.matrix.model import CudaProvider, CudaRelease
from cudaforge.resolver.candidates import BuildCandidate, Environment
from cudaforge.resolver.model import PythonProvider
from cudaforge.resolver.rules.scene import CUDA, CUDNN, ENVIRONMENT, FIRST_FRAMEWORK, NONE_BIT, Scene
from cudaforge.resolver.solver import Criterion
from cudaforge.resolver.tables import FrameworkTable, Tables
from cudaforge.versions import Version

OWN_INDEX = "default"
_LARGEST = 1 << 62
_PROVIDERS = (PythonProvider.IMAGE, PythonProvider.DISTRO, PythonProvider.STANDALONE)


def criteria(scene: Scene) -> tuple[Criterion, ...]:
    """The policy for one image, as classes of values, best first."""
    wishes = scene.question.wishes
    preferences = (wishes.prefer, *sorted(wishes.prefer_per_field.items()))
    return scene.tables.keep(
        ("criteria", scene.asked, preferences, wishes.forward_compat), lambda: _criteria(scene)
    )


def _criteria(scene: Scene) -> tuple[Criterion, ...]:
    wishes = scene.question.wishes

    def preference(field: str) -> Preference:
        return wishes.prefer_per_field.get(field, wishes.prefer)

    found: list[Criterion] = []
    has_own = scene.tables.by_standalone.get(None, 0)
    if has_own != (everywhere := (1 << len(scene.tables.environments)) - 1):
        found.append(Criterion("standalone", ENVIRONMENT, (has_own, everywhere & ~has_own)))
    for position, table in enumerate(scene.frameworks):
        found += _framework(scene.tables, table, FIRST_FRAMEWORK + position, preference)
    found.append(_environment(scene.tables, "flavor", preference("base"), _flavor_rank))
    found.append(Criterion("cuda", CUDA, _releases(scene.tables, "cuda", preference("cuda"))))
    found.append(Criterion("cudnn", CUDNN, _releases(scene.tables, "cudnn", preference("cudnn"))))
    python = scene.tables.keep(
        ("policy", "python", preference("python")),
        lambda: by_version(
            {Version(minor): mask for minor, mask in scene.tables.by_python.items()},
            preference("python"),
            confirmed=scene.tables.confirmed_environments,
        ),
    )
    found.append(Criterion("python", ENVIRONMENT, python))
    toolkits = _toolkits(scene.tables, is_nearest=wishes.forward_compat)
    found.append(Criterion("toolkit", ENVIRONMENT, toolkits))
    as_of = scene.tables.matrix.as_of
    found.append(
        _environment(scene.tables, "end of life", preference("os"), lambda one: _is_past(one.os.eol, as_of))
    )
    found.append(_environment(scene.tables, "python provider", preference("base"), _provider_rank))
    if Preference.SMALLEST in (preference("os"), preference("base")):
        found.append(_environment(scene.tables, "base", Preference.SMALLEST, _size))
    found.append(_os(scene.tables, preference("os")))
    found.append(_environment(scene.tables, "base", preference("base"), _size))
    return tuple(found)


def by_version(masks: Mapping[Version, int], preference: Preference, *, confirmed: int) -> tuple[int, ...]:
    """Classes of equal version, newest first; `stable` takes the newest release line last."""
    ordered = sorted(masks, reverse=True)
    if preference is Preference.STABLE:
        finals = [one for one in ordered if not one.is_prerelease and masks[one] & confirmed]
        newest = finals[0].minor() if finals else None
        ordered.sort(key=lambda version: newest is not None and version.minor() >= newest)
    return tuple(masks[version] for version in ordered)


def _framework(
    tables: Tables, table: FrameworkTable, variable: int, preference: Callable[[str], Preference]
) -> Iterable[Criterion]:
    version, build = preference("framework"), preference("build")
    releases = table.keep(
        ("policy", version),
        lambda: by_version(table.by("version", lambda one: one.version), version, confirmed=table.confirmed),
    )
    yield Criterion("framework", variable, releases)

    def newest_cuda(candidate: BuildCandidate) -> int:
        cuda = candidate.row.cuda
        mask = NONE_BIT if cuda is None else tables.cuda_wished(cuda)
        return (mask & -mask).bit_length()

    def rank(candidate: BuildCandidate) -> tuple[int, bool, bool, int]:
        size = candidate.row.size if candidate.row.size is not None else _LARGEST
        return (
            size if build is Preference.SMALLEST else 0,
            candidate.row.index != OWN_INDEX,
            candidate.row.provider is not CudaProvider.WHEELS,
            newest_cuda(candidate),
        )

    builds = table.keep(("policy", "build", build), lambda: _ranked(table.by(f"rank {build}", rank)))
    yield Criterion("build", variable, builds)
    fewest = table.keep(
        ("policy", "platforms"), lambda: _ranked(table.by("platforms", lambda one: len(one.platforms)))
    )
    yield Criterion("platforms", variable, fewest)


def _ranked(masks: Mapping[tuple[int, bool, bool, int], int] | Mapping[int, int]) -> tuple[int, ...]:
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


def _toolkits(tables: Tables, *, is_nearest: bool) -> tuple[int, ...]:
    """Newest first; with forward compatibility, which runs what is not newer, the one nearest to it."""

    def by_toolkit() -> tuple[int, ...]:
        masks = tables.by_toolkit
        ordered = sorted((one for one in masks if one is not None), reverse=True)
        if is_nearest:
            ordered.sort(key=lambda one: one.minor())
        return (masks.get(None, 0), *(masks[one] for one in ordered))

    return tables.keep(("policy", "toolkit", is_nearest), by_toolkit)


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
    return one.size if one.size is not None else _LARGEST


def _is_past(date: str | None, as_of: str) -> bool:
    return date is not None and date < as_of


def _os(tables: Tables, preference: Preference) -> Criterion:
    def ordered() -> tuple[int, ...]:
        masks = tables.environments_by("end", lambda one: one.os.eol or "")
        is_longest_first = preference is not Preference.STABLE
        return tuple(mask for _, mask in sorted(masks.items(), reverse=is_longest_first))

    return Criterion("os", ENVIRONMENT, tables.keep(("policy", "os", preference), ordered))
