"""The tables of matrices/README.md are those of the facts."""

from pathlib import Path

import pytest

from cudaforge.matrix.load import matrix_from_directory
from tests.unit.matrix.samples import write_matrix
from tools import coverage


def test_the_tables_are_those_of_the_facts():
    text = coverage.README.read_text("utf-8")
    renewed = coverage.with_tables(text, matrix_from_directory(coverage.MATRICES))
    assert text == renewed, "the facts have changed: `make generate` renews the tables of matrices/README.md"


def test_the_tables_say_how_much_is_known_and_how_well(tmp_path: Path):
    matrix = matrix_from_directory(write_matrix(tmp_path))
    text = coverage.with_tables(f"before\n{coverage.BEGIN}\nold\n{coverage.END}\nafter\n", matrix)
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| `cuda` | 3 | 12.6.0 to 13.0.0 | 2 | | | 1 | 2026-01-30 |" in text
    assert "| The Example | 2 | 4 | 2 | 2 (100 %) | | | amd64 4, arm64 1 | 1 (25 %) |" in text


def test_a_text_without_the_markers_is_refused(tmp_path: Path):
    matrix = matrix_from_directory(write_matrix(tmp_path))
    with pytest.raises(ValueError, match="must have the lines"):
        coverage.with_tables("no markers", matrix)
