"""Each example, byte for byte: what it resolves to, and what its locked images render to.

The locks in tests/golden/<example>/ were made on a real machine (`make golden-locks`); rendering from them
needs nothing but them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cudaforge.lockfile.store import read_lock
from cudaforge.pipeline.decide import load, resolve
from cudaforge.renderer import render_lock
from cudaforge.report.answers import answers_json
from tests.conftest import GOLDEN, CompareGolden

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/cudaforge.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_resolves_to_what_it_did(name: str, compare_golden: CompareGolden) -> None:
    answers = answers_json(resolve(load(EXAMPLES / name / "cudaforge.toml")))
    compare_golden(f"{name}/resolved", {"resolve.json": json.dumps(answers, indent=2) + "\n"})


@pytest.mark.parametrize("name", NAMES)
def test_an_example_renders_to_what_it_did(name: str, compare_golden: CompareGolden) -> None:
    lock = read_lock(GOLDEN / name / "locked" / "cudaforge.lock")
    files = {file.path: file.text for file in render_lock(lock)}
    assert files == {file.path: file.text for file in render_lock(lock)}
    compare_golden(f"{name}/rendered", files)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_lock_names_no_site(name: str) -> None:
    """No address is in a lock or a closure: it travels between sites."""
    for path in (GOLDEN / name / "locked").rglob("*.toml"):
        assert "://" not in path.read_text(), path
    assert "://" not in (GOLDEN / name / "locked" / "cudaforge.lock").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_lock_is_the_one_of_its_example(name: str) -> None:
    lock = read_lock(GOLDEN / name / "locked" / "cudaforge.lock")
    hint = "what a declaration means was changed: make golden-locks"
    assert lock.declaration == load(EXAMPLES / name / "cudaforge.toml").digest, hint
