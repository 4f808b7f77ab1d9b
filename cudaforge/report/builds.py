"""Builds as text and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cudaforge.builder.model import BuildResult, BuildState
from cudaforge.builder.steps import step_text
from cudaforge.display import visible
from cudaforge.publisher.model import Publication, publication_to_json
from cudaforge.report.tables import seconds_text, table
from cudaforge.units import bytes_text


def describe_builds(results: Sequence[BuildResult]) -> str:
    """One line per image, and for each failure the step, its last lines and the log."""
    rows = [
        (
            result.name,
            result.state.value,
            bytes_text(result.size),
            seconds_text(result.seconds),
            result.reference,
        )
        for result in results
    ]
    same = [result.name for result in results if result.is_reproduced]
    parts = [table(("image", "state", "size", "time", "reference"), rows)]
    parts += [describe_failure(result) for result in results if result.state is BuildState.FAILED]
    if same:
        parts.append(f"built again, and the same to the digest: {', '.join(same)}")
    return "\n\n".join(parts)


def describe_failure(result: BuildResult) -> str:
    """Why a build failed: the step, its last lines and where the whole log is."""
    lines = [
        f"{result.name} failed" + (f" at: {step_text(result.failed_step)}" if result.failed_step else "")
    ]
    lines += [f"  | {line}" for line in result.last_lines]
    if result.reason:
        lines.append(f"  because  {result.reason}")
    if result.remedy:
        lines.append(f"  try      {result.remedy}")
    if result.log:
        lines.append(f"  log      {result.log}")
    return visible("\n".join(lines))


def publications_json(publications: Sequence[Publication]) -> Mapping[str, Mapping[str, object]]:
    """What was pushed, for machines, by image name."""
    return {one.name: publication_to_json(one) for one in publications}


def describe_publications(publications: Sequence[Publication]) -> tuple[str, ...]:
    """A table of what was pushed; nothing where nothing was."""
    rows = [
        (one.name, tag.reference, tag.digest or f"waits for {', '.join(tag.missing)}")
        for one in publications
        for tag in one.tags
    ]
    if not rows:
        return ()
    lines = [table(("pushed", "as", "digest"), rows)]
    lines += [
        f"{one.name}: {kind} attached: {digest}"
        for one in publications
        for kind, digest in one.attached.items()
    ]
    signed = [one.name for one in publications if one.is_signed]
    if signed:
        lines.append(f"signed: {', '.join(signed)}")
    return ("\n".join(lines),)
