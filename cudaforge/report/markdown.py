"""Verdicts as Markdown, for the summary of a CI run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cudaforge.display import visible
from cudaforge.report.evidence import FailedBuild, Proof, machine_of
from cudaforge.report.tables import seconds_text
from cudaforge.verifier.model import CheckResult, CheckState, Tier, Verdict

_SPECIAL = re.compile(r"[\\`*_\[\]<>#|~&@$\"]|:(?=/)|!(?=\[)")
_LARGEST = 1_000_000
"""GitHub takes 1 MiB for the summary of a step."""
_MARKS = {
    CheckState.PASS: "pass",
    CheckState.FAIL: "**FAIL**",
    CheckState.SKIPPED: "skipped",
    CheckState.UNKNOWN: "**UNKNOWN**",
}


def markdown_text(proofs: Sequence[Proof]) -> str:
    """A table of the images, what stands in the way of a good verdict, and every check folded away; of images
    that are proven no check where all would be more than a CI summary may hold."""
    text = _text(proofs, [proof for proof in proofs if proof.verdict is not None])
    if len(text.encode()) > _LARGEST:
        text = _text(proofs, [proof for proof in proofs if proof.verdict is not None and not proof.is_good])
    return text


def _text(proofs: Sequence[Proof], told: Sequence[Proof]) -> str:
    good = sum(proof.is_good for proof in proofs)
    lines = [f"## cudaforge: {good} of {len(proofs)} images proven", ""]
    lines += ["| image | verdict | proven | time |", "| --- | --- | --- | --- |"]
    lines += [_row(proof) for proof in proofs]
    for proof in proofs:
        if proof.failed is not None:
            lines += ["", *_failed(proof.name, proof.failed)]
    for proof in told:
        if proof.verdict is not None:
            lines += ["", *_image(proof.verdict)]
    return "\n".join(lines) + "\n"


def _row(proof: Proof) -> str:
    state = proof.word if proof.is_good else f"**{proof.word}**"
    time = seconds_text(proof.verdict.seconds) if proof.verdict is not None else ""
    return f"| {escape(proof.name)} | {state} | {escape(proof.summary)} | {time} |"


def _failed(name: str, failed: FailedBuild) -> Iterator[str]:
    step = f" at {escape(failed.step)}" if failed.step else ""
    yield f"- **{escape(name)}**: its build failed{step}: {escape(failed.reason)}"
    if failed.remedy:
        yield f"  - try {escape(failed.remedy)}"
    if failed.log:
        yield f"  - log: {escape(failed.log)}"


def _image(verdict: Verdict) -> Iterator[str]:
    bad = [check for check in verdict.checks if check.state in (CheckState.FAIL, CheckState.UNKNOWN)]
    for check in bad:
        yield f"- **{escape(verdict.name)}**: {escape(check.title)}: {escape(check.detail)}" + _code(check)
        if check.remedy:
            yield f"  - try {escape(check.remedy)}"
    yield from ([""] if bad else [])
    yield f"<details><summary>{escape(verdict.name)}: {_counted(len(verdict.checks))}</summary>"
    yield ""
    yield f"`{_digest(verdict.image_id)}`" + "".join(
        f"  \n{escape(label)}: {escape(value)}" for label, value in machine_of(verdict)
    )
    yield ""
    yield "| tier | check | state | seen |"
    yield "| --- | --- | --- | --- |"
    for tier in Tier:
        for check in verdict.checks:
            if check.tier is tier:
                cells = (tier.value, escape(check.title), _MARKS[check.state], escape(check.detail))
                yield f"| {' | '.join(cells)} |"
    yield ""
    yield "</details>"


def _code(check: CheckResult) -> str:
    return f" ({escape(check.code.value)})" if check.code is not None else ""


def _counted(count: int) -> str:
    return f"{count} check{'' if count == 1 else 's'}"


def _digest(text: str) -> str:
    return re.sub(r"[^a-z0-9:]", "", text) or "no image"


def escape(text: str) -> str:
    """A text that an image may have written, in one line, with nothing in it that Markdown or HTML would read
    as more than text."""
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", " ".join(visible(text).split()))
