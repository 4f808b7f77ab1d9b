"""Finite domains as bit masks: propagation to arc consistency and best-first search.

Knows nothing of frameworks or CUDA. Bit *i* of a domain stands for value *i* of its variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product

from cudaforge.records import record

Domains = tuple[int, ...]
Blocks = tuple[tuple[int, int], ...]
"""A binary relation: left values that behave alike, and the right values that go with them.
Each left value stands in at most one block; a left value in none goes with nothing."""


@record(kw_only=False)
class Restriction:
    """The variable keeps only the values of the mask."""

    variable: int
    mask: int


@record(kw_only=False)
class Relation:
    """The two variables take only pairs that the blocks allow."""

    left: int
    right: int
    blocks: Blocks


@record(kw_only=False)
class Exclusion:
    """The variables never all lie within their masks at once."""

    parts: tuple[tuple[int, int], ...]


Constraint = Restriction | Relation | Exclusion


def variables(constraint: Constraint) -> tuple[int, ...]:
    """The variables that a constraint is about."""
    if isinstance(constraint, Restriction):
        return (constraint.variable,)
    if isinstance(constraint, Relation):
        return constraint.left, constraint.right
    return tuple(variable for variable, _ in constraint.parts)


@record(kw_only=False)
class Criterion:
    """One field of the policy: classes of a variable's values, best first, covering its domain."""

    field: str
    variable: int
    classes: tuple[int, ...]

    def place(self, answer: Domains) -> int:
        """Where an answer stands: the less, the better."""
        domain = answer[self.variable]
        return next(place for place, values in enumerate(self.classes) if values & domain)


Rank = tuple[int, ...]


@record(kw_only=False)
class Total:
    """One field of the policy that several variables make together: each has classes of values with what
    they contribute, and `rank` says of one contribution of each how good they are together, the less, the
    better."""

    field: str
    parts: tuple[tuple[int, tuple[tuple[object, int], ...]], ...]
    """The variables with their classes, which cover the domain."""
    rank: Callable[[Sequence[object]], Rank]

    def place(self, answer: Domains) -> Rank:
        """Where an answer stands: the less, the better."""
        return self.ordered(answer)[0][0]

    def ordered(self, domains: Domains) -> list[tuple[Rank, tuple[int, ...]]]:
        """The combinations of classes within the domains, best first, those that are as good in the order of
        the classes."""
        open_classes = [
            [(what, values & domains[variable]) for what, values in classes if values & domains[variable]]
            for variable, classes in self.parts
        ]
        found = [
            (self.rank([what for what, _ in one]), tuple(values for _, values in one))
            for one in product(*open_classes)
        ]
        return sorted(found, key=lambda one: one[0])


_Edges = list[tuple[int, Blocks, bool]]


