"""The rules behind a conflict in words, each with the fact row that it rests on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from cudaforge.matrix.sources import Source
from cudaforge.resolver.case import Case
from cudaforge.resolver.model import ConflictReason, ReasonKind
from cudaforge.resolver.reasons.incompatible import PLAIN, WORDS
from cudaforge.resolver.reasons.unknown import UNCONFIRMED, UNKNOWN, UNSEEN, unreleased
from cudaforge.resolver.reasons.view import Said, View
from cudaforge.resolver.rules import RULES
from cudaforge.resolver.rules.scene import Bound
from cudaforge.resolver.solver import Domains, Network, Restriction

# Told only where nothing else is: people know that they want a GPU image of a final release.
_SELF_EVIDENT = frozenset(("gpu-build", "final-release", "offered-bases"))
_TOLD_WITH = {"base": ("python-version", "toolkit-version"), "os": ("python-version",)}
_OF_PYTHON = frozenset(("python-version", "python-provider", "python-wheels", "package-python"))
# Next to these alone, what the wishes leave is told as well.
_SAYING_LITTLE = frozenset(
    (*PLAIN, *_SELF_EVIDENT, "base", "cuda-provider", "framework-version", "one-provider", "os")
)


def reasons(
    case: Case, culprits: Sequence[Bound], active: Sequence[Bound]
) -> tuple[tuple[ConflictReason, ...], tuple[Source, ...]]:
    """What each of the bounds behind a conflict says of the values that the other ones leave, and the
    sources of all rows that it says so of."""
    if case.unreleased:
        text = unreleased(case)
        return (ConflictReason(kind=ReasonKind.UNKNOWN, text=text, source=None),), ()
    found: list[ConflictReason] = []
    behind: list[Source] = []
    told = [bound for bound in culprits if bound.rule in RULES]
    telling = [bound for bound in told if bound.rule not in _SELF_EVIDENT]
    rules = {bound.rule for bound in told}

    def tell(bounds: Sequence[Bound], words: Callable[[View], Iterator[ConflictReason]]) -> None:
        for bound in bounds:
            view = View(case, bound, _left(case, bound, active, culprits))
            for reason in words(view):
                if not any(reason.text in one.text for one in found):
                    found.append(reason)
                if reason.source is not None:
                    behind.extend(view.sources())

    tell([bound for bound in telling if not _is_beside_the_point(bound, rules)], _reasons)
    if rules <= _SAYING_LITTLE:
        said = {rule for by, told_with in _TOLD_WITH.items() if by in rules for rule in told_with}
        tell([bound for bound in telling if bound.rule not in said], _plainly)
    if not found:
        tell(told, _reasons)
    if not found:
        text = "; ".join(dict.fromkeys(RULES[bound.rule].statement for bound in told))
        found.append(ConflictReason(kind=ReasonKind.INCOMPATIBLE, text=text, source=None))
    return tuple(found), tuple(behind)


def _is_beside_the_point(bound: Bound, rules: Collection[str]) -> bool:
    """Whether it is an OS that is told by its Pythons, where these are not what collides."""
    is_known = isinstance(bound.constraint, Restriction) and bound.constraint.mask
    return bound.rule == "os" and bool(is_known) and not _OF_PYTHON & set(rules)


def _left(case: Case, bound: Bound, active: Sequence[Bound], culprits: Sequence[Bound]) -> Domains:
    """What is left without this bound: by everything that restricts, and by the rest of the conflict."""
    every = [one for one in active if one in culprits or isinstance(one.constraint, Restriction)]
    for bounds in (every, culprits):
        domains = Network(
            case.everything, [one.constraint for one in bounds if one is not bound]
        ).propagated()
        if domains is not None:
            return domains
    return case.everything


def _reasons(view: View) -> Iterator[ConflictReason]:
    bound = view.bound
    is_hopeless = isinstance(bound.constraint, Restriction) and not bound.constraint.mask
    if (is_hopeless and bound.rule in UNKNOWN) or bound.rule in UNCONFIRMED:
        told = UNKNOWN.get(bound.rule) or UNCONFIRMED[bound.rule]
        yield from _as_reason(ReasonKind.UNKNOWN, told(view))
        return
    if bound.rule in UNSEEN:
        yield from _as_reason(ReasonKind.UNKNOWN, UNSEEN[bound.rule](view))
    if bound.rule in WORDS:
        yield from _as_reason(ReasonKind.INCOMPATIBLE, WORDS[bound.rule](view))


def _plainly(view: View) -> Iterator[ConflictReason]:
    is_hopeless = isinstance(view.bound.constraint, Restriction) and not view.bound.constraint.mask
    if view.bound.rule in PLAIN and not is_hopeless:
        yield from _as_reason(ReasonKind.INCOMPATIBLE, PLAIN[view.bound.rule](view))


def _as_reason(kind: ReasonKind, said: Said | None) -> Iterator[ConflictReason]:
    if said is not None:
        yield ConflictReason(kind=kind, text=said[0], source=said[1])
