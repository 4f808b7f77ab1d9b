"""The resolver's answers as text: what was chosen and why, or which wishes collide."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from cudaforge.display import visible
from cudaforge.report.explanations import choice_json, explain_resolution
from cudaforge.report.sizes import size_text
from cudaforge.report.tables import WIDTH, names_text, paragraph, table
from cudaforge.resolver import (
    Answer,
    Conflict,
    ImageAlternatives,
    ImageAnswer,
    ImageExplanation,
    Resolution,
    answer_to_json,
    conflict_to_json,
)
from cudaforge.resolver.as_json import resolution_to_json
from cudaforge.resolver.model import Fix

_MANY = 5
"""From so many other choices on, each has a line and no longer a block."""


def describe_answers(answers: Sequence[ImageAnswer], every: Sequence[ImageAlternatives] = ()) -> str:
    """Every image's answer, and below it the next best ones. What is wrong with several images is told
    once."""
    by_name = {one.name: one for one in every}
    return "\n\n".join(
        _describe(names, answer, by_name.get(names[0])) for names, answer in _grouped(_named(answers))
    )


def answers_json(
    answers: Sequence[ImageAnswer], every: Sequence[ImageAlternatives] = ()
) -> list[dict[str, object]]:
    """The JSON form of `resolve`."""
    by_name = {one.name: one for one in every}
    documents = []
    for answer in answers:
        document = answer_to_json(answer.name, answer.answer)
        listed = by_name.get(answer.name)
        if listed is not None:
            document["alternatives"] = [resolution_to_json(other) for other in listed.resolutions[1:]]
            document["alternatives_cut"] = listed.is_cut
        documents.append(document)
    return documents


def point_lines(answers: Iterable[ImageAnswer]) -> Iterator[str]:
    """The entries of `answers_json` as JSON, one each. What points share is made into text once."""
    known: dict[int, str] = {}
    for one in answers:
        ending = known.get(id(one.answer))
        if ending is None:
            document = answer_to_json(one.name, one.answer)
            del document["name"]
            ending = known[id(one.answer)] = json.dumps(document, ensure_ascii=False)[1:]
        yield f'{{"name": {json.dumps(one.name)}, {ending}'


def dropped_lines(answers: Sequence[ImageAnswer]) -> Iterator[str]:
    """The images of these conflicts as JSON, those with the same one together."""
    for names, answer in _grouped(_named(answers)):
        if isinstance(answer, Conflict):
            yield json.dumps({**conflict_to_json(answer), "points": names}, ensure_ascii=False)


def describe_matrix(answers: Sequence[ImageAnswer]) -> str:
    """Every point of a matrix in one line, then those that are dropped, by what is wrong with them."""
    rows = [
        (
            one.name,
            ", ".join(f"{it.name} {it.reported}" for it in one.answer.frameworks),
            str(one.answer.cuda or "-"),
            one.answer.python,
            one.answer.base_image,
            str(one.answer.numbers.driver_floor or "-"),
        )
        for one in answers
        if isinstance(one.answer, Resolution)
    ]
    conflicts = [
        describe_conflict(names, answer)
        for names, answer in _grouped(_named(answers))
        if isinstance(answer, Conflict)
    ]
    header = ("image", "framework", "CUDA", "Python", "base", "driver")
    dropped = len(answers) - len(rows)
    counted = f"{len(rows)} image{'' if len(rows) == 1 else 's'}" + (
        f", {dropped} dropped" if dropped else ""
    )
    return "\n\n".join([*([table(header, rows)] if rows else []), *conflicts, counted])


def explain_answers(explanations: Sequence[ImageExplanation]) -> str:
    """Every image's choices with their reasons, or its conflict."""
    choices = {one.name: one.choices for one in explanations}
    return "\n\n".join(
        describe_conflict(names, answer)
        if isinstance(answer, Conflict)
        else explain_resolution(names[0], answer, choices[names[0]])
        for names, answer in _grouped((one.name, one.answer) for one in explanations)
    )


def explanations_json(explanations: Sequence[ImageExplanation]) -> list[dict[str, object]]:
    """The JSON form of `explain`: that of `resolve`, with the choices."""
    documents = []
    for one in explanations:
        document = answer_to_json(one.name, one.answer)
        if isinstance(one.answer, Resolution):
            document["choices"] = [choice_json(choice) for choice in one.choices]
        documents.append(document)
    return documents


def _grouped(answers: Iterable[tuple[str, Answer]]) -> list[tuple[tuple[str, ...], Answer]]:
    """Each resolution alone, and the images that share a conflict together, where the first of them
    stands."""
    found: dict[int, tuple[list[str], Answer]] = {}
    for number, (name, answer) in enumerate(answers):
        key = id(answer) if isinstance(answer, Conflict) else -number
        found.setdefault(key, ([], answer))[0].append(name)
    return [(tuple(names), answer) for names, answer in found.values()]


