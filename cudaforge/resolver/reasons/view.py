"""What a reason is told about, and the words that reasons share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from cudaforge.matrix.gpu_names import sm
from cudaforge.matrix.model import Broken, CudaRelease, CudnnRelease
from cudaforge.matrix.sources import Source
from cudaforge.records import record
from cudaforge.resolver.candidates import BuildCandidate, Environment
from cudaforge.resolver.case import Case
from cudaforge.resolver.packages import PackageWish
from cudaforge.resolver.question import GpuWish
from cudaforge.resolver.rules.scene import CUDA, CUDNN, ENVIRONMENT, FIRST_FRAMEWORK, NONE_BIT, Bound
from cudaforge.resolver.solver import Domains, indexes, variables
from cudaforge.versions import Version

REFRESH = "a newer cudaforge may know it, or an overlay can say it ([matrices] overlays)"
_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_SHOWN = 3
_FEW = 2
"""Builds of releases that are named."""


@record(kw_only=False, eq=False)
class View:
    """What a reason is told about: one bound, and the values that the wishes of the core leave."""

    case: Case
    bound: Bound
    domains: Domains

    @property
    def gpu(self) -> str:
        """The GPU wish that the bound is about, with its capabilities."""
        wish = self.bound.about
        if not isinstance(wish, GpuWish):
            return "the GPU"
        name = wish.item.word.partition("=")[2]
        capabilities = ", ".join(sm(one) for one, _ in wish.capabilities)
        return name if name == capabilities else f"{name} ({capabilities})"

    @property
    def gpu_source(self) -> Source | None:
        """The row of the GPU."""
        wish = self.bound.about
        return wish.gpus[0].source if isinstance(wish, GpuWish) and wish.gpus else None

    def builds(self, meant: int = -1) -> list[BuildCandidate]:
        """The builds that the core leaves, of those meant, oldest first."""
        mask = self.domains[FIRST_FRAMEWORK + self.bound.position] & meant
        candidates = self.case.scene.frameworks[self.bound.position].candidates
        return [candidates[index] for index in indexes(mask)][::-1]

    def builds_text(self, meant: int) -> str:
        """The builds that the core leaves, of those meant, behind a space; empty where there are none."""
        builds = self.builds(meant)
        return f" {names(builds)}" if builds else ""

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

    def sources(self) -> list[Source]:
        """The sources of the rows that the bound is about, as far as the core leaves them."""
        about = self.bound.about
        found = [gpu.source for gpu in about.gpus] if isinstance(about, GpuWish) else []
        if isinstance(about, PackageWish):
            found += [row.source for row in about.rows]
        if isinstance(about, Broken):
            found.append(about.source)
        for variable in variables(self.bound.constraint):
            if variable == CUDA:
                found += [row.source for row in self.cuda()]
            elif variable == CUDNN:
                found += [row.source for row in self.cudnn()]
            elif variable == ENVIRONMENT:
                found += [source for one in self.environments() for source in (one.source, one.os.source)]
            else:
                found += [row.source for build in self.builds() for row in build.rows]
        return found


Said = tuple[str, Source | None]


def as_list(texts: Iterable[str]) -> str:
    """The texts, each once."""
    return ", ".join(dict.fromkeys(texts))


def as_some(texts: Iterable[str]) -> str:
    """The texts, the middle left out where there are many."""
    every = list(dict.fromkeys(texts))
    return as_list(every) if len(every) <= 2 * _SHOWN else f"{as_list(every[:_SHOWN])} ... {every[-1]}"


def span(values: Iterable[object]) -> str:
    """The first and the last of the values."""
    every = list(dict.fromkeys(str(value) for value in values))
    return every[0] if len(every) == 1 else f"{every[0]} to {every[-1]}"


def by_text(
    view: View,
    text: Callable[[BuildCandidate], str],
    is_meant: Callable[[BuildCandidate], bool] = lambda _: True,
) -> Said | None:
    """What the builds that are left and meant say, grouped where they say the same."""
    said = grouped(view, text, is_meant)
    if not said:
        return None
    name = view.case.scene.frameworks[view.bound.position].framework.name
    parts = [f"{name} {names(group)} {one}" for one, group in said.items()]
    if len(parts) > _SHOWN:
        parts = [*parts[: _SHOWN - 1], "...", parts[-1]]
    return "; ".join(parts), next(iter(said.values()))[0].row.source


def grouped(
    view: View,
    text: Callable[[BuildCandidate], str],
    is_meant: Callable[[BuildCandidate], bool] = lambda _: True,
) -> dict[str, list[BuildCandidate]]:
    """The builds that are left and meant by what they say, oldest first."""
    said: dict[str, list[BuildCandidate]] = {}
    for build in view.builds():
        if is_meant(build):
            said.setdefault(text(build), []).append(build)
    return said


def names(group: Sequence[BuildCandidate]) -> str:
    """A group of builds by release and build label."""
    builds = list(dict.fromkeys(one.row.build for one in group))
    if len({one.version for one in group}) == 1 and len(builds) == 1:
        return f"{group[0].version}+{builds[0]}"
    suffix = f" ({', '.join(builds)})" if len(builds) <= _FEW else ""
    return span(one.version for one in group) + suffix


def anchor(text: str) -> Version | None:
    """The first number in a wish."""
    number = _NUMBER.search(text)
    return Version(number[0]) if number is not None else None


def nearest(known: Iterable[Version], text: str) -> str:
    """The known versions around the first number in a wish."""
    ordered = sorted(set(known))
    number = anchor(text)
    if number is None or not ordered:
        return as_some(str(one) for one in ordered)
    below = [one for one in ordered if one < number][-2:]
    above = [one for one in ordered if one >= number][:2]
    return as_list(str(one) for one in (*below, *above))


def not_known(view: View, what: str, nearest: str) -> Said:
    """That something is not in the matrix, what is, and what refreshes it."""
    as_of = view.case.scene.tables.matrix.as_of
    known = f"nearest known: {nearest}" if nearest else "none is known"
    return f"{what} is not in the matrix of {as_of}; {known}; {REFRESH}", None
