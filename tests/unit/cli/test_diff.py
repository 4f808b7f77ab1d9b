"""`cudaforge diff`: two locks from anywhere, in words and JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.lockfile.compose import entry_digest
from cudaforge.lockfile.pylock import closure_file, dump_closure, load_closure
from cudaforge.lockfile.store import write_lock
from cudaforge.packages.model import LockedWheel
from cudaforge.records import replace
from tests.support.locks import CPU_IMAGE, GPU_IMAGE, make_lock


def write(path: Path, version: str, **changes: object) -> Path:
    wheel = LockedWheel(
        package="numpy",
        version=version,
        filename=f"numpy-{version}-py3-none-any.whl",
        index="default",
        sha256="a" * 64,
        size=int(float(version) * 100_000_000),
    )
    made, closures = [], {}
    text = dump_closure([wheel], python="3.11")
    for one in (replace(GPU_IMAGE, **changes), CPU_IMAGE):
        image = replace(one, closure=load_closure(text, file=closure_file(one.name)))
        made.append(replace(image, digest=entry_digest(image)))
        closures[image.closure.file] = text
    write_lock(make_lock(*made), closures, path)
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write(tmp_path / "old" / "cudaforge.lock", "2.1", architectures=("sm_70", "sm_80", "sm_90"))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    framework = replace(GPU_IMAGE.frameworks[0], version="2.9.1", reported="2.9.1+cu130", build="cu130")
    return write(
        tmp_path / "new" / "cudaforge.lock",
        "4.2",
        frameworks=(framework,),
        driver_floor="580",
        architectures=("sm_80", "sm_90"),
        env={"HF_HOME": "\x1b[31m"},
    )


def test_a_difference_in_words(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["diff", str(old), str(new)]) == 0
    assert (
        capsys.readouterr().out
        == """\
train: changed
  loses    drops sm_70 (V100, TITAN V, Quadro GV100)
  loses    driver floor 570.26 -> 580
  moves    pytorch 2.8.0+cu128 -> 2.9.1+cu130
  moves    env HF_HOME /data/hf -> \\u001B[31m
  moves    1 package changed: numpy 2.1 -> 4.2
  moves    wheels +210 MB, 420 MB in all

quick: changed
  moves    1 package changed: numpy 2.1 -> 4.2
  moves    wheels +210 MB, 420 MB in all
"""
    )


def test_a_difference_as_json(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["diff", str(old), str(new), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["old"], document["new"], document["changes"]) == (str(old), str(new), [])
    train, quick = document["images"]
    assert train["changes"][0] == {"field": "architectures", "old": "sm_70", "new": None, "effect": "loss"}
    assert train["wheels"] == {"old": 210_000_000, "new": 420_000_000, "difference": 210_000_000}
    assert [change["field"] for change in quick["changes"]] == ["packages.numpy"]


def test_equal_locks_say_so_and_the_exit_code_tells(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["diff", str(old), str(old), "--exit-code"]) == 0
    assert capsys.readouterr().out == "the locks say the same\n"
    assert run_command_line(["diff", str(old), str(new), "--exit-code"]) == 1


def test_the_day_of_a_lock_is_a_difference(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dated = old.with_name("dated.lock")
    dated.write_text(old.read_text().replace("[tools]", 'as_of = "2026-06-01"\n\n[tools]'))
    assert run_command_line(["diff", str(old), str(dated), "--exit-code"]) == 1
    assert capsys.readouterr().out == "the whole lock:\n           as of none -> 2026-06-01\n"
    assert run_command_line(["diff", str(dated), str(old), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["changes"] == [{"field": "as_of", "old": "2026-06-01", "new": None, "effect": "move"}]


def test_a_lock_may_come_on_standard_input_without_its_closures(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(old.read_bytes())))
    assert run_command_line(["diff", "-", str(new)]) == 0
    said = capsys.readouterr().out
    assert "driver floor 570.26 -> 580" in said
    assert "packages changed; which ones" in said
    # Beside the other lock lie the closures that did not change.
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(old.read_bytes())))
    assert run_command_line(["diff", "-", str(old)]) == 0
    assert capsys.readouterr().out == "the locks say the same\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "not UTF-8 at byte 0"),
        (b"", "name two locks as cudaforge wrote them"),
        (b"schema = 1\n[images.a]\n", "the lock is damaged"),
        (b"schema = 9\n", "the lock has format 9"),
        (b"<<<<<<< ours\n", "merge-conflict"),
    ],
)
def test_what_is_no_lock_is_refused(
    content: bytes,
    message: str,
    new: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert run_command_line(["diff", "-", str(new), "--exit-code"]) == 2, "1 would say that they differ"
    assert message in capsys.readouterr().err


def test_files_that_are_not_there_are_named(new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["diff", "nowhere.lock", str(new)]) == 2
    assert "there is no lock at nowhere.lock" in capsys.readouterr().err
    assert run_command_line(["diff", "-", "-"]) == 2
    assert "only one lock can come on standard input" in capsys.readouterr().err
    assert run_command_line(["diff", str(new.parent), str(new)]) == 2
    assert "is a directory, not a file" in capsys.readouterr().err
