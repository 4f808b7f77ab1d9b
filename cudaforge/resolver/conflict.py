"""Why there is no answer: a minimal set of wishes that collide, and the rules and facts behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cudaforge.resolver.case import Case
from cudaforge.resolver.caveats import disputes
from cudaforge.resolver.edits import Change
from cudaforge.resolver.model import Conflict
from cudaforge.resolver.question import Item
from cudaforge.resolver.reasons import reasons
from cudaforge.resolver.repairs import Proof, any_answer, any_change, repairs
from cudaforge.resolver.rules.scene import Bound
from cudaforge.resolver.solver import Network, Restriction

# A core keeps what is tried last: the wishes that people think of first.
EXPENDABLE = (
    "flavor",
    "python_provider",
    "cuda_provider",
    "toolkit",
    "forward_compat",
    "build",
    "cudnn",
    "os",
    "base",
    "python",
    "driver",
    "gpus",
    "platforms",
    "packages",
    "cuda",
    "framework",
)
# What every image has to meet is told only where nothing else explains the conflict.
_DEFAULTS = frozenset(
    (
        "confirmed",
        "final-release",
        "gpu-build",
        "platforms",
        "base-platforms",
        "offered-bases",
        "removed-tags",
    )
)
# Facts that people recognise are told rather than those that follow from them.
_TELLING = frozenset(
    (
        "gpu-code",
        "python-wheels",
        "glibc",
        "package-framework",
        "package-index",
        "forward-compat-gpus",
        "broken",
        "gpu-driver",
        "gpu-confirmed",
        "gpu-platform",
    )
)


def explain(case: Case, *, allows: Callable[[Change], bool] = any_change) -> Conflict:
    """The conflict of a case that has no answer, with those of its repairs that `allows` lets through."""
    return explain_core(case, minimal_core(case), allows=allows)


def explain_core(
    case: Case,
    core: int,
    *,
    allows: Callable[[Change], bool] = any_change,
    proves: Proof = any_answer,
) -> Conflict:
    """The conflict that a minimal core is: the facts behind it, and what resolves all wishes of the case, as
    far as `allows` lets the change through and `proves` takes its answer."""
    culprits = minimal_bounds(case, core)
    items = [item for item in case.question.items if item.bit & core]
    shown = [item for item in items if not (item.is_presence and _has_version(case, item, items))]
    found, behind = reasons(case, culprits, case.behind(core))
    return Conflict(
        core=tuple(item.word for item in shown),
        keys=tuple(dict.fromkeys(item.key for item in shown)),
        reasons=found,
        fixes=repairs(case, core, culprits, allows=allows, proves=proves),
        warnings=tuple(disputes(behind)),
    )


def _has_version(case: Case, presence: Item, items: Sequence[Item]) -> bool:
    return any(item.bit == case.question.version_bit(presence.position) for item in items)


def minimal_core(case: Case) -> int:
    """Wishes that have no answer together, but have one as soon as any one of them is dropped.

    Two wishes are the last to be dropped, since in their place defaults come back that nobody asked for and
    that may exclude more: the platform that is asked for, and the CPU twin. The twin stays where without it
    fewer of the others collide: these collide with CUDA, then, and not with each other.
    """
    if case.unreleased:
        return case.question.presence(case.unreleased[0])
    asked, twin = case.question.bit("platforms"), case.scene.cpu
    core = _shrunk(case, _smallest_contradiction(case) | asked | twin, kept=asked | twin)
    core = _shrunk(case, core, kept=twin) if asked else core
    without = core & ~twin
    is_same = twin and not case.has_answer(without) and _shrunk(case, without) == without
    return without if is_same else core


def _shrunk(case: Case, core: int, kept: int = 0) -> int:
    """The core without what it does not need; `kept` stays."""
    order = sorted(
        (item for item in case.question.items if not item.bit & kept),
        key=lambda item: (item.is_presence, EXPENDABLE.index(item.key)),
    )
    # Dropping a wish can bring a default back, so one pass may leave a wish that later proves needless.
    while True:
        before = core
        for item in order:
            if item.bit & core and not case.has_answer(core & ~item.bit):
                core &= ~item.bit
        if core == before:
            return core


def _smallest_contradiction(case: Case) -> int:
    """A wish that nothing can meet is the whole conflict; else start from all wishes."""
    wished = case.question.all_bits
    for bound in case.active(wished):
        is_hopeless = isinstance(bound.constraint, Restriction) and not bound.constraint.mask
        if is_hopeless and not case.has_answer(bound.needs):
            return bound.needs
    return wished


def minimal_bounds(case: Case, core: int) -> tuple[Bound, ...]:
    """The bounds without any one of which the core would have an answer; rather those that say
    something of the wishes than those that every image has to meet."""
    return smallest_bounds(case, case.behind(core))


def smallest_bounds(case: Case, bounds: Sequence[Bound], fixed: Sequence[Bound] = ()) -> tuple[Bound, ...]:
    """Of the bounds that leave no answer next to the fixed ones, those that cannot be spared."""
    kept = list(bounds)

    def spare(part: list[Bound]) -> None:
        """Leave out what can be, in the order of the part: half of it at once where that can."""
        nonlocal kept
        gone = {id(one) for one in part}
        without = [one for one in kept if id(one) not in gone]
        if Network(case.everything, [one.constraint for one in (*without, *fixed)]).best(()) is None:
            kept = without
        elif len(part) > 1:
            spare(part[: len(part) // 2])
            spare(part[len(part) // 2 :])

    spare(sorted(kept, key=_tried_late))
    return tuple(kept)


def _tried_late(bound: Bound) -> tuple[bool, bool, bool]:
    return bound.rule in _DEFAULTS, bound.rule in _TELLING, bound.needs != 0
