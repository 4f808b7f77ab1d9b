"""Ways out of a conflict: the smallest changes of wishes that resolve, each solved again before it is
offered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from cudaforge.declaration.model import Gate, Wishes
from cudaforge.errors import InputError
from cudaforge.records import replace
from cudaforge.resolver.case import Case, reopened
from cudaforge.resolver.edits import NEAREST, Change, Edit, dropped, moved, moved_to
from cudaforge.resolver.model import Fix
from cudaforge.resolver.picked import Picked, picked
from cudaforge.resolver.question import GpuWish, Item
from cudaforge.resolver.rules.scene import Bound
from cudaforge.resolver.solver import Domains

Proof = Callable[[Case, Domains], bool]
"""Whether an answer that the facts allow holds, too."""
MAX_FIXES = 6
MAX_VALUES = 2
_MAX_CHANGED = 3
_LAST = 1_000
_SEVERAL = frozenset(("framework", "cuda", "cudnn", "python", "os"))
"""Keys of which several other values are worth offering; of the rest the nearest will do."""


def any_change(change: Change) -> bool:  # noqa: ARG001 -- it looks at none
    """Let every change through."""
    return True


def any_answer(case: Case, domains: Domains) -> bool:  # noqa: ARG001 -- it looks at none
    """Take every answer that the facts allow."""
    return True


def repairs(
    case: Case,
    core: int,
    culprits: Sequence[Bound],
    *,
    allows: Callable[[Change], bool] = any_change,
    proves: Proof = any_answer,
) -> tuple[Fix, ...]:
    """The changes that resolve, that `allows` lets through and whose answer `proves` takes, the one that
    changes least first; of those that change as little, one far back to an old release goes last."""
    tried = _Tried(case, allows, proves)
    for rank, item in enumerate(case.question.items):
        if item.bit & core:
            _change(tried, item, rank)
    _change_settings(tried, culprits)
    if not tried.found:
        _change_several(tried)
    ordered = sorted(tried.found.values(), key=lambda pair: pair[0])
    # Of two values of one wish that give the same, the nearer one says all.
    best = {(tuple(fix.change), fix.gives): fix for _, fix in reversed(ordered)}
    return tuple(fix for _, fix in ordered if fix in best.values())[:MAX_FIXES]


class _Tried:
    """The edits that were solved again, and those that resolve with what they cost."""

    def __init__(self, case: Case, allows: Callable[[Change], bool], proves: Proof) -> None:
        self.case = case
        self.allows = allows
        self.proves = proves
        self.found: dict[Change, tuple[tuple[int, ...], Fix]] = {}
        self._seen: set[Change] = set()

    def resolves(self, edit: Edit, cost: tuple[int, ...]) -> bool:
        """Whether the changed wishes have an answer; if so the edit is kept."""
        if edit.change in self._seen:
            return edit.change in self.found
        self._seen.add(edit.change)
        if not self.allows(edit.change):
            return False
        try:
            other = reopened(self.case, edit.wishes)
        except InputError:
            return False
        domains = other.best(other.question.all_bits)
        if domains is not None and not self.proves(other, domains):
            return False
        if domains is not None:
            self.found[edit.change] = (
                cost,
                Fix(change=dict(edit.change), gives=_gives(other, picked(other, domains))),
            )
        return domains is not None


def _gives(case: Case, rows: Picked) -> str:
    names = [one.name for one in case.question.frameworks]
    return ", ".join(f"{name} {build.label}" for name, build in zip(names, rows.builds, strict=True))


def _change(tried: _Tried, item: Item, rank: int) -> None:
    """Other values for one wish; dropping it where none helps, and always for a GPU."""
    case, wishes = tried.case, tried.case.question.wishes
    domains = case.network(case.question.all_bits & ~item.bit).propagated()
    if domains is None:
        return
    helpful = 0
    enough = MAX_VALUES if item.key in _SEVERAL else 1
    for distance, edit in enumerate(moved(case, item, wishes, domains)):
        helpful += tried.resolves(edit, (1, 0, distance + edit.is_far_back, rank))
        if helpful == enough:
            break
    if not helpful and item.key in _SEVERAL and item.key != "framework":
        helpful += _changed_to_best(tried, item, rank)
    without = dropped(case, item, wishes)
    if without is not None and (not helpful or item.key == "gpus"):
        tried.resolves(without, (1, 1, 0, rank))


def _changed_to_best(tried: _Tried, item: Item, rank: int) -> bool:
    """The value that the best answer without the wish has, where none near the one asked for helps."""
    case = tried.case
    best = case.best(case.question.all_bits & ~item.bit)
    edit = None if best is None else moved_to(case, item, case.question.wishes, picked(case, best))
    if edit is None or edit.change[0][1] is None:
        return False
    return tried.resolves(edit, (1, 0, NEAREST, rank))


def _change_settings(tried: _Tried, culprits: Sequence[Bound]) -> None:
    """Settings that are no wishes: an over-strict gate relaxed, the CPU twin where no GPU is named."""
    rules = {bound.rule for bound in culprits}
    wishes = tried.case.question.wishes
    if rules & {"gate", "gpu-gate"}:
        relaxed = Edit((("require_cuda", Gate.RELAX.value),), replace(wishes, require_cuda=Gate.RELAX))
        tried.resolves(relaxed, (1, 0, 0, _LAST))
    if "gpu-platform" in rules:
        is_elsewhere = all(wish.named.platforms for wish in tried.case.question.gpus)
        for platform in _machines(culprits):
            platforms = (platform,) if is_elsewhere else (*wishes.platforms, platform)
            other = replace(wishes, platforms=platforms)
            tried.resolves(Edit((("platforms", ",".join(platforms)),), other), (1, 0, 0, _LAST))
    if rules & {"driver-cuda", "driver-ptx"} and wishes.gpus and not wishes.forward_compat:
        forward = replace(wishes, forward_compat=True)
        tried.resolves(Edit((("forward_compat", "true"),), forward), (1, 1, 0, _LAST))
    if "gpu-build" in rules and not (wishes.cuda or wishes.gpus or wishes.is_cpu):
        tried.resolves(Edit((("cuda", "none"),), replace(wishes, is_cpu=True)), (1, 1, 0, _LAST))


def _machines(culprits: Sequence[Bound]) -> list[str]:
    """Platforms of the machines that the GPUs of a conflict are built into."""
    wishes = [bound.about for bound in culprits if isinstance(bound.about, GpuWish)]
    return sorted({platform for wish in wishes for platform in wish.named.platforms})


def _change_several(tried: _Tried) -> None:
    """The smallest sets of wishes whose change resolves, each moved to what an answer without them has."""
    case = tried.case
    items = [item for item in case.question.items if not item.is_presence]
    for count in range(2, _MAX_CHANGED + 1):
        for chosen in combinations(items, count):
            bits = sum(item.bit for item in chosen)
            domains = case.best(case.question.all_bits & ~bits)
            if domains is not None:
                for cost, edit in enumerate(_joint(case, chosen, picked(case, domains))):
                    if tried.resolves(edit, (count, cost)):
                        break
            if len(tried.found) == NEAREST:
                return
        if tried.found:
            return


def _joint(case: Case, chosen: Sequence[Item], rows: Picked) -> Iterator[Edit]:
    """All chosen wishes moved to the answer, or else all dropped."""

    def to_answer(item: Item, wishes: Wishes) -> Edit | None:
        return moved_to(case, item, wishes, rows)

    def away(item: Item, wishes: Wishes) -> Edit | None:
        return dropped(case, item, wishes)

    for change_one in (to_answer, away):
        wishes = case.question.wishes
        changes: Change = ()
        for item in chosen:
            edit = change_one(item, wishes)
            if edit is not None:
                wishes, changes = edit.wishes, (*changes, *edit.change)
        # Of several frameworks each change has all: the last one says what is left of them.
        yield Edit(tuple(dict(changes).items()), wishes)
