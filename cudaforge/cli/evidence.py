"""`report`: what was proven, as pages, summaries and attestations."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from cudaforge.cli.beside import refuse_beside
from cudaforge.cli.options import DEFAULT_FILE, AsJson, File, Images
from cudaforge.cli.output import write_json, write_note, write_text
from cudaforge.display import show
from cudaforge.errors import ExitCode, InputError, Location, Problem


def report(
    images: Images = None,
    *,
    file: File = DEFAULT_FILE,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="A file: .html, .md, .xml (JUnit), .jsonl (attestations)."
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="What is printed without --output: markdown (the default), html, junit or attestation.",
        ),
    ] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(
            "--merge",
            metavar="DIR",
            help="Take what CI jobs left, from a directory and all below it. May repeat.",
        ),
    ] = None,
    attach: Annotated[
        bool, typer.Option("--attach", help="Attach the attestations to the images in their registries.")
    ] = False,
    attached: Annotated[
        str | None,
        typer.Option(
            "--attached",
            metavar="REF",
            help="Show what is attached to an image in its registry: SBOM, provenance, verdict. With --json "
            "the documents.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Report what the last verification proved. Exits with 1 where an image is not proven."""
    given = {"IMAGE": images, "--output": outputs, "--format": form, "--merge": merge, "--attach": attach}
    if attached is not None:
        refuse_beside("--attached", given)
        return _show_attached(attached, file, as_json=as_json)
    for option, beside in (("--output", outputs), ("--attach", attach), ("--json", as_json)):
        if beside:
            refuse_beside(option, {"--format": form})
    from cudaforge.pipeline import decide, gathering, reporting
    from cudaforge.report.evidence import failed_to_json

    shown = form or "markdown"
    _check_format(shown, reporting.FORMATS)
    declaration, lock = decide.load_with_lock(file, on_note=write_note)
    locked = decide.select(lock, images or (), maximum=10**6)
    places = [_directory(one) for one in merge or ()]
    proofs = gathering.gather(locked, declaration, places, on_note=write_note)
    paths = [Path(one) for one in outputs or ()]
    reporting.write_reports(proofs, paths)
    done = reporting.attach_all(proofs, declaration) if attach else ()
    for one in done:
        listed = "listed by tag" if one.attached.by_tag else "a referrer"
        write_note(f"{one.name}: attached to {one.attached.subject} ({listed}): {one.attached.digest}")
    if as_json:
        by_name = {one.name: one.attached for one in done}
        write_json(
            {
                "written": [str(path) for path in paths],
                "images": [
                    {
                        "name": proof.name,
                        "reference": proof.reference,
                        "ok": proof.is_good,
                        "summary": proof.summary,
                        "failed_build": failed_to_json(proof.failed),
                        "image_id": proof.verdict.image_id if proof.verdict is not None else None,
                        "subject": by_name[proof.name].subject if proof.name in by_name else None,
                        "attestation": by_name[proof.name].digest if proof.name in by_name else None,
                    }
                    for proof in proofs
                ],
            }
        )
    elif paths:
        write_text("\n".join(f"wrote {path}" for path in paths))
    elif not attach:
        write_text(reporting.report_text(proofs, shown))
    return ExitCode.OK if all(proof.is_good for proof in proofs) else ExitCode.NEGATIVE


def _show_attached(reference: str, file: Path, *, as_json: bool) -> int:
    from cudaforge.pipeline.attached import find_attached
    from cudaforge.report.attached import attached_to_json, describe_attached

    found = find_attached(reference, file)
    if as_json:
        write_json({"reference": reference, "attached": [dict(attached_to_json(one)) for one in found]})
    else:
        write_text(describe_attached(reference, found))
    is_good = bool(found) and all(one.speaks_of_subject for one in found)
    return ExitCode.OK if is_good else ExitCode.NEGATIVE


def _directory(text: str) -> Path:
    if text:
        return Path(text)
    # Of a variable that is not set, most likely; as a path it would be this directory.
    raise InputError(
        Problem(
            what="--merge has no name of a directory",
            where=Location(file="command line", key="--merge"),
            remedy="name the directory that the artifacts of the jobs were downloaded to",
        )
    )


def _check_format(form: str, known: Collection[str]) -> None:
    if form not in known:
        raise InputError(
            Problem(
                what=f"{show(form)} is no format of reports",
                where=Location(file="command line", key="--format"),
                remedy=f"one of {', '.join(known)}",
            )
        )
