"""Proving the patterns: each finds its examples, and none finds a near miss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cudaforge.diagnosis.compile import Compiled, Sample, compile_patterns
from cudaforge.diagnosis.decide import decided, ranked, telling
from cudaforge.diagnosis.load import read_patterns
from cudaforge.diagnosis.model import Mistake, Pattern
from cudaforge.diagnosis.scan import diagnose


def check_patterns(matrices: Path) -> tuple[Mistake, ...]:
    """Every mistake in `errors/*.toml` below a directory of matrices: rows that cannot be read, expressions
    that are not simple, examples that a row does not find or that yield another cause, near misses that it
    finds."""
    compiled = compile_patterns(matrices)
    return compiled.mistakes or tuple(_sample_mistakes(compiled))


def _sample_mistakes(compiled: Compiled) -> Iterator[Mistake]:
    patterns = read_patterns(compiled.dump())
    for sample in compiled.samples:
        for what in (*_example_mistakes(sample, patterns), *_near_miss_mistakes(sample, patterns)):
            yield Mistake(file=sample.file, row=sample.id, what=what)


def _example_mistakes(sample: Sample, patterns: Sequence[Pattern]) -> Iterator[str]:
    for example in sample.examples:
        shown = example.text[:80]
        found = diagnose(example.text, patterns)
        if sample.id not in {match.pattern.id for match in found.matches}:
            yield f"does not find its example {shown!r}"
            continue
        matches = telling(found)
        if sample.id not in {match.pattern.id for match in matches}:
            hiding = [one.pattern.id for one in found.matches if sample.id in one.pattern.hides]
            yield f"is hidden by {', '.join(hiding)} in its example {shown!r}"
            continue
        causes = ranked(cause for match in matches for cause in decided(match, found))
        if sample.id not in {cause.pattern for cause in causes}:
            yield f"yields no cause of its own for its example {shown!r}"
        elif example.first is not None and causes[0].code.value != example.first:
            yield f"yields {causes[0].code.value} and not {example.first} first for its example {shown!r}"


def _near_miss_mistakes(sample: Sample, patterns: Sequence[Pattern]) -> Iterator[str]:
    for text in sample.near_misses:
        if sample.id in {match.pattern.id for match in diagnose(text, patterns).matches}:
            yield f"finds its near miss {text[:80]!r}"
