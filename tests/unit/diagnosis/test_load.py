"""The compiled patterns: renewed in a checkout, read as they are in an installation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from cudaforge import resources
from cudaforge.diagnosis import causes_of
from cudaforge.diagnosis.load import load_patterns, read_patterns
from cudaforge.errors import SurroundingsError
from cudaforge.resources import find_resource

PROGRAM = """
import json, sys
from cudaforge.cli.main import run_command_line
code = run_command_line(sys.argv[1:])
sys.stderr.write(json.dumps({"code": code, "modules": sorted(sys.modules)}))
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    source = find_resource("matrices") / "errors"
    (tmp_path / "cudaforge").mkdir()
    (tmp_path / "templates").mkdir()
    (tmp_path / "pyproject.toml").touch()
    shutil.copytree(source, tmp_path / "matrices" / "errors")
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "cudaforge")
    monkeypatch.setattr(resources, "_INSTALLED", tmp_path / "cudaforge" / "_data")
    load_patterns.cache_clear()
    yield tmp_path
    load_patterns.cache_clear()


def test_a_checkout_compiles_when_a_file_is_newer(checkout) -> None:
    count = len(load_patterns())
    compiled = checkout / "cudaforge" / "_data" / "errors.json"
    assert len(read_patterns(compiled.read_bytes())) == count
    changed = checkout / "matrices" / "errors" / "systems.toml"
    text = changed.read_text("utf-8")
    changed.write_text(text[: text.rindex("[[errors]]")].replace("apptainer = ", "# "), encoding="utf-8")
    later = compiled.stat().st_mtime_ns + 1
    os.utime(changed, ns=(later, later))
    load_patterns.cache_clear()
    assert len(load_patterns()) == count - 1


def test_a_checkout_with_a_broken_row_says_which(checkout) -> None:
    path = checkout / "matrices" / "errors" / "driver.toml"
    path.write_text(
        path.read_text("utf-8").replace('code = "gpu-fault"', 'code = "gpu-faults"'), encoding="utf-8"
    )
    with pytest.raises(SurroundingsError, match="broken") as caught:
        load_patterns()
    assert "errors/driver.toml" in caught.value.problems[0].because[0]


def test_an_installation_reads_what_it_carries(checkout) -> None:
    load_patterns()
    (checkout / "pyproject.toml").unlink()
    shutil.rmtree(checkout / "matrices")
    load_patterns.cache_clear()
    assert [cause.code.value for cause in causes_of("exec /bin/sh: exec format error")] == [
        "wrong-architecture"
    ]
    (checkout / "cudaforge" / "_data" / "errors.json").unlink()
    load_patterns.cache_clear()
    with pytest.raises(SurroundingsError, match="missing"):
        load_patterns()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"format": 9}', b'{"format": 1, "sources": {}, "patterns": [1]}']
)
def test_a_damaged_form_is_told(content) -> None:
    with pytest.raises(SurroundingsError, match="broken"):
        read_patterns(content)


@pytest.mark.parametrize(
    ("text", "loads_matrix"),
    [("hello", False), ("Killed", False), ("manifest for nvidia/cuda:1 not found", True)],
)
def test_the_matrix_is_read_only_where_a_rule_asks_it(text, loads_matrix, tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "explain-error", text],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(find_resource("matrices").parent)},
    )
    modules = json.loads(done.stderr)["modules"]
    assert ("cudaforge.matrix.model" in modules) == loads_matrix
    assert not {"docker", "requests", "jinja2", "rich", "pydantic", "uv", "re._parser_debug"} & set(modules)
