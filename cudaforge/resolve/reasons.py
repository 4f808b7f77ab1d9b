"""The rules behind a conflict in words, each with the fact row that it rests on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cudaforge.matrix.model import Broken, CudaProvider, CudaRelease, CudnnRelease, Source
from cudaforge.resolve.candidates import BuildCandidate, Environment, is_confirmed
from cudaforge.resolve.case import Case
from cudaforge.resolve.drivers import cuda_floor
from cudaforge.resolve.model import ConflictReason, ReasonKind
from cudaforge.resolve.question import GpuWish
from cudaforge.resolve.rules import RULES
from cudaforge.resolve.rules.scene import CUDA, CUDNN, ENVIRONMENT, FIRST_FRAMEWORK, NONE_BIT, Bound
from cudaforge.resolve.solver import Domains, Restriction, indexes
from cudaforge.versions import Version, VersionWish

_REFRESH = "`cudaforge data update` refreshes the matrix"
_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a reason is told about: one bound, and the values that the wishes of the core leave."""

    case: Case
    bound: Bound
    domains: Domains

    @property
    def gpu(self) -> str:
        """The GPU wish that the bound is about, with its capabilities."""
        wish = self.bound.about
        assert isinstance(wish, GpuWish)
        name = wish.item.word.partition("=")[2]
        capabilities = ", ".join(_sm(one) for one, _ in wish.capabilities)
        return name if name == capabilities else f"{name} ({capabilities})"

    @property
    def gpu_source(self) -> Source | None:
        """The row of the GPU."""
        wish = self.bound.about
        return wish.gpus[0].source if isinstance(wish, GpuWish) and wish.gpus else None

    def builds(self) -> list[BuildCandidate]:
        """The builds that the core leaves, oldest first."""
        mask = self.domains[FIRST_FRAMEWORK + self.bound.position]
        candidates = self.case.scene.frameworks[self.bound.position].candidates
        return [candidates[index] for index in indexes(mask)][::-1]

    def environments(self) -> list[Environment]:
        """The environments that the core leaves."""
        return [self.case.scene.tables.environments[index] for index in indexes(self.domains[ENVIRONMENT])]

    def cuda(self) -> list[CudaRelease]:
        """The CUDA releases that the core leaves, oldest first."""
        rows = [self.case.scene.tables.cuda[index] for index in indexes(self.domains[CUDA] & ~NONE_BIT)]
        return [row for row in reversed(rows) if row is not None]

    def cudnn(self) -> list[CudnnRelease]:
        """The cuDNN releases that the core leaves, oldest first."""
        rows = [self.case.scene.tables.cudnn[index] for index in indexes(self.domains[CUDNN] & ~NONE_BIT)]
        return [row for row in reversed(rows) if row is not None]


Said = tuple[str, Source | None]


def reasons(case: Case, culprits: Sequence[Bound], core: int) -> tuple[ConflictReason, ...]:
    """What each of the bounds behind a conflict says."""
    found: list[ConflictReason] = []
    for bound in culprits:
        domains = case.restricted(tuple(one for one in culprits if one is not bound))
        reason = _reason(View(case, bound, domains))
        if reason is not None and reason not in found:
            found.append(reason)
    if not found:
        text = "; ".join(dict.fromkeys(RULES[bound.rule].statement for bound in culprits))
        found.append(ConflictReason(kind=ReasonKind.INCOMPATIBLE, text=text, source=None))
    return tuple(found)


def _reason(view: View) -> ConflictReason | None:
    bound = view.bound
    is_hopeless = isinstance(bound.constraint, Restriction) and not bound.constraint.mask
    if is_hopeless and bound.rule in _UNKNOWN:
        return _as_reason(ReasonKind.UNKNOWN, _UNKNOWN[bound.rule](view))
    if bound.rule in _UNCONFIRMED:
        return _as_reason(ReasonKind.UNKNOWN, _UNCONFIRMED[bound.rule](view))
    say = _WORDS.get(bound.rule)
    return _as_reason(ReasonKind.INCOMPATIBLE, say(view)) if say is not None else None


def _as_reason(kind: ReasonKind, said: Said | None) -> ConflictReason | None:
    return None if said is None else ConflictReason(kind=kind, text=said[0], source=said[1])


# --- helpers --------------------------------------------------------------------------------------


def _sm(capability: Version) -> str:
    return "sm_" + "".join(str(part) for part in capability.release)


