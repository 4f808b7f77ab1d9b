"""Commands that make images from the lock: `render`, `build`, `verify`, and `up` for everything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cudaforge.cli.jobs import JobForm, emit_jobs
from cudaforge.cli.options import (
    DEFAULT_FILE,
    Again,
    AllowUnpinned,
    AsJson,
    Builders,
    Devices,
    File,
    Force,
    Images,
    Jobs,
    KeepGoing,
    MaxImages,
    NoCache,
    Offline,
)
from cudaforge.cli.output import write_json, write_note, write_text
from cudaforge.errors import ExitCode

DEFAULT_MAX_IMAGES = 256


def render(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where the files go.")] = Path(
        "docker"
    ),
    *,
    file: File = DEFAULT_FILE,
    force: Force = False,
    as_json: AsJson = False,
) -> int:
    """Write Dockerfiles and docker-bake.json from the lock."""
    from cudaforge.pipeline import decide, rendering

    done = rendering.render(decide.load(file), output, force=force)
    if as_json:
        write_json(
            {
                "directory": str(output),
                "written": list(done.written),
                "unchanged": list(done.unchanged),
                "removed": list(done.removed),
            }
        )
        return ExitCode.OK
    lines = [f"wrote {output / path}" for path in done.written]
    lines += [f"removed {output / path}" for path in done.removed]
    write_text("\n".join(lines) or f"{output}: nothing changed")
    return ExitCode.OK


def build(
    images: Images = None,
    *,
    file: File = DEFAULT_FILE,
    jobs: Jobs = None,
    builders: Builders = None,
    keep_going: KeepGoing = False,
    no_cache: NoCache = False,
    max_images: MaxImages = DEFAULT_MAX_IMAGES,
    as_json: AsJson = False,
) -> int:
    """Build what is locked, several images at once."""
    from cudaforge.builder.model import result_to_json
    from cudaforge.pipeline import decide
    from cudaforge.pipeline import make as stages
    from cudaforge.report.builds import describe_builds
    from cudaforge.report.progress import show_progress

    declaration = decide.load(file)
    locked = decide.select(decide.load_current_lock(declaration), images or (), maximum=max_images)
    with show_progress() as on_event:
        results = stages.build(
            locked,
            declaration=declaration,
            jobs=jobs,
            builders=tuple(builders or ()),
            keep_going=keep_going,
            no_cache=no_cache,
            on_event=on_event,
            on_note=write_note,
        )
    if as_json:
        write_json({"images": [dict(result_to_json(result)) for result in results]})
    else:
        write_text(describe_builds(results))
    return ExitCode.OK if all(stages.is_built(result) for result in results) else ExitCode.NEGATIVE


def verify(
    images: Images = None,
    *,
    file: File = DEFAULT_FILE,
    again: Again = False,
    emit: Annotated[
        JobForm | None,
        typer.Option("--emit", help="Write jobs that prove the images elsewhere, and prove nothing here."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where the jobs of --emit go.")
    ] = Path("jobs"),
    gpus: Annotated[
        int, typer.Option("--gpus", min=1, max=64, metavar="N", help="GPUs that a job of --emit asks for.")
    ] = 1,
    force: Force = False,
    collect: Annotated[
        list[str] | None,
        typer.Option(
            "--collect", metavar="LOG", help="Judge what such a job printed; '-' reads it from stdin."
        ),
    ] = None,
    device: Devices = None,
    max_images: MaxImages = DEFAULT_MAX_IMAGES,
    reports: Annotated[
        list[str] | None,
        typer.Option(
            "--report", metavar="FILE", help="A report: .html, .md, .xml (JUnit), .jsonl (attestations)."
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Prove each image: versions, GPU, a model trained in it."""
    from cudaforge.engine.gpus import parse_gpu_names
    from cudaforge.pipeline import decide, reporting
    from cudaforge.pipeline import make as stages
    from cudaforge.report.verdicts import describe_verdicts
    from cudaforge.verifier import verdict_to_json

    devices = parse_gpu_names(tuple(device or ()))
    declaration = decide.load(file)
    locked = decide.select(decide.load_current_lock(declaration), images or (), maximum=max_images)
    if emit is not None:
        return emit_jobs(
            locked, declaration, form=emit, output=output, gpus=gpus, force=force, as_json=as_json
        )
    paths = [Path(one) for one in reports or ()]
    for path in paths:
        reporting.format_of(path)
    if collect:
        from cudaforge.pipeline import jobs

        verdicts = jobs.collect(locked, declaration, collect)
    else:
        verdicts = stages.verify(
            locked, declaration=declaration, again=again, devices=devices, on_note=write_note
        )
    reporting.write_reports(reporting.proofs_of(verdicts), paths)
    if as_json:
        write_json({"images": [verdict_to_json(verdict) for verdict in verdicts]})
    else:
        write_text(describe_verdicts(verdicts))
    return ExitCode.OK if all(verdict.ok for verdict in verdicts) else ExitCode.NEGATIVE


def up(
    images: Images = None,
    *,
    file: File = DEFAULT_FILE,
    locked: Annotated[
        bool | None,
        typer.Option(
            "--locked/--relock", help="Use the lock as it is (the default under CI=true), or renew it."
        ),
    ] = None,
    jobs: Jobs = None,
    builders: Builders = None,
    keep_going: KeepGoing = False,
    no_cache: NoCache = False,
    allow_unpinned: AllowUnpinned = False,
    again: Again = False,
    max_images: MaxImages = DEFAULT_MAX_IMAGES,
    offline: Offline = False,
    as_json: AsJson = False,
) -> int:
    """Resolve, lock, render, build, verify and report."""
    from cudaforge.pipeline import decide
    from cudaforge.pipeline import make as stages
    from cudaforge.report.locks import describe_changes
    from cudaforge.report.progress import show_progress
    from cudaforge.report.summary import describe_run, run_json

    declaration = decide.load(file)
    if locked is None:
        locked = os.environ.get("CI", "").lower() == "true"
    if locked:
        current = decide.load_current_lock(declaration)
    else:
        from cudaforge.lockfile.effects import known_gpus
        from cudaforge.pipeline import locking

        outcome = locking.lock(
            declaration, allow_unpinned=allow_unpinned, offline=offline, on_note=write_note
        )
        gpus = known_gpus(decide.matrix_of(declaration))
        write_note(describe_changes(outcome.lock, outcome.previous, gpus=gpus))
        current = outcome.lock
    with show_progress() as on_event:
        run = stages.make(
            decide.select(current, images or (), maximum=max_images),
            declaration=declaration,
            jobs=jobs,
            builders=tuple(builders or ()),
            keep_going=keep_going,
            no_cache=no_cache,
            again=again,
            offline=offline,
            on_event=on_event,
            on_note=write_note,
        )
    if as_json:
        write_json(run_json(run.lock.images, run.builds, run.verdicts, run.lock.dropped))
    else:
        write_text(describe_run(run.lock.images, run.builds, run.verdicts, run.lock.dropped))
    return ExitCode.OK if run.ok else ExitCode.NEGATIVE
