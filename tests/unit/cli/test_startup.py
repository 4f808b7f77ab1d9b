"""Starting costs little: no heavy module on the way to `--help`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("docker", "pydantic", "requests", "jinja2", "rich", "uv", "urllib3", "yaml")

# Run in a fresh interpreter: this one has imported much already. Unit tests may start our own interpreter.
PROGRAM = """
import json, sys
from cudaforge.cli.main import run_command_line
code = run_command_line(sys.argv[1:])
sys.stderr.write(json.dumps({"code": code, "modules": sorted(sys.modules)}))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["up", "--help"], ["resolve", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    seen = json.loads(done.stderr)
    assert seen["code"] == 0
    assert done.stdout.strip()
    assert [name for name in HEAVY if name in seen["modules"]] == []


def test_every_command_is_listed_with_a_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cudaforge", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    for command in ("init", "resolve", "explain", "lock", "render", "build", "verify", "up", "run", "schema"):
        line = next(line for line in done.stdout.splitlines() if line.split()[:1] == [command])
        assert len(line.split()) > 3, line