def _list(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _some(texts: Iterable[str]) -> str:
    """The texts, the middle left out where there are many."""
    every = list(dict.fromkeys(texts))
    return _list(every) if len(every) <= 2 * _SHOWN else f"{_list(every[:_SHOWN])} ... {every[-1]}"


def _span(values: Iterable[object]) -> str:
    every = list(dict.fromkeys(str(value) for value in values))
    return every[0] if len(every) == 1 else f"{every[0]} to {every[-1]}"


def _by_text(view: View, text: Callable[[BuildCandidate], str]) -> Said | None:
    """What the builds that are left say, grouped where they say the same."""
    builds = view.builds()
    if not builds:
        return None
    said: dict[str, list[BuildCandidate]] = {}
    for build in builds:
        said.setdefault(text(build), []).append(build)
    name = view.case.scene.frameworks[view.bound.position].framework.name
    parts = [f"{name} {_names(group)} {one}" for one, group in said.items()]
    if len(parts) > _SHOWN:
        parts = [*parts[: _SHOWN - 1], "...", parts[-1]]
    return "; ".join(parts), builds[0].row.source


def _names(group: Sequence[BuildCandidate]) -> str:
    builds = list(dict.fromkeys(one.row.build for one in group))
    if len({one.version for one in group}) == 1 and len(builds) == 1:
        return f"{group[0].version}+{builds[0]}"
    suffix = f" ({builds[0]})" if len(builds) == 1 else ""
    return _span(one.version for one in group) + suffix


def _nearest(known: Iterable[Version], wish: VersionWish) -> str:
    """The known versions around the first number in the wish."""
    ordered = sorted(set(known))
    number = _NUMBER.search(wish.text)
    if number is None or not ordered:
        return _some(str(one) for one in ordered)
    anchor = Version(number[0])
    below = [one for one in ordered if one < anchor][-2:]
    above = [one for one in ordered if one >= anchor][:2]
    return _list(str(one) for one in (*below, *above))


def _not_known(view: View, what: str, nearest: str) -> Said:
    as_of = view.case.scene.tables.matrix.as_of
    return f"{what} is not in the matrix of {as_of}; nearest known: {nearest}; {_REFRESH}", None


# --- unknown --------------------------------------------------------------------------------------


def _unknown_release(view: View) -> Said:
    table = view.case.scene.frameworks[view.bound.position]
    wish = view.case.question.wishes.frameworks[view.bound.position]
    assert wish.version is not None
    public = VersionWish(wish.version.text.partition("+")[0])
    same = [one for one in table.candidates if "+" in wish.version.text and public.allows(one.version)]
    if same:
        return _not_known(view, str(wish), _list(str(one.label) for one in reversed(same)))
    return _not_known(view, str(wish), _nearest((one.version for one in table.candidates), wish.version))


def _unknown_build(view: View) -> Said:
    table = view.case.scene.frameworks[view.bound.position]
    known = sorted({one.row.build for one in table.candidates})
    return _not_known(
        view, f"build {view.case.question.wishes.build} of {table.framework.name}", _some(known)
    )


def _unknown_cuda(view: View) -> Said:
    wish = view.case.question.wishes.cuda
    assert wish is not None
    known = (row.version.minor() for row in view.case.scene.tables.cuda if row is not None)
    return _not_known(view, f"CUDA {wish}", _nearest(known, wish))


def _unknown_cudnn(view: View) -> Said:
    wish = view.case.question.wishes.cudnn
    assert wish is not None
    known = (row.version for row in view.case.scene.tables.cudnn if row is not None)
    return _not_known(view, f"cuDNN {wish}", _nearest(known, wish))


def _unknown_python(view: View) -> Said:
    wish = view.case.question.wishes.python
    assert wish is not None
    known = (Version(minor) for minor in view.case.scene.tables.by_python)
    return _not_known(view, f"a base with Python {wish}", _nearest(known, wish))


def _unknown_toolkit(view: View) -> Said:
    wish = view.case.question.wishes.toolkit
    assert wish is not None
    known = (one.toolkit for one in view.case.scene.tables.environments if one.toolkit is not None)
    return _not_known(view, f"a base with CUDA toolkit {wish}", _nearest(known, wish))


def _unknown_python_provider(view: View) -> Said:
    known = sorted(one.value for one in view.case.scene.tables.by_python_provider)
    return _not_known(view, f"a Python of provider {view.case.question.wishes.python_provider}", _list(known))


def _unconfirmed(view: View) -> Said | None:
    variable = view.bound.constraint.variable if isinstance(view.bound.constraint, Restriction) else CUDA
    tail = "known only from facts that are not confirmed"
    if variable == CUDA:
        return _unconfirmed_rows("CUDA", view.cuda(), tail)
    if variable == CUDNN:
        return _unconfirmed_rows("cuDNN", view.cudnn(), tail)
    if variable == ENVIRONMENT:
        rows = [one for one in view.environments() if not is_confirmed(one.source)]
        return (f"{_some(one.reference for one in rows)}: {tail}", rows[0].source) if rows else None
    builds = [one for one in view.builds() if not one.is_confirmed]
    name = view.case.scene.frameworks[view.bound.position].framework.name
    return (f"{name} {_names(builds)} is {tail}", builds[0].row.source) if builds else None


def _unconfirmed_rows(
    name: str, rows: Sequence[CudaRelease] | Sequence[CudnnRelease], tail: str
) -> Said | None:
    inferred = [row for row in rows if not is_confirmed(row.source)]
    return (
        (f"{name} {_span(row.version for row in inferred)} is {tail}", inferred[0].source)
        if inferred
        else None
    )


def _unconfirmed_gpu(view: View) -> Said:
    return f"{view.gpu} is known only from facts that are not confirmed", view.gpu_source


# --- incompatible ---------------------------------------------------------------------------------


def _final(view: View) -> Said | None:
    return _by_text(view, lambda _: "is a pre-release, chosen only where it is named")


def _without_cuda(view: View) -> Said | None:
    return _by_text(view, lambda one: f"for {_list(sorted(one.platforms))} is a build without CUDA")


def _with_cuda(view: View) -> Said | None:
    return _by_text(view, lambda _: "is a build with CUDA")


def _loads(view: View) -> Said | None:
    def text(build: BuildCandidate) -> str:
        row = build.row
        if row.cuda is None:
            return "loads no CUDA"
        cudnn = f" and cuDNN {row.cudnn}" if row.cudnn is not None else ""
        return f"loads CUDA {row.cuda}{cudnn}"

    return _by_text(view, text)


def _provider(view: View) -> Said | None:
    words = {
        CudaProvider.WHEELS: "brings CUDA in wheels",
        CudaProvider.SYSTEM: "loads CUDA from the base image",
        CudaProvider.NONE: "loads no CUDA",
    }
    return _by_text(view, lambda one: words[one.row.provider])


def _base_versions(view: View, *, is_cudnn: bool) -> Said | None:
    bases = [one for one in view.environments() if one.provider is CudaProvider.SYSTEM]
    versions = sorted({v for one in bases if (v := one.cudnn if is_cudnn else one.toolkit) is not None})
    systems = _some(sorted({one.os.id for one in bases}))
    name = "cuDNN" if is_cudnn else "CUDA"
    if not versions:
        return None
    return f"base images on {systems} have {name} {_some(map(str, versions))}", bases[0].source


def _toolkit(view: View) -> Said | None:
    versions = sorted({one.toolkit for one in view.environments() if one.toolkit is not None})
    if not versions:
        return "no base image with that CUDA toolkit is left", None
    first = next(one for one in view.environments() if one.toolkit is not None)
    return f"base images with a toolkit have CUDA {_some(map(str, versions))}", first.source


def _python(view: View) -> Said | None:
    return _by_text(view, lambda one: f"has wheels for Python {_list(one.row.pythons)}")


def _glibc(view: View) -> Said | None:
    said = _by_text(view, lambda one: f"needs glibc {max(row.glibc for row in one.rows)}")
    systems = {one.os.id: one.os.glibc for one in view.environments()}
    if said is None or not systems:
        return said
    newest = max(systems, key=lambda name: systems[name])
    has = f"{newest} has {systems[newest]}" if len(systems) == 1 else f"at most {systems[newest]} is left"
    return f"{said[0]}; {has}", said[1]


def _platforms(view: View) -> Said | None:
    return _by_text(view, lambda one: f"exists for {_list(sorted(one.platforms))}")


def _base_platforms(view: View) -> Said | None:
    some = [one for one in view.environments() if one.platforms is not None]
    if not some or view.bound.about is None:
        return None
    return f"{_some(one.reference for one in some)} does not exist for {view.bound.about}", some[0].source


def _removed(view: View) -> Said | None:
    gone = [one for one in view.environments() if one.removed is not None]
    if not gone:
        return None
    first = gone[0]
    since = "" if first.removed == "unknown" else f" ({first.removed})"
    instead = f"; {first.replaced_by} replaces it" if first.replaced_by else ""
    return f"{first.reference} was removed{since}{instead}", first.source


def _named_base(view: View) -> Said | None:
    tables, question = view.case.scene.tables, view.case.question
    found = [one for one in tables.environments if one.reference == question.base]
    if not found:
        return None
    one = found[0]
    cuda = f", CUDA {one.toolkit}" if one.toolkit is not None else ", no CUDA"
    return f"{one.reference} has {one.os.id}, Python {one.python}{cuda}", one.source


def _named_os(view: View) -> Said | None:
    system = view.case.scene.tables.matrix.systems[view.case.question.wishes.os or ""]
    mask = view.case.scene.tables.by_os.get(system.id, 0)
    pythons = {view.case.scene.tables.environments[index].python for index in indexes(mask)}
    known = _list(sorted(pythons, key=Version)) or "no known Python"
    return f"on {system.id} there is Python {known}", system.source


def _gpu_code(view: View) -> Said | None:
    def text(build: BuildCandidate) -> str:
        row = build.row
        if row.cubins is None:
            return "is compiled by the CUDA that is loaded"
        ptx = f" and PTX for {_list(map(_sm, row.ptx))}" if row.ptx else ""
        return f"has code for {_list(map(_sm, row.cubins))}{ptx}"

    said = _by_text(view, text)
    return None if said is None else (f"{said[0]}; none of it runs on {view.gpu}", said[1])


def _gpu_cuda(view: View) -> Said | None:
    rows = view.cuda()
    if not rows:
        return None
    row = rows[-1]
    covered = _some(map(_sm, row.capabilities))
    return f"CUDA {row.version} covers {covered}, not {view.gpu}", row.source


def _gpu_cudnn(view: View) -> Said | None:
    rows = [row for row in view.cudnn() if row.capability_min]
    if not rows:
        return None
    row = rows[0]
    least = _list(f"{_sm(one)} for CUDA {major}" for major, one in row.capability_min.items())
    return f"cuDNN {row.version} supports GPUs from {least}; {view.gpu} is older", row.source


def _driver_cuda(view: View, *, needs_native: bool = False) -> Said | None:
    rows = [(floor, row) for row in view.cuda() if (floor := cuda_floor(row, needs_native=needs_native))]
    if not rows:
        return "the driver that this CUDA needs is not known", None
    floor, row = min(rows, key=lambda pair: pair[0])
    return f"CUDA {row.version} needs driver {floor} or newer", row.source


def _driver_ptx(view: View) -> Said | None:
    said = _driver_cuda(view, needs_native=True)
    return None if said is None else (f"on {view.gpu} the driver compiles PTX; for that {said[0]}", said[1])


def _last_branch(view: View) -> Said | None:
    wish = view.bound.about
    said = _driver_cuda(view)
    if not isinstance(wish, GpuWish) or said is None:
        return None
    return f"{view.gpu} is supported up to driver branch {wish.last_branch}; {said[0]}", view.gpu_source


def _gpu_driver(view: View) -> Said | None:
    wish, driver = view.bound.about, view.case.question.driver
    if not isinstance(wish, GpuWish) or driver is None:
        return None
    if wish.last_branch is not None and driver.major > wish.last_branch:
        return f"{view.gpu} is supported up to driver branch {wish.last_branch}", view.gpu_source
    return f"{view.gpu} needs driver {wish.first_driver} or newer", view.gpu_source


def _gate(view: View) -> Said | None:
    gated = [one for one in view.environments() if one.gate]
    if not gated:
        return None
    return f"{gated[0].reference} starts only with {gated[0].gate}", gated[0].source


def _broken(view: View) -> Said | None:
    row = view.bound.about
    return (row.effect, row.source) if isinstance(row, Broken) else None


_UNKNOWN: dict[str, Callable[[View], Said | None]] = {
    "framework-version": _unknown_release,
    "framework-build": _unknown_build,
    "cuda-version": _unknown_cuda,
    "cudnn-version": _unknown_cudnn,
    "python-version": _unknown_python,
    "toolkit-version": _unknown_toolkit,
    "python-provider": _unknown_python_provider,
}
_UNCONFIRMED: dict[str, Callable[[View], Said | None]] = {
    "confirmed": _unconfirmed,
    "gpu-confirmed": _unconfirmed_gpu,
}
_WORDS: dict[str, Callable[[View], Said | None]] = {
    "final-release": _final,
    "gpu-build": _without_cuda,
    "cpu-twin": _with_cuda,
    "cuda-libraries": _loads,
    "cudnn-libraries": _loads,
    "one-provider": _provider,
    "base-cuda": lambda view: _base_versions(view, is_cudnn=False),
    "base-cudnn": lambda view: _base_versions(view, is_cudnn=True),
    "toolkit-major": _toolkit,
    "toolkit-minor": _toolkit,
    "python-wheels": _python,
    "glibc": _glibc,
    "platforms": _platforms,
    "base-platforms": _base_platforms,
    "removed-tags": _removed,
    "base": _named_base,
    "os": _named_os,
    "gpu-code": _gpu_code,
    "gpu-cuda": _gpu_cuda,
    "gpu-cudnn": _gpu_cudnn,
    "driver-cuda": _driver_cuda,
    "driver-ptx": _driver_ptx,
    "gpu-last-branch": _last_branch,
    "gpu-driver": _gpu_driver,
    "gate": _gate,
    "gpu-gate": _gate,
    "broken": _broken,
}
