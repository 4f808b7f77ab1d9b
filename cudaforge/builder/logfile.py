"""The log of one build on disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from cudaforge.files import write_error


@contextlib.contextmanager
def open_log(log: Path) -> Iterator[Callable[[str], None]]:
    """A function that writes a line into a new file. It and the block's end raise SurroundingsError where
    that cannot be done."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise write_error(log, error) from None
    file = os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", buffering=1)

    def write(line: str) -> None:
        try:
            file.write(f"{line}\n")
        except OSError as error:
            raise write_error(log, error) from None

    try:
        yield write
    finally:
        try:
            file.close()
        except OSError as error:  # what a full disk did not take is written once more
            raise write_error(log, error) from None
