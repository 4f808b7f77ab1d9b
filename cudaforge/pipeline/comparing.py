"""Comparing two locks, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cudaforge.errors import InputError, Location, NegativeAnswer, Problem
from cudaforge.lockfile.changes import LockChanges, compare_locks
from cudaforge.lockfile.effects import KnownGpus, known_gpus
from cudaforge.lockfile.model import Lock
from cudaforge.lockfile.store import MAXIMUM_BYTES, closures_beside, read_lock_alone
from cudaforge.lockfile.text import MEND, load_lock_alone
from cudaforge.matrix import load_matrix
from cudaforge.records import replace

STANDARD_INPUT = "-"
_NO_LOCK = "name two locks as cudaforge wrote them; git show COMMIT:cudaforge.lock has those of before"
ReadInput = Callable[[int], bytes]
"""Reads at most so many bytes of standard input."""


def compare(old: str, new: str, *, read_input: ReadInput) -> tuple[LockChanges, KnownGpus]:
    """What differs between the locks at two paths, of which one may be `-`; and the GPUs of the facts.

    The closures of a lock that comes on standard input are looked for beside the other one. Raises InputError
    where there is no such file, or no lock in it that can be used.
    """
    if old == new == STANDARD_INPUT:
        raise InputError(
            Problem(
                what="only one lock can come on standard input",
                where=Location(file="command line"),
                remedy="name a file for the other",
            )
        )
    try:
        locks = [
            _read_input(read_input, beside=Path(other))
            if one == STANDARD_INPUT
            else read_lock_alone(Path(one))
            for one, other in ((old, new), (new, old))
        ]
    except NegativeAnswer as error:
        # "No" would say that they differ; and the lock need not be that of the project here.
        raise InputError(
            replace(problem, remedy=_NO_LOCK if problem.remedy == MEND else problem.remedy)
            for problem in error.problems
        ) from None
    gpus = known_gpus(load_matrix())
    return compare_locks(locks[0], locks[1], gpus=gpus), gpus


def _read_input(read_input: ReadInput, *, beside: Path) -> Lock:
    name = "standard input"
    content = read_input(MAXIMUM_BYTES + 1)
    if len(content) > MAXIMUM_BYTES:
        raise InputError(
            Problem(what="it is larger than any lock can be", where=Location(file=name), remedy="check it")
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            Problem(what=f"it is not UTF-8 at byte {error.start}", where=Location(file=name))
        ) from None
    return load_lock_alone(text, file=name, find_closure=closures_beside(beside, lock=text))
