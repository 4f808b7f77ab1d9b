import json
import signal

import pytest

from cudaforge.builder import BuildAborted, BuildRefused, BuildState
from cudaforge.builder.results import cancelled_result
from cudaforge.cli import main
from cudaforge.cli.finished import answer_told, finished_told
from cudaforge.cli.output import write_error
from cudaforge.errors import ExitCode, Problem, SurroundingsError
from cudaforge.records import replace
from tests.support.locks import CPU_IMAGE, GPU_IMAGE

BUILT = replace(cancelled_result(CPU_IMAGE, ""), state=BuildState.BUILT, size=1_500_000_000)
FAILED = replace(cancelled_result(GPU_IMAGE, "the index is down"), state=BuildState.FAILED)


def abort(*results, as_json: bool) -> BuildAborted:
    def to_json(finished):
        return {"images": [one.name for one in finished]}

    with pytest.raises(BuildAborted) as raised, finished_told(to_json, as_json=as_json):
        raise BuildAborted(Problem(what="the index is down"), results)
    return raised.value


def test_what_was_finished_is_told_beside_what_surroundings_failed(capsys: pytest.CaptureFixture[str]):
    abort(BUILT, FAILED, as_json=False)
    told = capsys.readouterr().out
    assert f"{CPU_IMAGE.name}" in told
    assert "1.5 GB" in told
    assert f"{GPU_IMAGE.name} failed" in told
    assert "the index is down" in told


def test_one_image_has_its_error_alone(capsys: pytest.CaptureFixture[str]):
    abort(FAILED, as_json=False)
    assert capsys.readouterr().out == ""


def test_json_has_both(capsys: pytest.CaptureFixture[str]):
    write_error(abort(BUILT, FAILED, as_json=True), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == [CPU_IMAGE.name, GPU_IMAGE.name]
    assert [one["what"] for one in told["errors"]] == ["the index is down"]


def half_way(*, as_json: bool) -> SurroundingsError:
    told: list[str] = []

    def push() -> None:
        told.append("one")
        raise SurroundingsError(Problem(what="the registry is down"))

    with (
        pytest.raises(SurroundingsError) as raised,
        answer_told(lambda: {"pushed": list(told)}, lambda: " ".join(told), as_json=as_json),
    ):
        push()
    return raised.value


def test_what_was_pushed_is_told_beside_what_failed(capsys: pytest.CaptureFixture[str]):
    half_way(as_json=False)
    assert capsys.readouterr().out == "one\n"
    write_error(half_way(as_json=True), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["pushed"], [one["what"] for one in told["errors"]]) == (["one"], ["the registry is down"])


def test_an_answer_is_told_once(capsys: pytest.CaptureFixture[str]):
    with answer_told(lambda: {"a": 1}, lambda: "all", as_json=False):
        pass
    assert capsys.readouterr().out == "all\n"
    with answer_told(lambda: {"a": 1}, lambda: "all", as_json=True):
        pass
    assert json.loads(capsys.readouterr().out)["a"] == 1


def test_what_is_not_as_the_lock_says_hides_no_other_image(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(BuildRefused), finished_told(lambda _: {}, as_json=False):
        raise BuildRefused(
            Problem(what="a wheel is another file"), (BUILT, FAILED), exit_code=ExitCode.NEGATIVE
        )
    assert f"{GPU_IMAGE.name} failed" in capsys.readouterr().out


def test_a_signal_ends_with_what_was_finished(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    cancelled = cancelled_result(GPU_IMAGE, "the run was interrupted")

    def run(words: list[str]) -> int:
        def to_json(results):
            return {"images": [one.state.value for one in results]}

        with finished_told(to_json, as_json="--json" in words):
            try:
                signal.raise_signal(signal.SIGTERM)
            except BaseException as stop:
                raise stop from BuildAborted(Problem(what="interrupted"), (BUILT, cancelled))
        return 0

    monkeypatch.setattr(main, "_dispatch", run)
    assert main.run_command_line(["build", "--json"]) == 143
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == ["built", "cancelled"]
    assert [one["what"] for one in told["errors"]] == ["interrupted"]
    assert main.run_command_line(["build"]) == 143
    told = capsys.readouterr().out
    assert all(name in told for name in (CPU_IMAGE.name, GPU_IMAGE.name, "built", "cancelled"))


def test_a_signal_while_it_pushes_ends_with_what_is_pushed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def run(words: list[str]) -> int:
        told = ["one"]
        with answer_told(lambda: {"pushed": list(told)}, lambda: " ".join(told), as_json="--json" in words):
            signal.raise_signal(signal.SIGINT)
        return 0

    monkeypatch.setattr(main, "_dispatch", run)
    assert main.run_command_line(["build", "--json"]) == 130
    told = json.loads(capsys.readouterr().out)
    assert (told["pushed"], [one["what"] for one in told["errors"]]) == (["one"], ["interrupted"])
    assert main.run_command_line(["build"]) == 130
    assert capsys.readouterr().out == "one\n"
