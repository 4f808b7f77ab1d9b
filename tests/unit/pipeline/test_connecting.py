"""The builders that a run was given by name: all that is wrong with them is told at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from cudaforge import process
from cudaforge.engine import EngineError
from cudaforge.errors import InputError
from cudaforge.pipeline.builders import connect_builders
from tests.unit.engine.fake import answering

DEAD = ("tcp://127.0.0.1:1", "unix:///nowhere.sock")
ANSWER = {"Version": "28.5.2", "ApiVersion": "1.45", "Components": [{"Name": "Engine"}]}


@pytest.fixture(autouse=True)
def docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A docker command line that knows of no contexts and no builders."""

    def run(argv: Sequence[str], **_: object) -> process.Completed:
        return process.Completed(argv=tuple(argv), returncode=1, stdout="", stderr="not found")

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")


def test_every_wrong_name_is_told(tmp_path: Path) -> None:
    notes: list[str] = []
    with answering(tmp_path / "s", ANSWER) as host, pytest.raises(InputError) as raised:
        connect_builders(("one", host, "a b", DEAD[0], "one", "two"), on_note=notes.append)
    told = [problem.what for problem in raised.value.problems]
    assert [next(name for name in ("one", "a b", "two") if name in what) for what in told] == [
        "one",
        "a b",
        "two",
    ]
    assert [note for note in notes if DEAD[0] in note] == notes
    assert len(notes) == 1


def test_every_builder_that_is_away_is_told_where_none_answers() -> None:
    with pytest.raises(EngineError) as raised:
        connect_builders(DEAD, on_note=lambda _: None)
    told = [" ".join((problem.what, *problem.because)) for problem in raised.value.problems]
    assert len(told) == len(DEAD)
    assert all(name in what for name, what in zip(DEAD, told, strict=True))
