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


def _on_a_terminal(columns: int, *arguments: str, cwd: Path | None = None) -> list[str]:
    """The lines that a command writes on a terminal of that width, whose stdout goes elsewhere."""
    import fcntl
    import os
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    done = subprocess.Popen(
        [sys.executable, "-m", "cudaforge", *arguments],
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env=environment,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux tells the end of a terminal so
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    done.wait(timeout=60)
    return written.decode().replace("\r", "").splitlines()


@pytest.mark.parametrize("columns", [60, 80])
def test_errors_are_broken_at_the_edge_of_a_terminal(columns: int) -> None:
    lines = _on_a_terminal(columns, "resolve", "pytorch", "gpu=MI300X")
    assert lines[0].startswith("error: GPU 'MI300X'")
    assert max(map(len, lines)) <= columns
    assert any(line.startswith(" " * 11) for line in lines), "further lines stand below the text"


def test_remarks_are_broken_at_the_edge_of_a_terminal(tmp_path: Path) -> None:
    line = "numpy >> 1" + " " * 200 + "!"
    golden = Path(__file__).parents[3] / "tests/golden/quickstart/locked/cudaforge.lock"
    (tmp_path / "cudaforge.lock").write_bytes(golden.read_bytes())
    shards = golden.with_name("cudaforge.lock.d")
    (tmp_path / "cudaforge.lock.d").mkdir()
    for shard in shards.iterdir():
        (tmp_path / "cudaforge.lock.d" / shard.name).write_bytes(shard.read_bytes())
    (tmp_path / "cudaforge.toml").write_text(f'[images.jax]\nframework = "jax"\npackages = ["{line}"]\n')
    lines = _on_a_terminal(80, "report", "jax", cwd=tmp_path)
    (first,) = [number for number, text in enumerate(lines) if text.startswith("the packages of")]
    assert max(map(len, lines[first : first + 2])) <= 80
    assert lines[first + 1].startswith("  ")
