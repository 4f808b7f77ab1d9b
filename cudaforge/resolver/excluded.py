"""What an answer's values beat, and what wishes, facts or earlier choices excluded of what is better."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property, partial

from cudaforge.records import record
from cudaforge.resolver.case import Case
from cudaforge.resolver.conflict import EXPENDABLE, smallest_bounds
from cudaforge.resolver.model import Beaten, ConflictReason, Excluded, ExcludedBy, ReasonKind
from cudaforge.resolver.picked import Picked
from cudaforge.resolver.question import Item
from cudaforge.resolver.reasons import reasons
from cudaforge.resolver.relaxed import Relaxed, smallest
from cudaforge.resolver.rules.scene import CUDA, CUDNN, ENVIRONMENT, FIRST_FRAMEWORK, Bound
from cudaforge.resolver.solver import Domains, Restriction, Total
from cudaforge.resolver.steps import Rank, Step, steps

Part = Item | Step
"""What may exclude a value: a wish, or a choice that was made before."""

# What these say is the wish itself.
_WISHES = frozenset(
    (
        "framework-version",
        "framework-build",
        "cuda-version",
        "cudnn-version",
        "python-version",
        "toolkit-version",
        "python-provider",
        "cuda-provider",
        "cpu-twin",
        "flavor",
        "base",
        "os",
    )
)
_KINDS = tuple(kind.value for kind in (ExcludedBy.WISH, ExcludedBy.CHOICE, ExcludedBy.FACT))
_LONG = 120
"""Facts that take more characters than that are told in one sentence instead."""


Weighed = tuple[tuple[Beaten, ...], tuple[Excluded, ...]]
"""What a value beat, and what was excluded."""


@record(kw_only=False, eq=False)
class _Value:
    """A value that was not chosen."""

    text: str
    mask: int
    rank: Rank
    best: int
    """What of it is as good as its rank says."""


def weigh(case: Case, rows: Picked) -> Mapping[str, Weighed]:
    """Of each field that the policy settles, what the chosen value beat, given the choices before it, and
    what would have been better and is excluded."""
    relaxed = Relaxed(case)
    before: list[Step] = []
    found: dict[str, Weighed] = {}
    for step in steps(case, rows):
        weighing = _Weighing(relaxed, step, before)
        # The toolkit is settled twice: whether there is one, and later which.
        beat, excluded = found.get(step.field, ((), ()))
        found[step.field] = ((*beat, *weighing.beaten()), (*excluded, *weighing.excluded()))
        before = [*before, step]
    return found


class _Weighing:
    """One step on the choices before it: what was not chosen there."""

    def __init__(self, relaxed: Relaxed, step: Step, before: Sequence[Step]) -> None:
        self._relaxed = relaxed
        self._case = relaxed.case
        self._step = step
        self._before = tuple(before)
        self._choices = [one.restriction for one in before]
        self._given = relaxed.presences
        if step.variable >= FIRST_FRAMEWORK:
            self._given = relaxed.case.question.presence(step.position)
        items = [item for item in self._case.question.items if not item.bit & self._given]
        self._wishes = tuple(sorted(items, key=self._spared))

    def _spared(self, item: Item) -> tuple[bool, bool, int]:
        """What is asked of the field itself is told rather than what follows from other wishes."""
        is_own = item.key == self._step.key and item.position == self._step.position
        return is_own, item.is_presence, EXPENDABLE.index(item.key)

    def beaten(self) -> Iterator[Beaten]:
        """What is worse and has an answer, best first."""
        for value in self._others:
            if value.rank < self._chosen[0]:
                if self._is_larger(value):
                    yield Beaten(value=value.text, because="a larger image")
            elif self._is_possible(value):
                # What has an answer may be less good than the value looks by itself.
                possible = self._here(value.mask & self._left)
                yield Beaten(value=value.text, because=self._behind(*self._step.rank(possible)))

    @cached_property
    def _left(self) -> int:
        return self._relaxed.left(self._case.question.all_bits, self._choices)[self._step.variable]

    def _is_possible(self, value: _Value) -> bool:
        fixed = [*self._choices, Restriction(self._step.variable, value.mask)]
        return bool(value.mask & self._left) and self._relaxed.has_answer(self._case.question.all_bits, fixed)

    def _is_larger(self, value: _Value) -> bool:
        """Whether a better value has an answer and bytes alone, which go before it, speak against it."""
        return any(isinstance(one, Total) for one in self._case.criteria) and self._is_possible(value)

    def excluded(self) -> list[Excluded]:
        """What is better and has no answer: by wishes, by choices, by facts; best first of each."""
        groups: dict[tuple[str, tuple[Part, ...]], list[_Value]] = {}
        cores: dict[str, list[tuple[Part, ...]]] = {kind: [] for kind in _KINDS}
        for value in self._others:
            if value.rank >= self._chosen[0] or self._is_larger(value):
                continue
            kind, parts = self._why(value)
            excludes = partial(self._excludes, value)
            known = (one for one in cores[kind] if _is_smallest(one, excludes))
            core = next(known, None) or smallest(parts, excludes)
            if core not in cores[kind]:
                cores[kind].append(core)
            groups.setdefault((kind, core), []).append(value)
        order = sorted(groups.items(), key=lambda pair: _KINDS.index(pair[0][0]))
        return [self._told(kind, core, found) for (kind, core), found in order]

    @cached_property
    def _chosen(self) -> tuple[Rank, int]:
        return self._step.rank(self._here(self._step.mask))

    def _here(self, mask: int) -> int:
        """The values that the choices before leave."""
        for restriction in self._choices:
            if restriction.variable == self._step.variable:
                mask &= restriction.mask
        return mask

    @cached_property
    def _others(self) -> Sequence[_Value]:
        """The other values, best first. A base that has another Python or OS is not told once more, nor
        a toolkit of another kind."""
        step = self._step
        is_told_before = step.field in ("base_image", "toolkit")
        found = []
        for text, mask in step.values.items():
            here = self._here(mask)
            if text != step.chosen and (here or not is_told_before):
                found.append(_Value(text, mask, *step.rank(here or mask)))
        return sorted(found, key=lambda one: one.rank)

    def _behind(self, its: Rank, bits: int) -> str:
        rank, best = self._chosen
        pairs = zip(self._step.criteria, rank, its, strict=True)
        differing = next((one.field for one, mine, theirs in pairs if mine != theirs), None)
        if differing is None:
            return "as good, and later in the matrix"
        return self._step.behind(differing, (best & -best).bit_length() - 1, (bits & -bits).bit_length() - 1)

    def _why(self, value: _Value) -> tuple[str, tuple[Part, ...]]:
        """What kind of thing excludes the value, and all that may."""
        variable = self._step.variable
        if not value.mask & self._by_facts[variable] or self._excludes(value, ()):
            return "fact", ()
        if not value.mask & self._by_wishes[variable] or self._excludes(value, self._wishes):
            return "wish", self._wishes
        return "choice", (*self._wishes, *reversed(self._before))

    @cached_property
    def _by_facts(self) -> Domains:
        return self._relaxed.left(self._given, ())

    @cached_property
    def _by_wishes(self) -> Domains:
        return self._relaxed.left(self._case.question.all_bits, ())

    def _excludes(self, value: _Value, parts: Sequence[Part]) -> bool:
        wished = self._given
        fixed = [Restriction(self._step.variable, value.mask)]
        for part in parts:
            if isinstance(part, Item):
                wished |= part.bit
            else:
                fixed.append(part.restriction)
        return not self._relaxed.has_answer(wished, fixed)

    def _told(self, kind: str, core: tuple[Part, ...], values: Sequence[_Value]) -> Excluded:
        wishes = [part for part in core if isinstance(part, Item)]
        made = [part for part in self._before if part in core]
        asked, chosen = _words(wishes, made), [part.word for part in made]
        facts = self._facts(wishes, made, values)
        texts = [f"{_and(asked)} {'is' if len(asked) == 1 else 'are'} asked for"] if asked else []
        if chosen:
            texts.append(f"{_and(chosen)} {'was' if len(chosen) == 1 else 'were'} chosen before")
        texts += [fact.text for fact in facts]
        return Excluded(
            values=tuple(value.text for value in values),
            kind=ExcludedBy(kind),
            by=(*asked, *chosen),
            text="; ".join(texts),
            source=next((fact.source for fact in facts if fact.source is not None), None),
        )

    def _facts(
        self, wishes: Sequence[Item], made: Sequence[Step], values: Sequence[_Value]
    ) -> Sequence[ConflictReason]:
        """The facts behind it; none where the wish says it all."""
        mask = 0
        for value in values:
            mask |= value.mask
        fixed = [Bound("", Restriction(self._step.variable, mask))]
        fixed += [Bound("", one.restriction) for one in made]
        bounds = self._relaxed.bounds(sum((item.bit for item in wishes), self._given))
        culprits = smallest_bounds(self._case, bounds, fixed)
        told = [one for one in culprits if not (one.rule in _WISHES and one.needs & ~self._given)]
        if not told:
            return ()
        every, _ = reasons(self._case, (*told, *fixed), (*bounds, *fixed))
        facts = [one for one in every if one.kind is ReasonKind.INCOMPATIBLE] or every
        is_of_all = not wishes and not made and self._step.variable in (CUDA, CUDNN)
        is_short = sum(len(one.text) for one in facts) <= _LONG and not is_of_all
        if is_short or self._step.variable >= FIRST_FRAMEWORK:
            return facts
        left = "left" if wishes or made else "known"
        text = self._at_once({one.rule for one in told}).format(left=left)
        return (ConflictReason(kind=ReasonKind.INCOMPATIBLE, text=text, source=None),)

    def _at_once(self, rules: Collection[str]) -> str:
        """Facts about very many builds in one sentence."""
        if self._step.variable != ENVIRONMENT:
            return "no build that is {left} loads it"
        if "python-wheels" in rules:
            its = "it" if self._step.field == "python" else "its Python"
            return f"no build that is {{left}} has wheels for {its}"
        return "nothing that is {left} goes with it"


def _is_smallest(core: tuple[Part, ...], excludes: partial[bool]) -> bool:
    return excludes(core) and not any(excludes([one for one in core if one is not part]) for part in core)


def _words(wishes: Sequence[Item], made: Sequence[Step]) -> list[str]:
    """Wishes as they are written. That a framework is there goes without saying next to what is asked of it
    or was chosen of it."""
    told = {item.position for item in wishes if item.key == "framework" and not item.is_presence}
    told |= {step.position for step in made if step.variable >= FIRST_FRAMEWORK}
    return [item.word for item in wishes if not (item.is_presence and item.position in told)]


def _and(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + f" and {words[-1]}" if len(words) > 1 else words[0]
