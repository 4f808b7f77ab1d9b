"""Output that nobody takes: closed streams and full disks end with a code that is true, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Closes streams as a shell's `>&-` does, and becomes the program.
PROGRAM = """
import os, sys
for number in {closed}:
    os.close(number)
os.execv(sys.executable, [sys.executable, "-m", "cudaforge", *{arguments}])
"""


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2)])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["resolve", "jax"], 0),
        (["--help"], 0),
        (["--version"], 0),
        (["resolve", "nosuch"], 2),
        (["resolve", "nosuch", "--json"], 2),
        (["resolve", "jax==99"], 1),
    ],
)
def test_closed_streams_change_no_exit_code(closed: tuple[int, ...], arguments: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(closed=closed, arguments=arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert "should not" not in done.stderr


@pytest.mark.parametrize("is_error_full", [False, True])
def test_output_that_does_not_fit_is_a_failure_of_the_surroundings(*, is_error_full: bool) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cudaforge", "resolve", "jax"],
            stdout=full,
            stderr=full if is_error_full else subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 3
