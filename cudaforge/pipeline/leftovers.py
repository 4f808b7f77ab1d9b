"""Containers that a run could not take away: it was killed, or its engine was. The next run does."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.files import is_alive, write_atomically

if TYPE_CHECKING:
    from cudaforge.engine import Engine

_NAME = re.compile(r"(?P<pid>[0-9]+)-(?P<run>[0-9a-f]+)")


@contextlib.contextmanager
def known_run(engine: Engine, directory: Path) -> Iterator[str]:
    """An id for the containers of one run, known in `directory` until they are gone.

    First the containers of runs that are known there, and whose process is not alive, are removed.
    """
    from cudaforge.engine import EngineError

    _remove_old(engine, directory)
    run_id = secrets.token_hex(8)
    record = directory / f"{os.getpid()}-{run_id}"
    write_atomically(record, "")
    try:
        yield run_id
    except EngineError:
        raise  # whether anything is left, the next run asks an engine that answers
    except BaseException:
        _forget(record)
        raise
    _forget(record)


def dead_runs(directory: Path) -> frozenset[str]:
    """The ids of runs that are known in `directory` and whose process is not alive."""
    return frozenset(run for _, run in _dead(directory))


def _remove_old(engine: Engine, directory: Path) -> None:
    for record, run in _dead(directory):
        engine.remove_leftovers(run)
        _forget(record)


def _dead(directory: Path) -> Iterator[tuple[Path, str]]:
    for record in sorted(directory.iterdir()) if directory.is_dir() else ():
        known = _NAME.fullmatch(record.name)
        if known is not None and not is_alive(int(known["pid"])):
            yield record, known["run"]


def _forget(record: Path) -> None:
    with contextlib.suppress(OSError):
        record.unlink()
