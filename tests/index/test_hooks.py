"""What others run of the audit, as their runners do: the hook of pre-commit, the step of the GitHub Action.

Both install cudaforge from this tree, so that they need the package index.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BROKEN = "FROM python:3.12-slim-trixie\nRUN pip install torch==1.13.1\n"
GOOD = "FROM python:3.12-slim-trixie\nRUN pip install torch==2.8.0\n"

pytestmark = [
    pytest.mark.network,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("git") is None, reason="this host has no git"),
]


def run(*words: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=500, check=False
    )


def commit(directory: Path) -> str:
    """A repository of all that is in the directory; its commit."""
    who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "all")):
        done = run("git", *words, cwd=directory)
        assert done.returncode == 0, done.stderr
    return run("git", "rev-parse", "HEAD", cwd=directory).stdout.strip()


def test_pre_commit_runs_the_hook_on_dockerfiles_alone(tmp_path) -> None:
    source, user = tmp_path / "source", tmp_path / "user"
    names = ("cudaforge", "matrices", "templates", "tools", "docs")
    for name in names:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "_data"))
    for name in ("pyproject.toml", "README.md", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, source / name)
    hook = {"repo": str(source), "rev": commit(source), "hooks": [{"id": "cudaforge-audit"}]}
    user.mkdir()
    (user / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [hook]}), "utf-8")
    (user / "Dockerfile.train").write_text(BROKEN, "utf-8")
    (user / "notes.txt").write_text(BROKEN, "utf-8")
    commit(user)
    program = Path(sys.executable).parent / "pre-commit"
    cache = {"PRE_COMMIT_HOME": str(tmp_path / "cache")}
    done = run(program, "run", "--all-files", cwd=user, **cache)
    assert done.returncode == 1
    assert "Dockerfile.train:2" in done.stdout
    assert "notes.txt" not in done.stdout
    (user / "Dockerfile.train").write_text(GOOD, "utf-8")
    done = run(program, "run", "--all-files", cwd=user, **cache)
    assert (done.returncode, "Passed" in done.stdout) == (0, True), done.stdout


def test_the_step_of_the_action_audits_the_paths_that_are_given(tmp_path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "Dockerfile").write_text(GOOD, "utf-8")
    (tmp_path / "Dockerfile").write_text(BROKEN, "utf-8")
    (step,) = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["runs"]["steps"]
    env = {
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "HERE": str(ROOT),
        "FAIL_ON": "broken",
        "AS_OF": "2026-11-01",
    }
    (tmp_path / "temp").mkdir()
    good = run("bash", "-eo", "pipefail", "-c", step["run"], cwd=tmp_path, **env, PATHS="one\ngpu=RTX 5090\n")
    assert (good.returncode, good.stdout) == (0, "one/Dockerfile: fine\n"), good.stderr
    broken = run("bash", "-eo", "pipefail", "-c", step["run"], cwd=tmp_path, **env, PATHS=".")
    assert broken.returncode == 1
    assert "::error file=Dockerfile,line=2,title=python-unsupported::" in broken.stdout
