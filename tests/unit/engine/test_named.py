"""Builders by the names and addresses that `--builder` takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from cudaforge import process
from cudaforge.engine import EngineError, NamedBuilder, connect, connect_named
from cudaforge.errors import CudaforgeError, InputError, Problem
from tests.unit.engine.fake import answering


def complaint(name: str) -> str:
    """All that is said of a name that leads nowhere."""
    with pytest.raises(CudaforgeError) as raised:
        connect_named(name)
    (problem,) = raised.value.problems
    return " ".join((problem.what, *problem.because, problem.remedy or ""))


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[process.Completed]:
    """What the docker command line answers, in turn; then that it knows nothing of the kind."""
    answers: list[process.Completed] = []

    def run(argv: Sequence[str], **_: object) -> process.Completed:
        if answers:
            return answers.pop(0)
        return process.Completed(argv=tuple(argv), returncode=1, stdout="", stderr="not found")

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    return answers


@pytest.mark.parametrize("name", ["tcp://127.0.0.1:1", "unix:///nowhere.sock", "/nowhere.sock"])
def test_an_address_where_nothing_answers_is_the_options(name: str, docker: list[process.Completed]) -> None:
    said = complaint(name)
    assert f"--builder {name}" in said
    assert "DOCKER_HOST" not in said


@pytest.mark.parametrize("name", ["nosuchcontext", "http://far:1", "a b"])
def test_a_name_that_nobody_knows_is_the_options(name: str, docker: list[process.Completed]) -> None:
    said = complaint(name)
    assert "--builder" in said
    assert name in said
    assert "DOCKER_HOST" not in said


def test_a_context_whose_engine_is_away(docker: list[process.Completed]) -> None:
    context = '[{"Name": "far", "Endpoints": {"docker": {"Host": "unix:///nowhere.sock"}}}]'
    docker.append(process.Completed(argv=(), returncode=0, stdout=context, stderr=""))
    with pytest.raises(EngineError):
        connect_named("far")
    docker.append(process.Completed(argv=(), returncode=0, stdout=context, stderr=""))
    said = complaint("far")
    assert "--builder far, a docker context" in said
    assert "/nowhere.sock" in said


def test_a_name_without_the_docker_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")

    def run(argv: Sequence[str], **_: object) -> process.Completed:
        raise process.ProgramNotFound(())

    monkeypatch.setattr(process, "run", run)
    with pytest.raises(InputError):
        connect_named("train")
    assert "--builder train" in complaint("train")


def test_a_builder_of_which_buildx_says_nothing_is_one_that_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(argv: Sequence[str], **_: object) -> process.Completed:
        if "buildx" in argv:
            raise process.ProgramTimeout(Problem(what="docker did not end within 30 s and was stopped"))
        return process.Completed(argv=tuple(argv), returncode=1, stdout="", stderr="not found")

    monkeypatch.setattr(process, "run", run)
    answer = {"Version": "28.5.2", "ApiVersion": "1.45", "Components": [{"Name": "Engine"}]}
    with answering(tmp_path / "s", answer) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        engine = connect()
        far = NamedBuilder(name="far", engine=engine, builder="far", is_own=False)
        for ask in (far.check_builder, far.find_platforms, lambda: connect_named("far")):
            with pytest.raises(EngineError, match="the builder far cannot be reached"):
                ask()
        engine.close()


def test_an_address_is_handed_on_to_programs(tmp_path: Path) -> None:
    answer = {"Version": "28.5.2", "ApiVersion": "1.45", "Components": [{"Name": "Engine"}]}
    with answering(tmp_path / "s", answer) as host:
        named = connect_named(host)
        assert named.engine.cli_env == {"DOCKER_HOST": host}
        named.engine.close()
