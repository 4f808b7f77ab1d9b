"""The part of `verify` that writes jobs for other machines."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.cli.output import write_json, write_note, write_text
from cudaforge.errors import ExitCode, InputError, Location, Problem

if TYPE_CHECKING:
    from cudaforge.verifier.model import Verdict

_MOST_JOBS = 10_000
_DIRECTORY = Path("jobs")
_OF_COLLECT = ("--collect", "--report")


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


def refuse_beside(
    emit: JobForm | None, collect: Sequence[str] | None, given: Sequence[str], of_jobs: Sequence[str]
) -> None:
    """Raise InputError for an option of `verify` that would say nothing: one of `given` beside `--emit` or
    `--collect`, since a proof that was asked for and silently left out would read as done, and one of
    `of_jobs` without `--emit`."""
    if emit is not None:
        asked, unused = f"together with --emit {emit.value}", [*given]
    elif collect:
        asked, unused = "together with --collect", [name for name in given if name not in _OF_COLLECT]
    else:
        asked, unused = "", []
    if unused:
        raise _says_nothing(
            f"{unused[0]} cannot be asked for {asked}", unused[0], "run cudaforge verify twice"
        )
    if emit is None and of_jobs:
        raise _says_nothing(
            f"{of_jobs[0]} says something of jobs that --emit writes, and there is no --emit",
            of_jobs[0],
            f"say which jobs: --emit {JobForm.KUBERNETES.value}",
        )


def _says_nothing(what: str, option: str, instead: str) -> InputError:
    where = Location(file="command line")
    return InputError(Problem(what=what, where=where, remedy=f"leave {option} out, or {instead}"))


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
