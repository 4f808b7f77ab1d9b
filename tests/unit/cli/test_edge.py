"""The edge of the command line: one message, the right exit code, never a traceback."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from cudaforge.cli import main as edge
from cudaforge.cli.main import run_command_line
from cudaforge.errors import Interrupted, NegativeAnswer, Problem


def _raise(error: BaseException):
    def dispatch(arguments: object) -> int:
        raise error

    return dispatch


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NegativeAnswer(Problem(what="no")), 1),
        (Interrupted(), 130),
        (Interrupted(terminated=True), 143),
        (KeyboardInterrupt(), 130),
        (OSError(28, "No space left on device", "/full/disk"), 3),
        (ZeroDivisionError("a bug"), 3),
    ],
)
def test_every_error_is_one_message_and_an_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(edge, "_dispatch", _raise(error))
    assert run_command_line(["lock"]) == code
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith("error: ")
    assert "Traceback" not in seen.err


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(edge, "_dispatch", _raise(ZeroDivisionError("a bug")))
    run_command_line(["lock", "--debug"])
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_json_errors_are_one_document(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_command_line(["resolve", "--json", "-f", str(tmp_path / "missing.toml")]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert "missing.toml" in json.dumps(document["errors"])


def test_unknown_options_and_commands_say_where_help_is(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["up", "--no-such"], ["no-such"]):
        assert run_command_line(arguments) == 2
        message = capsys.readouterr().err
        assert "o such" in message
        assert "--help" in message


@pytest.mark.parametrize("arguments", [["gate", "--fail-on", "silly", "x"], ["init", "--ci", "silly"]])
def test_a_word_that_is_none_of_those_is_told_without_words_of_a_library(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(arguments) == 2
    message = capsys.readouterr().err
    assert f"error: {arguments[1]}: 'silly' is not one of " in message
    assert "alue error" not in message


def test_signal_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    run_command_line(["--version"])
    assert signal.getsignal(signal.SIGTERM) is before


def test_messages_show_hidden_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(edge, "_dispatch", _raise(NegativeAnswer(Problem(what="a\u202eb\x1b[31mc"))))
    run_command_line(["lock"])
    assert capsys.readouterr().err == "error: a\\u202Eb\\u001B[31mc\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_a_signal_in_a_command_says_so(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cudaforge.cli.start.schema", lambda: signal.raise_signal(number))
    # `nohup`, or a shell in the background, has had it ignored.
    before = signal.signal(number, signal.default_int_handler)
    try:
        assert run_command_line(["schema"]) == code
    finally:
        signal.signal(number, before)
    assert capsys.readouterr().err == "error: interrupted\n"


def test_a_second_signal_lets_the_clean_up_end_and_its_troubles_are_not_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned = []

    def dispatch(arguments: object) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            cleaned.append(True)
            raise NegativeAnswer(Problem(what="the clean-up went wrong"))

    monkeypatch.setattr(edge, "_dispatch", dispatch)
    assert run_command_line(["lock"]) == 130
    assert cleaned
    assert capsys.readouterr().err == "error: interrupted\n"


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with edge._signals_raise() as received:
            signal.raise_signal(signal.SIGHUP)
        assert received == []
    finally:
        signal.signal(signal.SIGHUP, previous)


@pytest.mark.parametrize(
    "arguments",
    [
        ["vendor", ""],
        ["build", "--offline", ""],
        ["build", "--offline="],
        ["render", "-o", ""],
        ["lock", "-f", ""],
    ],
)
def test_an_empty_path_is_not_taken_for_the_current_directory(
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command_line(arguments) == 2
    message = capsys.readouterr().err
    assert "the path is empty" in message
    assert f"cudaforge {arguments[0]} --help" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told", "tried"),
    [
        (["build", "-j", "x"], "--jobs: 'x' is no whole number of at least 1", "for example --jobs 1"),
        (["build", "--jobs", "0"], "--jobs: '0' is no whole number of at least 1", "for example"),
        (["build", "--jobs=1_0"], "--jobs: '1_0' is no whole number of at least 1", "for example"),
        (["matrix", "--max-jobs=-1"], "--max-jobs: '-1' is no whole number of at least 1", "for"),
        (["verify", "--gpus", "65"], "--gpus: '65' is no whole number from 1 to 64", "--gpus 1"),
        (["resolve", "--top", "9" * 5000], "is no whole number from 1 to 1000000", "--top 1"),
        (["lock", "-f", ""], "--file: the path is empty", "cudaforge lock --help"),
        (
            ["matrix", "--format", "x"],
            "--format: 'x' is not one of 'text', 'json'",
            "cudaforge matrix --help",
        ),
        (["build", "--jobs"], "requires an argument", "cudaforge build --help"),
    ],
)
def test_wrong_values_of_options_are_told_in_words_of_ours(
    words: list[str], told: str, tried: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(words) == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert told in printed
    assert tried in printed
    assert "nvalid" not in printed


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["build", "--push", "--sbom", "spdx", "--sbom=cyclonedx"], "--sbom"),
        (["build", "--push", "--sign", "--key", "a", "--key", "b"], "--key"),
        (["build", "-j", "1", "--jobs", "2"], "--jobs"),
        (["up", "--max-images", "1", "--max-images", "1"], "--max-images"),
        (["resolve", "-f", "a.toml", "--file", "b.toml"], "--file"),
        (["matrix", "--shard", "1/2", "--shard", "2/2"], "--shard"),
        (["data", "measure", "x.whl", "--python", "3.11", "--python", "3.12"], "--python"),
    ],
)
def test_an_option_with_one_value_is_given_once(
    words: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(words) == 2
    assert f"{option} is given more than once, and has one value" in capsys.readouterr().err


def test_flags_and_lists_may_repeat(capsys: pytest.CaptureFixture[str]) -> None:
    run_command_line(["build", "-f", "gone.toml", "--push", "--push", "--provenance", "--provenance"])
    run_command_line(["build", "-f", "gone.toml", "--push", "--tag", "a", "--tag", "b"])
    assert capsys.readouterr().err.count("there is no gone.toml") == 2