class Network:
    """Constraints over domains, ready to be propagated and searched. What it holds is for other networks to
    begin with, and never changes."""

    __slots__ = ("added", "changed", "exclusions", "relations", "start")
    start: Domains
    added: tuple[Relation | Exclusion, ...]
    """What it was given besides restrictions, which show in `start`."""
    relations: list[_Edges]
    exclusions: list[Exclusion]
    changed: int
    """The variables whose constraints have not been looked at yet."""

    def __init__(
        self, domains: Sequence[int], constraints: Iterable[Constraint], *, after: Network | None = None
    ) -> None:
        """`after` has the constraints that are known already to hold within the domains."""
        start = list(domains)
        relations: list[_Edges] = [[] for _ in domains] if after is None else after.relations.copy()
        exclusions = [] if after is None else after.exclusions.copy()
        changed, own = (1 << len(start)) - 1 if after is None else 0, 0
        added: list[Relation | Exclusion] = []
        for constraint in constraints:
            if isinstance(constraint, Restriction):
                variable = constraint.variable
                kept = start[variable] & constraint.mask
                if kept != start[variable]:
                    start[variable] = kept
                    changed |= 1 << variable
                continue
            added.append(constraint)
            if isinstance(constraint, Relation):
                for here, there, is_forward in (
                    (constraint.left, constraint.right, True),
                    (constraint.right, constraint.left, False),
                ):
                    if not own >> here & 1:
                        relations[here] = relations[here].copy()
                        own |= 1 << here
                    relations[here].append((there, constraint.blocks, is_forward))
                    changed |= 1 << here
            else:
                exclusions.append(constraint)
        self.start = tuple(start)
        self.added = tuple(added)
        self.relations = relations
        self.exclusions = exclusions
        self.changed = changed

    def extended(self, constraints: Iterable[Constraint]) -> Network:
        """This network, propagated, with more constraints."""
        domains = self.propagated()
        return Network(domains if domains is not None else (0,) * len(self.start), constraints, after=self)

    def propagated(self) -> Domains | None:
        """The domains without values that cannot be part of an answer as far as propagation sees;
        None if some domain runs empty."""
        if not all(self.start):
            return None
        return self._propagate(list(self.start), self.changed)

    def _propagate(self, domains: list[int], changed: int) -> Domains | None:
        while True:
            while changed:
                low = changed & -changed
                changed ^= low
                source = low.bit_length() - 1
                domain = domains[source]
                for target, blocks, is_forward in self.relations[source]:
                    kept = _image(blocks, domain) if is_forward else _preimage(blocks, domain)
                    kept &= domains[target]
                    if kept != domains[target]:
                        if not kept:
                            return None
                        domains[target] = kept
                        changed |= 1 << target
            changed = self._exclude(domains)
            if changed < 0:
                return None
            if not changed:
                return tuple(domains)

    def _exclude(self, domains: list[int]) -> int:
        """Apply exclusions of which all parts but one are certain. Negative if a domain ran empty."""
        changed = 0
        for exclusion in self.exclusions:
            open_parts = [part for part in exclusion.parts if domains[part[0]] & ~part[1]]
            if not open_parts:
                return -1
            if len(open_parts) == 1:
                variable, mask = open_parts[0]
                if domains[variable] & mask:
                    domains[variable] &= ~mask
                    changed |= 1 << variable
        return changed

    def answers(self, criteria: Sequence[Criterion | Total]) -> Iterator[Domains]:
        """Every answer (one value per variable), best first: an answer that is better in an earlier
        criterion comes before one that is better in a later one only."""
        domains = self.propagated()
        if domains is not None:
            yield from self._search(domains, criteria, 0)

    def best(self, criteria: Sequence[Criterion | Total]) -> Domains | None:
        """The first of the answers, or None."""
        return next(self.answers(criteria), None)

    def _search(
        self, domains: Domains, criteria: Sequence[Criterion | Total], level: int
    ) -> Iterator[Domains]:
        while level < len(criteria):
            criterion = criteria[level]
            if isinstance(criterion, Total):
                for narrowed in self._search_total(domains, criterion):
                    yield from self._search(narrowed, criteria, level + 1)
                return
            if not _is_single(domains[criterion.variable]):
                break
            level += 1
        else:
            yield from self._enumerate(domains)
            return
        domain = domains[criterion.variable]
        for values in criterion.classes:
            part = domain & values
            if part == domain:
                yield from self._search(domains, criteria, level + 1)
                return
            if part:
                kept = self._narrow(domains, criterion.variable, part)
                if kept is not None:
                    yield from self._search(kept, criteria, level + 1)

    def _search_total(self, domains: Domains, total: Total) -> Iterator[Domains]:
        """The domains narrowed to one combination of classes after the other, best first."""
        for _, masks in total.ordered(domains):
            narrowed: Domains | None = domains
            for (variable, _), mask in zip(total.parts, masks, strict=True):
                kept = narrowed[variable] & mask if narrowed is not None else 0
                narrowed = self._narrow(narrowed, variable, kept) if narrowed is not None and kept else None
            if narrowed is not None:
                yield narrowed

    def _enumerate(self, domains: Domains) -> Iterator[Domains]:
        """The answers that no criterion tells apart, lowest value first."""
        variable = next((one for one, domain in enumerate(domains) if not _is_single(domain)), None)
        if variable is None:
            yield domains
            return
        domain = domains[variable]
        while domain:
            low = domain & -domain
            domain ^= low
            narrowed = self._narrow(domains, variable, low)
            if narrowed is not None:
                yield from self._enumerate(narrowed)

    def _narrow(self, domains: Domains, variable: int, part: int) -> Domains | None:
        copy = list(domains)
        copy[variable] = part
        return self._propagate(copy, 1 << variable)


def _is_single(domain: int) -> bool:
    return domain & (domain - 1) == 0


def _image(blocks: Blocks, domain: int) -> int:
    kept = 0
    for left, right in blocks:
        if left & domain:
            kept |= right
    return kept


def _preimage(blocks: Blocks, domain: int) -> int:
    kept = 0
    for left, right in blocks:
        if right & domain:
            kept |= left
    return kept


def indexes(mask: int) -> Iterator[int]:
    """The values of a mask, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
