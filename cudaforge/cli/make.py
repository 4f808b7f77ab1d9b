"""Commands that make images from the lock: `render`, `build`, `verify`, and `up` for everything."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cudaforge.cli.finished import Results, answer_told, finished_told
from cudaforge.cli.jobs import JobForm, collect_jobs, emit_jobs, refuse_idle
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
    NoDiskCheck,
    Offline,
)
from cudaforge.cli.output import write_json, write_note, write_text
from cudaforge.cli.publish import (
    CacheFrom,
    CacheTo,
    Key,
    Provenance,
    Push,
    Sbom,
    Sign,
    Tags,
    push_order,
)
from cudaforge.errors import ExitCode

if TYPE_CHECKING:
    from cudaforge.declaration.model import Declaration
    from cudaforge.lockfile.model import Lock

DEFAULT_MAX_IMAGES = 256


def render(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where the files go.")] = Path(
        "docker"
    ),
    *,
    file: File = DEFAULT_FILE,
    inputs: Annotated[
        bool,
        typer.Option("--inputs", help="Also make what `docker buildx bake` needs there, on this machine."),
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> int:
    """Write Dockerfiles and docker-bake.json from the lock."""
    from cudaforge.pipeline import decide, rendering

    done = rendering.render(decide.load(file), output, inputs=inputs, force=force)
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
    no_disk_check: NoDiskCheck = False,
    no_cache: NoCache = False,
    reproducible: Annotated[
        bool,
        typer.Option("--reproducible", help="Give the same image for the same lock, to the digest; slower."),
    ] = False,
    reproduce: Annotated[
        bool, typer.Option("--reproduce", help="Build each image twice, and list the files that differ.")
    ] = False,
    offline: Annotated[
        Path | None,
        typer.Option(
            "--offline", metavar="DIR", help="Build from what `vendor` put there, with the network off."
        ),
    ] = None,
    push: Push = False,
    tags: Tags = None,
    sbom: Sbom = None,
    provenance: Provenance = False,
    sign: Sign = False,
    key: Key = None,
    cache_to: CacheTo = None,
    cache_from: CacheFrom = None,
    max_images: MaxImages = DEFAULT_MAX_IMAGES,
    as_json: AsJson = False,
) -> int:
    """Build what is locked, several images at once, and push it where that is asked for."""
    from cudaforge.builder.cache import parse_caches
    from cudaforge.builder.model import Reproducible, result_to_json
    from cudaforge.lockfile.shards import predicted_bytes
    from cudaforge.pipeline import decide, publishing
    from cudaforge.pipeline import make as stages
    from cudaforge.publisher import Publication
    from cudaforge.report.builds import describe_builds, describe_publications, publications_json
    from cudaforge.report.progress import show_progress

    declaration = decide.load(file)
    whole = decide.load_current_lock(declaration)
    locked = decide.select(whole, images or (), maximum=max_images)
    wanted = Reproducible.YES if reproducible else Reproducible.NO
    caches = parse_caches(cache_to or (), cache_from or (), images=len(locked.images))
    order = push_order(push=push, tags=tags, sbom=sbom, provenance=provenance, sign=sign, key=key)
    costs = {image.name: predicted_bytes(image) for image in locked.images}

    published: list[Publication] = []

    def to_json(results: Results) -> dict[str, object]:
        pushed = publications_json(published)
        return {"images": [{**result_to_json(one), "pushed": pushed.get(one.name)} for one in results]}

    plan = publishing.plan_push(whole, declaration, order, names=costs.keys()) if order is not None else None
    with finished_told(to_json, as_json=as_json), show_progress(costs, keeps_going=keep_going) as on_event:
        results = stages.build(
            locked,
            declaration=declaration,
            jobs=jobs,
            builders=tuple(builders or ()),
            keep_going=keep_going,
            disk_check=not no_disk_check,
            no_cache=no_cache,
            reproducible=Reproducible.PROVEN if reproduce else wanted,
            vendored=offline,
            caches=caches,
            on_event=on_event,
            on_note=write_note,
        )

    def to_text() -> str:
        return "\n\n".join((describe_builds(results), *describe_publications(published)))

    with answer_told(lambda: to_json(results), to_text, as_json=as_json):
        if plan is not None:
            publishing.publish(
                locked,
                results,
                plan,
                declaration=declaration,
                builders=tuple(builders or ()),
                on_note=write_note,
                on_pushed=published.append,
            )
    return ExitCode.OK if all(stages.is_built(result) for result in results) else ExitCode.NEGATIVE


def verify(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE|REF|WISH",
            help="Images of the declaration by name (all without any), other images of the engine by "
            "reference, and what these are for: gpu=H100, driver=570.86.",
        ),
    ] = None,
    *,
    file: File = DEFAULT_FILE,
    framework: Annotated[
        list[str] | None,
        typer.Option(
            "--framework",
            metavar="NAME",
            help="What is proven in an image by reference; may be repeated; without it all that it has.",
        ),
    ] = None,
    tier: Annotated[
        str | None,
        typer.Option(
            "--tier",
            metavar="static|cpu|gpu",
            help="How deep: its files alone, also its run on the CPU, or all, with a GPU required.",
        ),
    ] = None,
    pull: Annotated[
        bool, typer.Option("--pull", help="Pull an image that the engine does not have.")
    ] = False,
    again: Again = False,
    emit: Annotated[
        JobForm | None,
        typer.Option("--emit", help="Write jobs that prove the images elsewhere, and prove nothing here."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where the jobs of --emit go [jobs].")
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", min=1, max=64, metavar="N", help="GPUs that a job of --emit asks for [1]."),
    ] = None,
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
    """Prove each image: versions, libraries, GPU code, a model trained in it."""
    from cudaforge.engine.gpus import parse_gpu_names
    from cudaforge.pipeline import gathering, reporting
    from cudaforge.pipeline.verifying import VerifyRequest, verify_asked
    from cudaforge.report.verdicts import describe_verdicts
    from cudaforge.verifier import verdict_to_json

    devices = parse_gpu_names(tuple(device or ()))
    paths = [Path(one) for one in reports or ()]
    for path in paths:
        reporting.format_of(path)
    given = {
        "--collect": collect,
        "--framework": framework,
        "--tier": tier,
        "--device": device,
        "--pull": pull,
        "--again": again,
        "--report": reports,
    }
    of_jobs = {"--output": output, "--gpus": gpus, "--force": force}
    refuse_idle(emit, collect, given, of_jobs)
    if emit is not None:
        return emit_jobs(
            file, images or (), form=emit, output=output, gpus=gpus, force=force, as_json=as_json
        )
    if collect:
        verdicts = collect_jobs(file, images or (), collect)
    else:
        request = VerifyRequest(
            words=tuple(images or ()),
            frameworks=tuple(framework or ()),
            tier=tier,
            devices=devices,
            again=again,
            pull=pull,
        )
        verdicts = verify_asked(request, file, maximum=max_images, on_note=write_note)
    if paths:
        reporting.write_reports(gathering.with_lock(verdicts, file), paths)
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
    no_disk_check: NoDiskCheck = False,
    no_cache: NoCache = False,
    allow_unpinned: AllowUnpinned = False,
    again: Again = False,
    push: Push = False,
    tags: Tags = None,
    sbom: Sbom = None,
    provenance: Provenance = False,
    sign: Sign = False,
    key: Key = None,
    max_images: MaxImages = DEFAULT_MAX_IMAGES,
    offline: Offline = False,
    as_json: AsJson = False,
) -> int:
    """Resolve, lock, render, build, verify and report; push what is proven where that is asked for."""
    from cudaforge.lockfile.shards import predicted_bytes
    from cudaforge.pipeline import decide, publishing
    from cudaforge.pipeline import make as stages
    from cudaforge.publisher import Publication
    from cudaforge.report.builds import describe_publications
    from cudaforge.report.locks import NO_WARNINGS
    from cudaforge.report.progress import show_progress
    from cudaforge.report.summary import describe_run, run_json

    order = push_order(push=push, tags=tags, sbom=sbom, provenance=provenance, sign=sign, key=key)
    declaration = decide.load(file)
    if locked is None:
        locked = os.environ.get("CI", "").lower() == "true"
    warnings = NO_WARNINGS
    if locked:
        current = decide.load_current_lock(declaration)
    else:
        current, warnings = _renewed(declaration, allow_unpinned=allow_unpinned, offline=offline)
    chosen = decide.select(current, images or (), maximum=max_images)
    costs = {image.name: predicted_bytes(image) for image in chosen.images}

    def to_json(results: Results) -> Mapping[str, object]:
        return run_json(chosen.images, {one.name: one for one in results}, {}, chosen.dropped)

    plan = (
        publishing.plan_push(current, declaration, order, names=costs.keys()) if order is not None else None
    )
    with finished_told(to_json, as_json=as_json), show_progress(costs, keeps_going=keep_going) as on_event:
        run = stages.make(
            chosen,
            declaration=declaration,
            jobs=jobs,
            builders=tuple(builders or ()),
            keep_going=keep_going,
            disk_check=not no_disk_check,
            no_cache=no_cache,
            again=again,
            offline=offline,
            on_event=on_event,
            on_note=write_note,
        )
    published: list[Publication] = []

    def answer() -> dict[str, object]:
        told = run_json(run.lock.images, run.builds, run.verdicts, run.lock.dropped, published)
        return {**told, "warnings": dict(warnings)}

    def to_text() -> str:
        told = describe_run(run.lock.images, run.builds, run.verdicts, run.lock.dropped)
        return "\n\n".join((told, *describe_publications(published)))

    with answer_told(answer, to_text, as_json=as_json):
        if plan is not None:
            for image in chosen.images:
                if not run.is_proven(image.name):
                    write_note(f"{image.name}: not pushed, as it is not proven")
            publishing.publish(
                chosen,
                run.proven,
                plan,
                declaration=declaration,
                builders=tuple(builders or ()),
                on_note=write_note,
                on_pushed=published.append,
            )
    return ExitCode.OK if run.ok else ExitCode.NEGATIVE


def _renewed(
    declaration: Declaration, *, allow_unpinned: bool, offline: bool
) -> tuple[Lock, Mapping[str, Sequence[str]]]:
    """The lock as `up` renews it, with what is to be warned of; both are told."""
    from cudaforge.lockfile.effects import known_gpus
    from cudaforge.pipeline import decide, locking
    from cudaforge.report.locks import describe_changes, describe_warnings

    outcome = locking.lock(declaration, allow_unpinned=allow_unpinned, offline=offline, on_note=write_note)
    gpus = known_gpus(decide.matrix_of(declaration))
    write_note(describe_changes(outcome.lock, outcome.previous, gpus=gpus))
    if outcome.warnings:
        write_note(describe_warnings(outcome.warnings))
    return outcome.lock, outcome.warnings
