"""The resolver's answers as text: what was chosen and why, or which wishes collide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cudaforge.matrix.model import Source
from cudaforge.report.problems import visible
from cudaforge.report.tables import bytes_text, paragraph
from cudaforge.resolver import Conflict, ImageAnswer, Resolution, answer_to_json
from cudaforge.resolver.model import Choice, Fix


def describe_answers(
    answers: Sequence[ImageAnswer], others: Mapping[str, Sequence[Resolution]] | None = None
) -> str:
    """Every image's answer, and below it the next best ones."""
    return "\n\n".join(_describe(answer, (others or {}).get(answer.name, ())) for answer in answers)


def answers_json(
    answers: Sequence[ImageAnswer], others: Mapping[str, Sequence[Resolution]] | None = None
) -> list[dict[str, object]]:
    """The JSON form of `resolve`."""
    documents = []
    for answer in answers:
        document = answer_to_json(answer.name, answer.answer)
        if others:
            document["alternatives"] = [
                answer_to_json(answer.name, other)["resolution"] for other in others.get(answer.name, ())
            ]
        documents.append(document)
    return documents


def explain_answers(answers: Sequence[ImageAnswer]) -> str:
    """Every image's choices with their reasons, or its conflict."""
    return "\n\n".join(
        describe_conflict(answer.name, answer.answer)
        if isinstance(answer.answer, Conflict)
        else explain_resolution(answer.name, answer.answer)
        for answer in answers
    )


def explanations_json(answers: Sequence[ImageAnswer]) -> list[dict[str, object]]:
    """The JSON form of `explain`: that of `resolve`, with the choices."""
    documents = []
    for answer in answers:
        document = answer_to_json(answer.name, answer.answer)
        if isinstance(answer.answer, Resolution):
            document["choices"] = [choice_json(choice) for choice in answer.answer.choices]
        documents.append(document)
    return documents


def _describe(answer: ImageAnswer, others: Sequence[Resolution]) -> str:
    if isinstance(answer.answer, Conflict):
        return describe_conflict(answer.name, answer.answer)
    ranked = [
        describe_resolution(f"{answer.name} (choice {rank})", one) for rank, one in enumerate(others, 2)
    ]
    return "\n\n".join([describe_resolution(answer.name, answer.answer), *ranked])


def describe_resolution(name: str, answer: Resolution) -> str:
    """One resolved image in a few aligned lines."""
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
        if numbers.driver_floor is not None:
            rows.append(("driver", f">= {numbers.driver_floor} (set by {numbers.binding})"))
    if answer.companions:
        rows.append(("goes with", ", ".join(f"{key} {value}" for key, value in answer.companions.items())))
    if answer.size.compressed is not None:
        prefix = "" if answer.size.known else "at least "
        rows.append(("download", prefix + bytes_text(answer.size.compressed)))
    lines = [f"{name}: resolved"]
    lines += [paragraph(value, first=f"  {key:<10} ", indent=" " * 13) for key, value in rows]
    lines += [paragraph(text, first="  warning    ", indent=" " * 13) for text in answer.warnings]
    return visible("\n".join(lines))


def describe_conflict(name: str, conflict: Conflict) -> str:
    """The wishes that collide, the facts behind it, and what to change."""
    wishes = " and ".join(conflict.core)
    verb = "cannot all hold" if len(conflict.core) > 1 else "cannot hold"
    lines = [paragraph(f"{name}: {wishes} {verb}", first="", indent="  ")]
    lines += [paragraph(reason.cited(), first="  because  ", indent=" " * 11) for reason in conflict.reasons]
    lines += [paragraph(_fix(fix), first="  try      ", indent=" " * 11) for fix in conflict.fixes]
    lines += [paragraph(text, first="  warning  ", indent=" " * 11) for text in conflict.warnings]
    return visible("\n".join(lines))


def explain_resolution(name: str, answer: Resolution) -> str:
    """For every field what was chosen, why, and by which fact."""
    lines = [f"{name}:"]
    for choice in answer.choices:
        lines.append(f"  {choice.field} = {choice.value}")
        lines.append(paragraph(choice.because + _cite(choice.source), indent="      "))
    lines += [paragraph(text, first="  warning  ", indent=" " * 11) for text in answer.warnings]
    return visible("\n".join(lines))


def choice_json(choice: Choice) -> dict[str, object]:
    """One choice for machines."""
    return {
        "field": choice.field,
        "value": choice.value,
        "because": choice.because,
        "source": choice.source.text if choice.source else None,
    }


def _cite(source: Source | None) -> str:
    return "" if source is None else f" {source.citation()}"


def _fix(fix: Fix) -> str:
    return f"{fix.words()}  gives {fix.gives}"
