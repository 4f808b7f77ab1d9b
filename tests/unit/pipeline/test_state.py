"""Where a project's results are kept."""

from __future__ import annotations

from pathlib import Path

from cudaforge.cli.main import run_command_line
from tests.unit.pipeline.conftest import World


def test_results_are_kept_out_of_git_and_what_is_written_there_stays(world: World) -> None:
    world.declare(one='framework = "jax"\ncuda = "none"\nbase = "debian:12-slim"')
    assert run_command_line(["lock"]) == 0
    mark = Path(".cudaforge/.gitignore")
    assert mark.read_text() == "*\n"
    mark.write_text("*\n!results.json\n")
    assert run_command_line(["upgrade"]) == 0
    assert mark.read_text() == "*\n!results.json\n"
