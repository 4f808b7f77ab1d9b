"""The facts against the package index itself."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cudaforge.matrix.load import matrix_from_directory
from cudaforge.pipeline.refreshing import refresh
from cudaforge.resources import find_resource

pytestmark = pytest.mark.network


def test_the_index_has_nothing_that_the_facts_do_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = refresh(["pytorch", "tensorflow", "jax", "cuda", "cudnn"], Path("cudaforge.toml"))
    asked = {"default: torch", "default: tensorflow", "default: jax", "default: cuda-toolkit"}
    assert asked <= set(found.asked)
    assert [change for change in found.difference.changes if change.source.startswith("default: ")] == []


def test_a_release_that_is_taken_away_is_found_and_written_as_it_was(tmp_path: Path) -> None:
    """The whole way, in a copy of the checkout: JAX without its newest release."""
    root = find_resource("matrices").parent
    for name in ("cudaforge", "matrices", "templates"):
        ignored = shutil.ignore_patterns("_data", "__pycache__")
        shutil.copytree(root / name, tmp_path / name, ignore=ignored)
    shutil.copy(root / "pyproject.toml", tmp_path)
    before = {row.build: row for row in _newest(tmp_path)}
    file = tmp_path / "matrices" / "frameworks" / "jax.toml"
    blocks = file.read_text(encoding="utf-8").split("\n[[releases]]\n")
    file.write_text("\n[[releases]]\n".join(blocks[:-1]), encoding="utf-8")
    command = [sys.executable, "-m", "cudaforge", "data", "update", "jax", "--write", "--json"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["written"] is True
    after = {row.build: row for row in _newest(tmp_path)}
    assert after.keys() == before.keys()
    for build, row in after.items():
        known = before[build]
        for field in ("version", "released", "pythons", "glibc", "cuda", "requires", "platforms"):
            assert str(getattr(row, field)) == str(getattr(known, field)), (build, field)


def _newest(root: Path):
    rows = matrix_from_directory(root / "matrices").builds("jax")
    return [row for row in rows if row.version == rows[-1].version]
