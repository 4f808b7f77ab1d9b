"""Why an answer is the one: for each field what was chosen, what it beat, and what excluded the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cudaforge.display import visible
from cudaforge.matrix.sources import Source
from cudaforge.report.sizes import explain_size
from cudaforge.report.tables import paragraph
from cudaforge.resolver import Resolution
from cudaforge.resolver.model import Beaten, Choice, Excluded, ExcludedBy
from cudaforge.versions import InvalidVersion, Version

_LABEL = 14
_BEATEN = 3
"""Beaten values of one reason that are named."""
_GROUPS = 3
"""Groups of excluded values that are told of one field."""
_LONG = 240
"""Characters of facts that are told of one group."""
_RUNS = 3
"""Runs of values that are named of one group."""


def explain_resolution(name: str, answer: Resolution, choices: Sequence[Choice]) -> str:
    """For every field what was chosen, why, and by which fact; the next best values, and why they came after
    it; the better ones, and what excludes them. Long lists are cut, and say so."""
    lines = [f"{name}:"]
    for choice in choices:
        lines.append(f"  {choice.field} = {choice.value}")
        lines.append(_line("because", choice.because + _cite(choice.source)))
        if choice.beat:
            lines.append(_line("beat", "; ".join(_beaten(choice.beat))))
        lines += _excluded(choice)
    lines.append(explain_size(answer.size))
    lines += [paragraph(text, first="  warning  ", indent=" " * 11) for text in answer.warnings]
    return visible("\n".join(lines))


def choice_json(choice: Choice) -> dict[str, object]:
    """One choice for machines, with all that it beat and all that was excluded."""
    return {
        "field": choice.field,
        "value": choice.value,
        "because": choice.because,
        "source": _text(choice.source),
        "wishes": list(choice.wishes),
        "prefer": choice.prefer,
        "beat": [{"value": one.value, "because": one.because} for one in choice.beat],
        "excluded": [
            {
                "values": list(one.values),
                "kind": one.kind.value,
                "by": list(one.by),
                "text": one.text,
                "source": _text(one.source),
            }
            for one in choice.excluded
        ],
    }


def runs(values: Sequence[str], others: Sequence[str]) -> list[str]:
    """Versions as ranges, newest last, that none of the others lies within; any other values as they are."""
    places = _by_version({*values, *others})
    if places is None:
        return list(values)
    found: list[list[str]] = []
    last = -1
    for value in sorted(set(values), key=lambda one: places[one]):
        if found and places[value] == last + 1:
            found[-1].append(value)
        else:
            found.append([value])
        last = places[value]
    return [_range(run) for run in found]


def _by_version(values: set[str]) -> Mapping[str, int] | None:
    try:
        ordered = sorted(values, key=Version)
    except InvalidVersion:
        return None
    return {value: place for place, value in enumerate(ordered)}


def _range(run: Sequence[str]) -> str:
    if len(run) <= 2:  # noqa: PLR2004 -- two are no longer than a range
        return ", ".join(run)
    return f"{run[0]} to {run[-1]} ({len(run)})"


def _line(label: str, text: str) -> str:
    return paragraph(text, first=f"    {label}".ljust(_LABEL), indent=" " * _LABEL)


def _beaten(beat: Sequence[Beaten]) -> Iterator[str]:
    """Values by what put them behind, the best of each named."""
    groups: dict[str, list[str]] = {}
    for one in beat:
        groups.setdefault(one.because, []).append(one.value)
    for because, values in groups.items():
        yield f"{_some(values, _BEATEN)}: {because}"


def _excluded(choice: Choice) -> Iterator[str]:
    every = [choice.value, *(one.value for one in choice.beat)]
    every += [value for one in choice.excluded for value in one.values]
    shown = _interesting(choice.excluded)
    for one in shown:
        values = _some(runs(one.values, every)[::-1], _RUNS)
        yield _line("excluded", f"{values}: {_shortened(one.text)}{_cite(one.source)}")
    left = len(choice.excluded) - len(shown)
    if left:
        yield _line("", f"and {left} more, which --json tells")


def _interesting(excluded: Sequence[Excluded]) -> Sequence[Excluded]:
    """What wishes and choices exclude before what facts alone do: that is news to fewer people."""
    personal = [one for one in excluded if one.kind is not ExcludedBy.FACT]
    return [*personal, *(one for one in excluded if one.kind is ExcludedBy.FACT)][:_GROUPS]


def _shortened(text: str) -> str:
    """The first facts of many."""
    found = ""
    for part in text.split("; "):
        if found and len(found) + len(part) > _LONG:
            return f"{found}; ..."
        found = f"{found}; {part}" if found else part
    return found


def _some(values: Sequence[str], most: int) -> str:
    shown = ", ".join(values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"


def _cite(source: Source | None) -> str:
    return "" if source is None else f" {source.citation()}"


def _text(source: Source | None) -> str | None:
    return source.text if source else None
