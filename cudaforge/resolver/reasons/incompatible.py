"""Rules that wishes contradict, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from cudaforge.matrix.companion import Companion
from cudaforge.matrix.gpu_names import sm
from cudaforge.matrix.model import Broken, CudaProvider, FrameworkBuild
from cudaforge.resolver.candidates import BuildCandidate
from cudaforge.resolver.coverage import Coverage, is_seen
from cudaforge.resolver.drivers import cuda_floor
from cudaforge.resolver.learnt import Obstacle
from cudaforge.resolver.packages import PackageWish
from cudaforge.resolver.question import GpuWish
from cudaforge.resolver.reasons.bases import (
    bootstrapped,
    flavor_left,
    named_base,
    named_os,
    os_packages,
    provider_left,
    python_left,
    removed,
    toolkit_left,
)
from cudaforge.resolver.reasons.forward import (
    forward_base,
    forward_branch,
    forward_cuda,
    forward_driver,
    forward_gpus,
)
from cudaforge.resolver.reasons.unknown import is_loadable
from cudaforge.resolver.reasons.view import (
    Said,
    View,
    anchor,
    as_list,
    as_some,
    by_text,
    grouped,
    names,
    span,
)
from cudaforge.resolver.rules.broken import broken_parts
from cudaforge.resolver.rules.gpus import row_coverages
from cudaforge.resolver.rules.scene import DEFAULT_PLATFORM
from cudaforge.versions import Version

_MANY = 2
"""Groups of builds that are told one by one."""


def _final(view: View) -> Said | None:
    return by_text(view, lambda _: "is a pre-release, chosen only where it is named")


def _package(view: View) -> Said | None:
    wish = view.bound.about
    if not isinstance(wish, PackageWish):
        return None
    name = view.case.scene.frameworks[wish.position].framework.name
    if wish.is_framework:
        releases = span(row.version for row in wish.rows)
        return f"{wish.text}, asked for among the packages, is {name} {releases}{wish.suffix}", wish.rows[
            -1
        ].source
    parts = [f"{row.package} {row.version} goes with {name} {row.needs}{_compiled(row)}" for row in wish.rows]
    return as_some(parts).replace(", ...", "; ..."), wish.rows[0].source


def _compiled(row: Companion) -> str:
    """Up to where an open floor of what is compiled says anything."""
    if not row.is_open:
        return ""
    return f", up to {row.until}: it was compiled on {row.released}, before any newer one was there"


def _package_python(view: View) -> Said | None:
    wish = view.bound.about
    if not isinstance(wish, PackageWish):
        return None
    parts = [f"{row.package} {row.version} has wheels for Python {as_list(row.pythons)}" for row in wish.rows]
    return "; ".join(parts[-1:]), wish.rows[-1].source


def _learnt(view: View) -> Said | None:
    obstacle = view.bound.about
    return (f"{obstacle.text} [package index]", None) if isinstance(obstacle, Obstacle) else None


def _without_cuda(view: View) -> Said | None:
    builds = view.builds()
    releases = {one.version for one in builds}
    table = view.case.scene.frameworks[view.bound.position]
    known = [one for one in table.candidates if one.version in releases]
    if known and all(one.row.provider is CudaProvider.NONE for one in known):
        what = f"no build of {table.framework.name} {span(sorted(releases))} with CUDA is known"
        return f'{what}, and an image uses CUDA unless cuda = "none" asks for its CPU twin', builds[
            0
        ].row.source
    return by_text(view, lambda one: f"for {as_list(sorted(one.platforms))} is a build without CUDA")


def _with_cuda(view: View) -> Said | None:
    return by_text(view, lambda _: "is a build with CUDA")


def _loads(view: View) -> Said | None:
    return _loads_no(view) or by_text(view, _loaded, partial(is_loadable, view))


def _loaded(build: BuildCandidate) -> str:
    row = build.row
    if row.cuda is None:
        return "loads no CUDA"
    cudnn = f" and cuDNN {row.cudnn}" if row.cudnn is not None else ""
    return f"loads CUDA {row.cuda}{cudnn}"


def _loads_no(view: View) -> Said | None:
    """Where many builds load other CUDA releases than the one wished for: that, and the nearest of them."""
    wish, tables = view.case.question.wishes.cuda, view.case.scene.tables
    said = grouped(view, _loaded, partial(is_loadable, view))
    number = anchor(wish.text) if wish is not None else None
    if wish is None or number is None or len(said) <= _MANY or view.bound.rule != "cuda-libraries":
        return None
    found: list[tuple[Version, str, BuildCandidate]] = []
    for text, group in said.items():
        cuda = group[0].row.cuda
        first = anchor(cuda.text) if cuda is not None else None
        if cuda is None or first is None or tables.cuda_wished(cuda) & tables.cuda_wished(wish):
            return None
        found.append((first, f"{names(group)} {text}", group[0]))
    # Of those that are as near, the newest from below and the oldest from above.
    below = max((one for one in reversed(found) if one[0] < number), key=lambda one: one[0], default=None)
    above = min((one for one in found if one[0] >= number), key=lambda one: one[0], default=None)
    near = [one for one in (below, above) if one is not None]
    name = view.case.scene.frameworks[view.bound.position].framework.name
    told = "; ".join(f"{name} {text}" for _, text, _ in near)
    return f"no build of {name} that is left loads CUDA {wish}; the nearest: {told}", near[0][2].row.source


def _provider(view: View) -> Said | None:
    words = {
        CudaProvider.WHEELS: "brings CUDA in wheels",
        CudaProvider.SYSTEM: "loads CUDA from the base image",
        CudaProvider.NONE: "loads no CUDA",
    }
    return by_text(view, lambda one: words[one.row.provider])


def _base_versions(view: View, *, is_cudnn: bool) -> Said | None:
    bases = [one for one in view.environments() if one.provider is CudaProvider.SYSTEM]
    versions = sorted({v for one in bases if (v := one.cudnn if is_cudnn else one.toolkit) is not None})
    systems = as_some(sorted({one.os.id for one in bases}))
    name = "cuDNN" if is_cudnn else "CUDA"
    if not versions:
        return None
    return f"base images on {systems} have {name} {as_some(map(str, versions))}", bases[0].source


def _toolkit(view: View) -> Said | None:
    versions = sorted({one.toolkit for one in view.environments() if one.toolkit is not None})
    if not versions:
        return "no base image with that CUDA toolkit is left", None
    first = next(one for one in view.environments() if one.toolkit is not None)
    return f"base images with a toolkit have CUDA {as_some(map(str, versions))}", first.source


def _python(view: View) -> Said | None:
    return by_text(view, lambda one: f"has wheels for Python {as_list(one.row.pythons)}")


def _glibc(view: View) -> Said | None:
    said = by_text(view, lambda one: f"needs glibc {max(row.glibc for row in one.rows)}")
    systems = {one.os.id: one.os.glibc for one in view.environments()}
    if said is None or not systems:
        return said
    newest = max(systems, key=lambda name: systems[name])
    has = f"{newest} has {systems[newest]}" if len(systems) == 1 else f"at most {systems[newest]} is left"
    return f"{said[0]}; {has}", said[1]


def _platforms(view: View) -> Said | None:
    # One image takes a framework from one index: what two of them have together is not enough.
    is_about_index = len(view.case.question.wishes.platforms) > 1 == len({one.label for one in view.builds()})
    there = view.case.scene.frameworks[view.bound.position].candidates
    providers = {one.row.provider for one in view.builds()}
    able = [one for one in there if view.bound.about in one.platforms and one.row.provider in providers]
    releases = {one.version for one in able}
    builds = {(one.label, one.row.index) for one in able}

    def text(one: BuildCandidate) -> str:
        index = f" in the index {one.row.index}" if is_about_index else ""
        return f"exists for {as_list(sorted(one.platforms))}{index or ' alone'}"

    is_meant: Sequence[Callable[[BuildCandidate], bool]] = (
        lambda one: one.version not in releases,
        lambda one: (one.label, one.row.index) not in builds,
    )
    tried = (by_text(view, text, one) for one in is_meant)
    said = by_text(view, text) if is_about_index else next((one for one in tried if one is not None), None)
    return None if said is None else (said[0] + _built_in(view), said[1])


def _built_in(view: View) -> str:
    """What makes a platform needed that nobody asked for."""
    for wish in view.case.question.gpus:
        if wish.item.bit & view.bound.needs and wish.named.apart_from(DEFAULT_PLATFORM) is not None:
            return f"; {wish.item.word.partition('=')[2]} is built into machines of {view.bound.about}"
    return ""


def _base_platforms(view: View) -> Said | None:
    some = [one for one in view.environments() if one.platforms is not None]
    if not some or view.bound.about is None:
        return None
    what = f"{as_some(one.reference for one in some)} does not exist for {view.bound.about}"
    return what + _built_in(view), some[0].source


def _builds(view: View) -> Said | None:
    builds = [one for one in view.builds() if one.is_confirmed]
    if not builds:
        return None
    name = view.case.scene.frameworks[view.bound.position].framework.name
    labels = sorted({one.row.build for one in builds})
    wish = view.case.question.wishes.frameworks[view.bound.position].version
    if wish is not None and "+" in wish.text:
        return f"{name}{wish} is build {as_list(labels)}", builds[-1].row.source
    releases = span(one.version for one in builds)
    return f"{name} {releases} has builds {as_list(labels)}", builds[-1].row.source


def _gpu_code(view: View) -> Said | None:
    wish = view.bound.about
    if not isinstance(wish, GpuWish):
        return None
    embedded = view.case.scene.embedded

    def lacking(build: BuildCandidate) -> Iterator[FrameworkBuild]:
        return (row for row in build.rows if Coverage.NONE in row_coverages(row, wish, embedded))

    def text(build: BuildCandidate) -> str:
        row = next(lacking(build), build.row)
        if row.cubins is None:
            return "is compiled by the CUDA that is loaded"
        ptx = f" and PTX for {as_list(map(sm, row.ptx))}" if row.ptx else ""
        place = "" if DEFAULT_PLATFORM in row.platforms else f" on {as_list(row.platforms)}"
        return f"has code for {as_list(map(sm, row.cubins))}{ptx}{place}"

    is_lacking = by_text(view, text, lambda build: is_seen(build) and any(lacking(build)))
    said = is_lacking or by_text(view, text, is_seen)
    return None if said is None else (f"{said[0]}; none of it runs on {view.gpu}", said[1])


def _gpu_cuda(view: View) -> Said | None:
    rows = view.cuda()
    if not rows:
        return None
    row = rows[-1]
    covered = as_some(map(sm, row.capabilities))
    return f"CUDA {row.version} covers {covered}, not {view.gpu}", row.source


def _gpu_cudnn(view: View) -> Said | None:
    rows = [row for row in view.cudnn() if row.capability_min or row.capability_max]
    if not rows:
        return None
    row = rows[0]
    ranges = []
    for major in dict.fromkeys((*row.capability_min, *row.capability_max)):
        least, most = row.capability_min.get(major), row.capability_max.get(major)
        low = f"from {sm(least)} " if least is not None else ""
        high = f"up to {sm(most)} " if most is not None else ""
        ranges.append(f"{low}{high}with CUDA {major}")
    return f"cuDNN {row.version} supports GPUs {as_list(ranges)}, not {view.gpu}", row.source


def _cudnn_cuda(view: View) -> Said | None:
    rows, cuda = view.cudnn(), view.cuda()
    if not rows or not cuda:
        return None
    row = rows[-1]
    named = {major: row.cuda.get(major, "") for major in (*row.cuda, *row.capability_min, *row.packages)}
    known = as_list(f"CUDA {minors.replace(' ', ', ') or major}" for major, minors in named.items())
    return f"cuDNN {row.version} is for {known}, not for CUDA {span(one.version for one in cuda)}", row.source


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


def _gpu_platform(view: View) -> Said | None:
    wish = view.bound.about
    if not isinstance(wish, GpuWish):
        return None
    machines = as_list(sorted(wish.named.platforms))
    what = f"{view.gpu} is built into machines of {machines}: an image for others alone does not start there"
    return what, view.gpu_source


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
    first = gated[0]
    branches = as_list(map(str, first.gate_branches))
    older = f", or branches {branches} on GPUs of {as_list(first.gate_brands)}" if branches else ""
    return f"{first.reference} starts only with {first.gate}{older}", first.source


def _broken(view: View) -> Said | None:
    row, position = view.bound.about, view.bound.position
    if not isinstance(row, Broken):
        return None
    table = view.case.scene.frameworks[position]
    (_, meant), *_ = broken_parts(view.case.scene.tables, table, row, position)
    return f"{table.framework.name}{view.builds_text(meant)}: {row.effect}", row.source


WORDS: dict[str, Callable[[View], Said | None]] = {
    "final-release": _final,
    "package-framework": _package,
    "package-python": _package_python,
    "package-index": _learnt,
    "gpu-build": _without_cuda,
    "cpu-twin": _with_cuda,
    "cuda-libraries": _loads,
    "cudnn-libraries": _loads,
    "cudnn-cuda": _cudnn_cuda,
    "one-provider": _provider,
    "base-cuda": lambda view: _base_versions(view, is_cudnn=False),
    "base-cudnn": lambda view: _base_versions(view, is_cudnn=True),
    "toolkit-major": _toolkit,
    "toolkit-minor": _toolkit,
    "python-wheels": _python,
    "glibc": _glibc,
    "platforms": _platforms,
    "base-platforms": _base_platforms,
    "bootstrap-platforms": bootstrapped,
    "removed-tags": removed,
    "base": named_base,
    "os": named_os,
    "os-packages": os_packages,
    "gpu-platform": _gpu_platform,
    "gpu-code": _gpu_code,
    "gpu-cuda": _gpu_cuda,
    "gpu-cudnn": _gpu_cudnn,
    "driver-cuda": _driver_cuda,
    "driver-ptx": _driver_ptx,
    "gpu-last-branch": _last_branch,
    "gpu-driver": _gpu_driver,
    "forward-compat-gpus": forward_gpus,
    "forward-compat-base": forward_base,
    "forward-compat-cuda": forward_cuda,
    "forward-compat-driver": forward_driver,
    "forward-compat-branch": forward_branch,
    "gate": _gate,
    "gpu-gate": _gate,
    "broken": _broken,
}
PLAIN: dict[str, Callable[[View], Said | None]] = {
    "framework-build": _builds,
    "python-version": python_left,
    "python-provider": provider_left,
    "toolkit-version": toolkit_left,
    "flavor": flavor_left,
}
"""What the wishes themselves leave, told where nothing says more."""
