"""The look at an image's files: in a container without a GPU, once for each image digest."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Protocol

from cudaforge.engine import ContainerOutcome, ContainerSpec, Engine
from cudaforge.lockfile.model import LockedImage
from cudaforge.measurer.tells import FLAG_LIBRARIES, TELLERS
from cudaforge.records import record
from cudaforge.verifier import causes
from cudaforge.verifier.bundle import inspection_arguments, inspection_digest
from cudaforge.verifier.evidence import Child, NoResult, Report, parse_output, read_report
from cudaforge.verifier.proofs import proof_files

_SECONDS = 120.0
_GRACE_SECONDS = 20.0
_MEMORY = 2 * 1024**3
_PIDS = 512
_TMPFS = {"/tmp": "rw,noexec,nosuid,nodev,mode=1777"}  # noqa: S108 -- inside the container
_NO_GPU = {"NVIDIA_VISIBLE_DEVICES": "void"}
"""Keeps the host's driver out where NVIDIA's runtime is the engine's default one."""


class Findings(Protocol):
    """Where findings are kept: what one image digest holds never changes."""

    def find(self, key: str) -> object | None:
        """What was kept under a key, as it was read from JSON; None where there is nothing."""

    def keep(self, key: str, facts: Mapping[str, object]) -> None:
        """Keep facts under a key."""


class NothingKept:
    """Findings that are not kept."""

    def find(self, key: str) -> object | None:
        """None."""
        del key
        return None

    def keep(self, key: str, facts: Mapping[str, object]) -> None:
        """Do nothing."""


@record()
class Inspection:
    """What was found, or why nothing was."""

    report: Report | None = None
    failure: causes.Cause | None = None
    is_startable: bool = True
    """False where the image's Python does not start at all."""
    is_kept: bool = False
    """Whether it is what an earlier run had found."""


@record()
class Question:
    """What is asked of the files of one image."""

    python: str
    proofs: tuple[str, ...]
    """The frameworks, by their proofs, whose libraries are followed."""
    wanted: tuple[str, ...] = ()
    """Libraries that these load late, by name (`libcudnn.so.9`)."""
    is_survey: bool = False
    """Whether all Pythons are looked for, with what is installed for each."""


def question_of(image: LockedImage, python: str) -> Question:
    """What a lock entry asks of the files of its image."""
    promised = (("libcudnn.so", image.cudnn), ("libnccl.so", image.nccl))
    return Question(
        python=python,
        proofs=tuple(dict.fromkeys(framework.proof for framework in image.frameworks)),
        wanted=tuple(
            f"{name}.{version.split('.')[0]}"
            for name, version in promised
            if version is not None and image.cuda is not None
        ),
    )


def inspect(
    image_id: str,
    question: Question,
    *,
    engine: Engine,
    run_id: str,
    findings: Findings,
    patience: float = _SECONDS,
) -> Inspection:
    """Look into an image, or take what was found in it before, and give up after so many seconds if the image
    is to be proven in less than this may take. Raises EngineError when the engine fails."""
    task = _task(question)
    key = _key(image_id, question.python, task)
    try:
        return Inspection(report=read_report(findings.find(key)), is_kept=True)
    except NoResult:
        pass
    nonce = secrets.token_hex(16)
    spec = ContainerSpec(
        image=image_id,
        run_id=run_id,
        entrypoint=(question.python,),
        argv=inspection_arguments(task, nonce=nonce),
        env=_NO_GPU,
        workdir="/",
        memory=_MEMORY,
        pids=_PIDS,
        tmpfs=_TMPFS,
        read_only=True,
        drop_capabilities=True,
    )
    outcome = engine.run_container(spec, timeout=min(_SECONDS, patience) + _GRACE_SECONDS)
    if outcome.start_error is not None:
        failure = causes.explain_start_error(outcome.start_error, python=question.python)
        return Inspection(failure=failure, is_startable=False)
    try:
        report = _read(outcome, nonce)
    except NoResult as reason:
        return Inspection(failure=_explain(outcome, str(reason)))
    if not any(child.stopped or child.signal for child in (report.system, report.files, report.libraries)):
        findings.keep(key, report.raw)
    return Inspection(report=report)


def _task(question: Question) -> Mapping[str, object]:
    files = {proof: proof_files(proof) for proof in question.proofs}
    return {
        "timeout": _SECONDS,
        "survey": question.is_survey,
        "frameworks": {
            proof: {"roots": list(one.roots), "kernels": list(one.kernels)} for proof, one in files.items()
        },
        "flags": list(FLAG_LIBRARIES),
        "texts": list(TELLERS),
        "wanted": list(question.wanted),
    }


def _key(image_id: str, python: str, task: Mapping[str, object]) -> str:
    parts = [image_id, python, inspection_digest(), task]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _read(outcome: ContainerOutcome, nonce: str) -> Report:
    if outcome.timed_out or outcome.exit_status != 0:
        raise NoResult("it ended without a result")
    return parse_output(outcome.stdout, nonce)


def _explain(outcome: ContainerOutcome, reason: str) -> causes.Cause:
    if outcome.timed_out:
        return causes.Cause(text="reading the image's files took too long")
    if outcome.oom_killed:
        return causes.out_of_memory(_MEMORY)
    if outcome.exit_status:
        return causes.explain_exit(outcome.exit_status, stderr=outcome.stderr)
    return causes.Cause(text=reason)


def lost_stages(children: Sequence[Child]) -> tuple[str, ...]:
    """Why parts of a look did not end: a process that hangs, floods or crashes is the image's doing."""
    return tuple(child.loss for child in children if child.loss is not None)
