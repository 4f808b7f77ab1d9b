"""The rendered files of a hand-made lock, byte for byte: what a change of a template changes."""

from pathlib import Path

import pytest

from cudaforge.records import replace
from cudaforge.renderer import render_lock
from tests import conftest
from tests.support.locks import CPU_IMAGE, GPU_IMAGE, SNAPSHOT, SOURCES, STANDALONE_IMAGE, make_lock


def test_rendered_files_are_as_expected(compare_golden: conftest.CompareGolden):
    system = replace(
        GPU_IMAGE,
        name="steps",
        frameworks=(replace(GPU_IMAGE.frameworks[0], name="tensorflow", template="tensorflow"),),
        gate="cuda>=12.8",
        user="1234:5678",
        run=("git clone https://example.com/x", "echo 'done'"),
        secrets=("token",),
        ssh=True,
    )
    built = replace(
        CPU_IMAGE,
        name="built",
        closure=replace(CPU_IMAGE.closure, wheels=(*CPU_IMAGE.closure.wheels, *SOURCES)),
    )
    dated = replace(built, name="dated", base=GPU_IMAGE.base, snapshot=SNAPSHOT)
    lock = make_lock(GPU_IMAGE, CPU_IMAGE, system, STANDALONE_IMAGE, built, dated)
    compare_golden("render", {file.path: file.text for file in render_lock(lock)})


@pytest.fixture
def golden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(conftest, "GOLDEN", tmp_path)
    (tmp_path / "x" / "a").mkdir(parents=True)
    (tmp_path / "x" / "a" / "old").write_text("1\n")
    return tmp_path / "x"


def test_differences_fail(
    golden: Path, compare_golden: conftest.CompareGolden, request: pytest.FixtureRequest
):
    if request.config.getoption("--update-golden"):
        pytest.skip("--update-golden writes instead")
    compare_golden("x", {"a/old": "1\n"})
    for files in ({"a/old": "1"}, {"a/old": "1\r\n"}, {}, {"a/old": "1\n", "new": ""}):
        with pytest.raises(AssertionError, match="pytest --update-golden"):
            compare_golden("x", files)


def test_an_update_leaves_what_was_made_alone(golden: Path):
    conftest.write_golden(golden, {"b/new": "2\n"})
    assert [path.relative_to(golden).as_posix() for path in sorted(golden.rglob("*"))] == ["b", "b/new"]
