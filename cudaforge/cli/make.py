"""Commands that make images from the lock: `render`, `build`, `verify`, and `up` for everything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cudaforge.cli.options import (
    DEFAULT_FILE,
    Again,
    AllowUnpinned,
    AsJson,
    File,
    Force,
    Images,
    Jobs,
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
    from cudaforge import pipeline

    written = pipeline.render(pipeline.load(file), output, force=force)
    if as_json:
        write_json({"directory": str(output), "files": [str(path) for path in written]})
    else:
        write_text("\n".join(f"wrote {output / path}" for path in written))
    return ExitCode.OK


def build(
    images: Images = None,
    *,
    file: File = DEFAULT_FILE,
    jobs: Jobs = None,
    no_cache: NoCache = False,
    max_images: MaxImages = DEFAULT_MAX_IMAGES,
    as_json: AsJson = False,
) -> int:
    """Build what is locked, several images at once."""
    from cudaforge import pipeline
    from cudaforge.build.model import result_to_json
    from cudaforge.report.builds import describe_builds
    from cudaforge.report.progress import show_progress

    declaration = pipeline.load(file)
    locked = pipeline.select(pipeline.load_current_lock(declaration), images or (), maximum=max_images)
    with show_progress() as on_event:
        results = pipeline.build(
            locked, declaration=declaration, jobs=jobs, no_cache=no_cache, on_event=on_event
        )
    if as_json:
        write_json({"images": [dict(result_to_json(result)) for result in results]})
    else:
        write_text(describe_builds(results))
    return ExitCode.OK if pipeline.all_built(results) else ExitCode.NEGATIVE


def verify(
    images: Images = None,
    *,
    file: File = DEFAULT_FILE,
    again: Again = False,
    max_images: MaxImages = DEFAULT_MAX_IMAGES,
    as_json: AsJson = False,
) -> int:
    """Prove each image: versions, GPU, a model trained in it."""
    from cudaforge import pipeline
    from cudaforge.report.verdicts import describe_verdicts, verdicts_json

    declaration = pipeline.load(file)
    locked = pipeline.select(pipeline.load_current_lock(declaration), images or (), maximum=max_images)
    verdicts = pipeline.verify(locked, declaration=declaration, again=again, on_note=write_note)
    if as_json:
        write_json({"images": verdicts_json(verdicts)})
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
    no_cache: NoCache = False,
    allow_unpinned: AllowUnpinned = False,
    again: Again = False,
    max_images: MaxImages = DEFAULT_MAX_IMAGES,
    offline: Offline = False,
    as_json: AsJson = False,
) -> int:
    """Resolve, lock, render, build, verify and report."""
    from cudaforge import pipeline
    from cudaforge.report.locks import describe_changes
    from cudaforge.report.progress import show_progress
    from cudaforge.report.summary import describe_run, run_json

    declaration = pipeline.load(file)
    if locked is None:
        locked = os.environ.get("CI", "").lower() == "true"
    if locked:
        current = pipeline.load_current_lock(declaration)
    else:
        outcome = pipeline.lock(
            declaration, allow_unpinned=allow_unpinned, offline=offline, upgrade=False, on_note=write_note
        )
        write_note(describe_changes(outcome))
        current = outcome.lock
    with show_progress() as on_event:
        run = pipeline.make(
            pipeline.select(current, images or (), maximum=max_images),
            declaration=declaration,
            jobs=jobs,
            no_cache=no_cache,
            again=again,
            on_event=on_event,
            on_note=write_note,
        )
    if as_json:
        write_json(run_json(run))
    else:
        write_text(describe_run(run))
    return ExitCode.OK if run.ok else ExitCode.NEGATIVE
