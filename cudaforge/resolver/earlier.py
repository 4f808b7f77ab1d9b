"""Keeping what an earlier answer chose: preferences that go before the policy, and never before a rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cudaforge.records import record
from cudaforge.resolver.rules.scene import CUDA, CUDNN, ENVIRONMENT, FIRST_FRAMEWORK, Scene
from cudaforge.resolver.solver import Criterion
from cudaforge.versions import Version


@record()
class Earlier:
    """What an earlier answer chose, as a lock has it. What is None, or known no more, is not preferred."""

    frameworks: Mapping[str, tuple[str, str]]
    """Release and build of each framework, by its name."""
    cuda: str | None
    cudnn: str | None
    python: str
    os: str
    base: str
    standalone: str | None = None
    """The exact version, where Python came as an archive of its own."""


def kept_first(scene: Scene, earlier: Earlier) -> Iterator[Criterion]:
    """The policy that takes the earlier answer wherever it still fits: frameworks before what goes with
    them, the Python and the OS before the one base that had both."""
    for position, table in enumerate(scene.frameworks):
        chosen = earlier.frameworks.get(scene.question.frameworks[position].name)
        if chosen is not None:
            release = table.by("release", lambda one: str(one.version)).get(chosen[0], 0)
            build = table.by("build", lambda one: one.row.build).get(chosen[1], 0)
            classes = _kept(table.everything, release & build, release)
            yield Criterion("framework", FIRST_FRAMEWORK + position, classes)
    tables = scene.tables
    if earlier.cuda is not None:
        text = earlier.cuda
        cuda = tables.cuda_where(("earlier", text), lambda row: f"{row.version}.".startswith(f"{text}."))
        yield Criterion("cuda", CUDA, _kept((1 << len(tables.cuda)) - 1, cuda))
    if earlier.cudnn is not None:
        cudnn = tables.cudnn_where(("earlier", earlier.cudnn), lambda row: str(row.version) == earlier.cudnn)
        yield Criterion("cudnn", CUDNN, _kept((1 << len(tables.cudnn)) - 1, cudnn))
    everywhere = (1 << len(tables.environments)) - 1
    base = tables.environments_by("reference", lambda one: one.reference)
    for field, mask in (
        ("python", tables.by_python.get(earlier.python, 0)),
        ("os", tables.by_os.get(earlier.os, 0)),
        ("base", base.get(earlier.base, 0)),
    ):
        yield Criterion(field, ENVIRONMENT, _kept(everywhere, mask))
    if earlier.standalone is not None:
        mask = tables.by_standalone.get(Version(earlier.standalone), 0)
        yield Criterion("standalone", ENVIRONMENT, _kept(everywhere, mask))


def _kept(everything: int, *preferred: int) -> tuple[int, ...]:
    """Classes that take the preferred values in this order, then the rest."""
    classes, left = [], everything
    for mask in preferred:
        classes.append(left & mask)
        left &= ~mask
    return (*classes, left)
