"""`cudaforge doctor` itself: text, JSON, exit codes; and limits that hold for what never ends."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.codes import Code
from cudaforge.doctor import Finding, State
from cudaforge.doctor.host import within
from cudaforge.doctor.look import see_engine
from cudaforge.doctor.situation import EngineTrouble
from cudaforge.engine import EngineDenied
from cudaforge.errors import Problem
from cudaforge.pipeline import doctoring
from cudaforge.process import ProgramTimeout
from tests.unit.doctor.machines import Machine

FINE = Finding(id="engine", title="Container engine", state=State.OK, detail="Docker 28")
BROKEN = Finding(
    id="driver",
    title="NVIDIA driver",
    state=State.PROBLEM,
    detail="no driver " + "word " * 40 + "\x1b[31m",
    remedy="install one",
    code=Code.DRIVER_MISSING,
)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    found = [FINE]
    monkeypatch.setattr(doctoring, "examine", lambda file, image: tuple(found))
    return found


def test_a_healthy_machine(answers: list[Finding], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["doctor"]) == 0
    assert capsys.readouterr().out == "ok       Container engine: Docker 28\n\n0 problems\n"


def test_a_problem_is_told_within_80_columns(
    answers: list[Finding], capsys: pytest.CaptureFixture[str]
) -> None:
    answers.append(BROKEN)
    assert run_command_line(["doctor"]) == 1
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "PROBLEM  NVIDIA driver" in text
    assert "try  install one" in text
    assert "[driver-missing]" in text
    assert "\x1b" not in text


def test_json(answers: list[Finding], capsys: pytest.CaptureFixture[str]) -> None:
    answers.append(BROKEN)
    assert run_command_line(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["ok"], document["image"]) == (1, False, None)
    assert document["findings"][0] == {
        "id": "engine",
        "title": "Container engine",
        "state": "ok",
        "detail": "Docker 28",
        "remedy": None,
        "code": None,
    }
    assert document["findings"][1]["code"] == "driver-missing"


def test_an_image_needs_a_declaration_and_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["doctor", "train"]) == 2
    (tmp_path / "cudaforge.toml").write_text('schema = 1\n[images.train]\nframework = "pytorch"\n')
    assert run_command_line(["doctor", "train"]) == 1
    assert "there is no lock yet" in capsys.readouterr().err


def test_what_never_returns_is_given_up() -> None:
    release = threading.Event()
    started = time.monotonic()
    with pytest.raises(ProgramTimeout, match="it hangs"):
        within(0.05, lambda: release.wait(30), what="it hangs")
    release.set()
    assert time.monotonic() - started < 5


def test_an_engine_that_denies_is_told_apart(tmp_path: Path) -> None:
    def connect() -> None:
        raise EngineDenied(Problem(what="this user may not", remedy="group docker"))

    seen = see_engine(Machine(tmp_path).host(), connect)
    assert (seen.trouble, seen.is_local) == (EngineTrouble.DENIED, True)


def test_a_docker_command_that_hangs_is_a_silent_engine(tmp_path: Path) -> None:
    def connect() -> None:
        raise ProgramTimeout(Problem(what="docker did not end within 10 s and was stopped"))

    machine = Machine(tmp_path)
    machine.environ["DOCKER_HOST"] = "tcp://192.0.2.1:2376"
    seen = see_engine(machine.host(), connect)
    assert (seen.trouble, seen.is_local) == (EngineTrouble.SILENT, False)
