"""The part of `verify` that writes jobs for other machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.cli.beside import refuse_beside
from cudaforge.cli.output import write_json, write_note, write_text
from cudaforge.errors import ExitCode, InputError, Location, Problem

if TYPE_CHECKING:
    from cudaforge.verifier.model import Verdict

_MOST_JOBS = 10_000
_DIRECTORY = Path("jobs")
_OF_COLLECT = ("--collect", "--report")
_TWICE = "run cudaforge verify twice"


class JobForm(str, Enum):
    """What `--emit` takes. Listed here once more, since the verifier is not loaded for `--help`."""

    KUBERNETES = "kubernetes"
    SLURM = "slurm"
    SCRIPT = "script"


_NEXT = {
    JobForm.KUBERNETES: "kubectl apply -f FILE, then kubectl logs job/NAME | cudaforge verify --collect -",
    JobForm.SLURM: "sbatch FILE, then cudaforge verify --collect LOG",
    JobForm.SCRIPT: "sh FILE > LOG, then cudaforge verify --collect LOG",
}


def refuse_idle(
    emit: JobForm | None,
    collect: Sequence[str] | None,
    given: Mapping[str, object],
    of_jobs: Mapping[str, object],
) -> None:
    """Raise InputError for an option of `verify` that would say nothing: one of `given` beside `--emit` or
    `--collect`, and one of `of_jobs` without `--emit`."""
    if emit is not None:
        refuse_beside(f"--emit {emit.value}", given, instead=_TWICE)
        return
    if collect:
        others = {name: value for name, value in given.items() if name not in _OF_COLLECT}
        refuse_beside("--collect", others, instead=_TWICE)
    idle = [name for name, value in of_jobs.items() if value]
    if idle:
        raise InputError(
            Problem(
                what=f"{idle[0]} says something of jobs that --emit writes, and there is no --emit",
                where=Location(file="command line", key=idle[0]),
                remedy=f"leave {idle[0]} out, or say which jobs: --emit {JobForm.KUBERNETES.value}",
            )
        )


def emit_jobs(
    file: Path,
    names: Sequence[str],
    *,
    form: JobForm,
    output: Path | None,
    gpus: int | None,
    force: bool,
    as_json: bool,
) -> int:
    """Write the jobs for a declaration's images and say what to do with them."""
    from cudaforge.pipeline import decide, jobs

    declaration = decide.load(file)
    lock = decide.select(decide.load_current_lock(declaration), names, maximum=_MOST_JOBS)
    directory = output or _DIRECTORY
    done = jobs.emit(lock, declaration, form=form.value, directory=directory, gpus=gpus or 1, force=force)
    for image in lock.images:
        if "/" not in image.tags[0]:
            write_note(
                f"{image.name}: {image.tags[0]} is in no registry, and no other machine can pull it: declare "
                f"project.registry, lock again, then cudaforge build --push {image.name}"
            )
    if as_json:
        write_json({"directory": str(directory), "written": list(done.written)})
        return ExitCode.OK
    lines = [f"wrote {directory / path}" for path in done.written]
    write_text("\n".join([*lines, f"next  {_NEXT[form]}"]))
    return ExitCode.OK


def collect_jobs(file: Path, names: Sequence[str], logs: Sequence[str]) -> tuple[Verdict, ...]:
    """The verdicts of jobs whose output is in the logs."""
    from cudaforge.pipeline import decide, jobs

    declaration = decide.load(file)
    lock = decide.select(decide.load_current_lock(declaration), names, maximum=_MOST_JOBS)
    return jobs.collect(lock, declaration, logs)
