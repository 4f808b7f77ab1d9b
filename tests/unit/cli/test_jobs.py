"""`verify --emit` and `verify --collect` as a user meets them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.verifier.evidence import SCHEMA
from tests.unit.verifier.reports import RECORDED, as_line

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The quickstart, locked."""
    shutil.copytree(ROOT / "tests/golden/quickstart/locked", tmp_path, dirs_exist_ok=True)
    shutil.copy(ROOT / "examples/quickstart/cudaforge.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def emit(*words: str) -> int:
    return run_command_line(["verify", "--emit", "script", *words])


def log_of_a_run(project: Path, name: str = "jax") -> str:
    (order,) = (
        saved
        for path in (project / ".cudaforge/orders").iterdir()
        if (saved := json.loads(path.read_text()))["image"] == name
    )
    return as_line({**RECORDED, "schema": SCHEMA}, order["nonce"])


def test_jobs_are_written_and_their_output_is_judged(project: Path, capsys: pytest.CaptureFixture[str]):
    assert emit("-o", "jobs") == 0
    said = capsys.readouterr().out
    assert "wrote jobs/verify-jax.sh" in said
    assert "cudaforge verify --collect" in said
    assert (project / "jobs/verify-tensorflow.sh").read_text().startswith("#!/bin/sh\n")
    (project / "jax.log").write_text("pulling...\n" + log_of_a_run(project))
    assert run_command_line(["verify", "--json", "--collect", "jax.log"]) == 1
    (verdict,) = json.loads(capsys.readouterr().out)["images"]
    assert verdict["name"] == "jax"
    assert verdict["facts"]["job"] == {"form": "script"}
    probe = next(check for check in verdict["checks"] if check["id"] == "probe")
    assert probe["state"] == "pass"
    assert (project / ".cudaforge/verdicts/jax@script.json").is_file()
    assert not (project / ".cudaforge/verdicts/jax.json").exists(), "it says nothing of this host"


def test_a_log_of_another_project_is_told(project: Path, capsys: pytest.CaptureFixture[str]):
    assert emit("jax") == 0
    (project / "other.log").write_text(as_line(RECORDED, "f" * 32))
    assert run_command_line(["verify", "--collect", "other.log"]) == 2
    assert "no result in it of a job that this project wrote" in capsys.readouterr().err
    assert run_command_line(["verify", "--collect", "nowhere.log"]) == 2
    assert "cannot read nowhere.log" in capsys.readouterr().err


def test_a_result_of_an_older_lock_proves_nothing(project: Path, capsys: pytest.CaptureFixture[str]):
    assert emit("jax") == 0
    (project / "jax.log").write_text(log_of_a_run(project))
    for path in (project / ".cudaforge/orders").iterdir():
        order = json.loads(path.read_text())
        path.write_text(json.dumps({**order, "entry": "sha256:" + "0" * 64}))
    assert run_command_line(["verify", "--collect", "jax.log"]) == 1
    assert "the lock has moved since verify-jax.sh was written" in capsys.readouterr().err


def test_what_somebody_wrote_is_not_overwritten(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "jobs").mkdir()
    (project / "jobs/verify-jax.sh").write_text("mine\n")
    assert emit("jax") == 2
    assert "was not written by cudaforge" in capsys.readouterr().err
    assert emit("jax", "--force") == 0
    assert emit("jax") == 0, "a job of ours is replaced"


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (["--emit", "script", "--collect", "job.log"], "--collect"),
        (["--emit", "script", "--tier", "static"], "--tier"),
        (["--emit", "slurm", "--framework", "jax"], "--framework"),
        (["--collect", "job.log", "--again"], "--again"),
        (["--collect", "job.log", "--device", "0"], "--device"),
    ],
)
def test_what_jobs_would_leave_out_is_refused(
    project: Path, options: list[str], refused: str, capsys: pytest.CaptureFixture[str]
):
    assert run_command_line(["verify", *options]) == 2
    assert f"{refused} cannot be asked for together with {options[0]}" in capsys.readouterr().err
    assert not (project / "jobs").exists()


@pytest.mark.parametrize("option", [["--output", "there"], ["--gpus", "2"], ["--force"]])
def test_what_says_something_of_jobs_is_refused_without_them(
    project: Path, option: list[str], capsys: pytest.CaptureFixture[str]
):
    assert run_command_line(["verify", *option]) == 2
    assert f"{option[0]} says something of jobs that --emit writes" in capsys.readouterr().err


def test_an_image_of_no_registry_is_told(project: Path, capsys: pytest.CaptureFixture[str]):
    assert emit("jax") == 0
    assert "jax: quickstart:jax is in no registry" in capsys.readouterr().err


def test_gpus_for_images_without_cuda_are_refused(project: Path, capsys: pytest.CaptureFixture[str]):
    assert run_command_line(["verify", "jax", "--device", "0"]) == 2
    assert "jax: made for CPUs alone" in capsys.readouterr().err
