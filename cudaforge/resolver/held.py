"""What the wishes themselves hold back: values newer than those of the answer, and who excludes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cudaforge.declaration.model import Wishes
from cudaforge.records import record
from cudaforge.resolver.case import Case
from cudaforge.resolver.picked import Picked, picked
from cudaforge.resolver.question import Item
from cudaforge.resolver.relaxed import Relaxed, in_the_way
from cudaforge.resolver.rules.scene import CUDA, CUDNN, ENVIRONMENT, FIRST_FRAMEWORK
from cudaforge.resolver.solver import Domains, Network, Restriction
from cudaforge.versions import Version

_FIRST_KEPT = (
    "platforms",
    "flavor",
    "gpus",
    "driver",
    "packages",
    "framework",
    "cuda",
    "python",
    "os",
    "base",
)
"""Wishes that are believed before others, where either could be what holds a value back."""


@record()
class HeldBack:
    """A value newer than the chosen one, and all the wishes that would have to go for it."""

    field: str
    """`pytorch`, or the key of a wish: `cuda`, `cudnn`, `python`."""
    value: str
    by: tuple[str, ...]
    """As a declaration writes them: `framework = "pytorch<2.9"`."""


def held_by(case: Case, answer: Domains) -> Iterator[HeldBack]:
    """Newer releases of the frameworks; then newer CUDA, cuDNN and Python for the chosen releases."""
    rows = picked(case, answer)
    for position, build in enumerate(rows.builds):
        newest = _newest(case, (), position).builds[position].version
        held: tuple[Item, ...] = ()
        while newest > build.version:
            held = _held(case, (_release(case, position, newest),))
            best = case.best(case.question.all_bits & ~sum(item.bit for item in held))
            # What the policy takes once these wishes are gone; no answer where a default is back in force.
            without = newest if best is None else picked(case, best).builds[position].version
            if without >= newest:
                break
            newest = without
        if held and newest > build.version:
            name = case.question.frameworks[position].name
            yield HeldBack(field=name, value=str(newest), by=_written(case, held))
    chosen = tuple(_release(case, index, build.version) for index, build in enumerate(rows.builds))
    yield from _held_cuda(case, rows, chosen)
    yield from _held_cudnn(case, rows, chosen)
    yield from _held_python(case, rows, chosen)


def _held_cuda(case: Case, rows: Picked, chosen: tuple[Restriction, ...]) -> Iterator[HeldBack]:
    newest = _newest(case, chosen).cuda
    if rows.cuda is None or newest is None or newest.version.minor() <= rows.cuda.version.minor():
        return
    minor = newest.version.minor()
    held = _held(case, (*chosen, Restriction(CUDA, case.scene.tables.cuda_with_prefix(minor))))
    if held:
        yield HeldBack(field="cuda", value=str(minor), by=_written(case, held))


def _held_cudnn(case: Case, rows: Picked, chosen: tuple[Restriction, ...]) -> Iterator[HeldBack]:
    """Only what a wish for cuDNN excludes: it comes with the build, whatever holds that back."""
    newest = _newest(case, chosen).cudnn
    if rows.cudnn is None or newest is None or newest.version <= rows.cudnn.version:
        return
    version = newest.version
    mask = case.scene.tables.cudnn_where(("held", version.text), lambda row: row.version == version)
    held = _held(case, (*chosen, Restriction(CUDNN, mask)))
    if any(item.key == "cudnn" for item in held):
        yield HeldBack(field="cudnn", value=str(version), by=_written(case, held))


def _held_python(case: Case, rows: Picked, chosen: tuple[Restriction, ...]) -> Iterator[HeldBack]:
    newest = _newest(case, chosen).environment.python
    if Version(newest) <= Version(rows.environment.python):
        return
    held = _held(case, (*chosen, Restriction(ENVIRONMENT, case.scene.tables.by_python[newest])))
    if held:
        yield HeldBack(field="python", value=newest, by=_written(case, held))


def _newest(case: Case, fixed: tuple[Restriction, ...], position: int | None = None) -> Picked:
    """The best rows under no wish but for the frameworks (one of them, or all) and for a CPU twin."""
    wished = case.scene.cpu
    for item in case.question.items:
        if item.is_presence and position in (None, item.position):
            wished |= item.bit
    best = _network(case, wished, fixed).best(case.criteria)
    if best is None:
        raise AssertionError("what all wishes allow, fewer allow too")
    return picked(case, best)


def _held(case: Case, target: tuple[Restriction, ...]) -> tuple[Item, ...]:
    """Wishes without which the target has an answer, and with any more of which it has none; empty where
    they all allow it, and it was the policy that chose otherwise."""
    relaxed = Relaxed(case)

    def allows(items: Sequence[Item]) -> bool:
        return relaxed.has_answer(sum((item.bit for item in items), case.scene.cpu), target)

    items = [item for item in sorted(case.question.items, key=_rank) if item.bit != case.scene.cpu]
    held = in_the_way(items, allows)
    return tuple(item for item in case.question.items if item in held)


def _rank(item: Item) -> tuple[bool, int]:
    rank = _FIRST_KEPT.index(item.key) if item.key in _FIRST_KEPT else len(_FIRST_KEPT)
    return (not item.is_presence, rank)


def _network(case: Case, wished: int, fixed: tuple[Restriction, ...]) -> Network:
    return Network(case.everything, [*(bound.constraint for bound in case.active(wished)), *fixed])


def _release(case: Case, position: int, version: Version) -> Restriction:
    releases = case.scene.frameworks[position].by("version", lambda one: one.version)
    return Restriction(FIRST_FRAMEWORK + position, releases[version])


def _written(case: Case, items: tuple[Item, ...]) -> tuple[str, ...]:
    return tuple(_as_written(case.question.wishes, item) for item in items)


def _as_written(wishes: Wishes, item: Item) -> str:
    if item.key in ("framework", "packages"):
        return f'{item.key} = "{item.word}"'
    if item.key in ("gpus", "platforms"):
        return f'{item.key} = "{item.word.partition("=")[2]}"'
    value = getattr(wishes, item.key)
    return f"{item.key} = true" if value is True else f'{item.key} = "{getattr(value, "value", value)}"'
