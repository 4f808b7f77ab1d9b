"""From a diagnosis to causes, with the rules that ask the matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cudaforge.diagnosis.decide import decided, ranked, telling
from cudaforge.diagnosis.model import Cause, Diagnosis, Match
from cudaforge.explainer import drivers, gpus, images, packages, systems
from cudaforge.explainer.scene import Ruling, Scene
from cudaforge.matrix import Matrix
from cudaforge.records import replace

RULES: Mapping[str, Callable[[Scene], tuple[Ruling, ...]]] = {
    "arch-window": gpus.rule,
    "base-tag": images.rule,
    "distribution": packages.rule,
    "driver-floor": drivers.floor_rule,
    "driver-native": drivers.native_rule,
    "forward-compat": drivers.forward_rule,
    "glibc": systems.glibc_rule,
    "host-compiler": systems.compiler_rule,
    "system": systems.system_rule,
}
"""The rules that rows of `matrices/errors/` name. Each gives what facts decide: nothing where they cannot."""


def explain(found: Diagnosis, matrix: Callable[[], Matrix], *, today: str) -> tuple[Cause, ...]:
    """The causes of what was found in a text, the likeliest first. `matrix` is asked for when a rule needs
    it; `today` is an ISO date."""
    return ranked(cause for match in telling(found) for cause in _causes(match, found, matrix, today))


def _causes(match: Match, found: Diagnosis, matrix: Callable[[], Matrix], today: str) -> Iterator[Cause]:
    causes = decided(match, found)
    rule = match.pattern.rule
    if rule is None:
        yield from causes
        return
    rulings = RULES[rule](Scene(matrix=matrix(), match=match, facts=found.facts, causes=causes, today=today))
    if not rulings:
        yield from causes
        return
    for ruling in rulings:
        yield _ruled(ruling, causes, match)


def _ruled(ruling: Ruling, causes: tuple[Cause, ...], match: Match) -> Cause:
    """The ruling as a cause: its remedy is the pattern's where the facts know no better one."""
    own = next((cause for cause in causes if cause.code is ruling.code), None)
    base = own or Cause(
        code=ruling.code,
        text=ruling.text,
        remedy=ruling.remedy or causes[0].remedy,
        source=str(match.pattern.origin),
        pattern=match.pattern.id,
        excerpt=match.excerpt,
        is_symptom=match.pattern.is_symptom,
    )
    return replace(
        base,
        text=ruling.text,
        remedy=ruling.remedy or base.remedy,
        source=f"{base.source}; {ruling.source}" if ruling.source else base.source,
    )