def _named(answers: Sequence[ImageAnswer]) -> list[tuple[str, Answer]]:
    return [(one.name, one.answer) for one in answers]


def _describe(names: Sequence[str], answer: Answer, every: ImageAlternatives | None) -> str:
    if isinstance(answer, Conflict):
        return describe_conflict(names, answer)
    parts = [describe_resolution(names[0], answer)]
    others = () if every is None else every.resolutions[1:]
    if len(others) < _MANY:
        parts += [
            describe_resolution(f"{names[0]} (choice {rank})", one) for rank, one in enumerate(others, 2)
        ]
    else:
        parts.append(f"{names[0]}: {len(others)} other choices\n" + _choices_table(others))
    if every is not None and every.is_cut:
        parts.append(f"{names[0]} has more: the first {len(every.resolutions)} are listed")
    return "\n\n".join(parts)


def _choices_table(others: Sequence[Resolution]) -> str:
    """Answers in a line each; what does not fit next to several frameworks is left out."""
    columns = {
        "#": [str(rank) for rank, _ in enumerate(others, 2)],
        "framework": [", ".join(f"{it.name} {it.reported}" for it in one.frameworks) for one in others],
        "CUDA": [str(one.cuda or "-") for one in others],
        "cuDNN": [str(one.cudnn or "-") for one in others],
        "Python": [one.python for one in others],
        "OS": [one.os for one in others],
        "driver": [str(one.numbers.driver_floor or "-") for one in others],
    }
    for spared in ("cuDNN", "OS", "driver", "Python", ""):
        lines = table(tuple(columns), list(zip(*columns.values(), strict=True)))
        if max(map(len, lines.splitlines())) <= WIDTH:
            break
        columns.pop(spared, None)
    return "\n".join(f"  {line}" for line in lines.splitlines())


def describe_resolution(name: str, answer: Resolution, driver: str | None = None) -> str:
    """One resolved image in a few aligned lines. `driver` stands in for the driver floor, where there is
    one for each of several GPUs."""
    numbers = answer.numbers
    rows = [("framework", ", ".join(f"{it.name} {it.reported}" for it in answer.frameworks))]
    if answer.cuda is not None:
        rows.append(("cuda", f"{answer.cuda} ({answer.cuda_provider.value})"))
    if answer.cudnn is not None:
        rows.append(("cudnn", str(answer.cudnn)))
    rows += [
        ("python", f"{answer.python} ({answer.python_provider.value})"),
        ("os", answer.os),
        ("base", answer.base_image),
        ("flavor", answer.flavor.value),
        ("platforms", ", ".join(answer.platforms)),
    ]
    if answer.cuda is not None:
        rows.append(("runs on", ", ".join((*answer.architectures, *answer.ptx)) or "?"))
        if driver is not None:
            rows.append(("driver", driver))
        elif numbers.driver_floor is not None:
            rows.append(("driver", f">= {numbers.driver_floor} (set by {numbers.binding})"))
    if answer.companions:
        rows.append(("goes with", ", ".join(f"{key} {value}" for key, value in answer.companions.items())))
    if (size := size_text(answer.size)) is not None:
        rows.append(("size", size))
    lines = [f"{name}: resolved"]
    lines += [paragraph(value, first=f"  {key:<10} ", indent=" " * 13) for key, value in rows]
    lines += [paragraph(text, first="  warning    ", indent=" " * 13) for text in answer.warnings]
    return visible("\n".join(lines))


def describe_conflict(names: Sequence[str], conflict: Conflict) -> str:
    """The wishes that collide, the facts behind it, and what to change; for all images that have it."""
    wishes = " and ".join(conflict.core)
    verb = "cannot all hold" if len(conflict.core) > 1 else "cannot hold"
    heading = paragraph(f"{names_text(names)}: {wishes} {verb}", first="", indent="  ")
    return visible(heading + "\n" + describe_reasons(conflict))


def describe_reasons(conflict: Conflict) -> str:
    """The facts behind a conflict, and what to change."""
    lines = [paragraph(reason.cited(), first="  because  ", indent=" " * 11) for reason in conflict.reasons]
    lines += [paragraph(_fix(fix), first="  try      ", indent=" " * 11) for fix in conflict.fixes]
    lines += [paragraph(text, first="  warning  ", indent=" " * 11) for text in conflict.warnings]
    return visible("\n".join(lines))


def _fix(fix: Fix) -> str:
    return f"{fix.words()}  gives {fix.gives}"
