"""How measured sizes get into the lines of a matrix file."""

from __future__ import annotations

from pathlib import Path

import pytest

from cudaforge.matrix.model import CudaProvider
from tests.unit.matrix.samples import write_matrix
from tests.unit.resolver import rows
from tools.measure_sizes import Rows, Weight, settings, usual_python, with_settings

NEW = {"size": 3_000_000_000, "installed": 5_000_000_000}
WRITTEN = "size = 3_000_000_000, installed = 5_000_000_000"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('    { build = "a", like = "b" },', f'    {{ build = "a", like = "b", {WRITTEN} }},'),
        ('    { build = "a", source = "s" },', f'    {{ build = "a", {WRITTEN}, source = "s" }},'),
        ('    { build = "a", size = 9_0, cuda = "1" },', f'    {{ build = "a", {WRITTEN}, cuda = "1" }},'),
        ('    { build = "a", size = 9 },', f'    {{ build = "a", {WRITTEN} }},'),
        ('    { size = 1, installed = 1, cuda_size = 1, cuda_installed = 1 },', f'    {{ {WRITTEN} }},'),
        (f'    {{ build = "a", {WRITTEN} }},  # why', f'    {{ build = "a", {WRITTEN} }},  # why'),
        ('    { build = "a" }', f'    {{ build = "a", {WRITTEN} }}'),
    ],
)  # fmt: skip
def test_a_line_keeps_all_but_its_sizes(line: str, expected: str) -> None:
    assert with_settings(line, NEW) == expected
    assert with_settings(expected, NEW) == expected


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        (("3.10", "3.11", "3.12", "3.13"), "3.12"),
        (("3.8", "3.9"), "3.9"),
        (("3.13", "3.14", "3.13t"), "3.13"),
    ],
)
def test_sizes_are_those_of_the_usual_python(pythons: tuple[str, ...], chosen: str) -> None:
    assert usual_python(pythons) == chosen


def test_only_what_brings_cuda_has_a_share_of_it() -> None:
    weight = Weight(size=2_600_000, installed=5_400_000, cuda_size=1_600_000, cuda_installed=2_000_000)
    whole = rows.build("x", "1", "cu12", cuda="12.8")
    assert settings(weight, whole) == {
        "size": 3_000_000,
        "installed": 5_000_000,
        "cuda_size": 2_000_000,
        "cuda_installed": 2_000_000,
    }
    system = rows.build("x", "1", "sys", cuda="12.8", provider=CudaProvider.SYSTEM)
    assert list(settings(weight, system)) == ["size", "installed"]


def test_rows_are_found_and_written_by_their_lines(tmp_path: Path) -> None:
    path = write_matrix(tmp_path / "matrices") / "frameworks" / "example.toml"
    before = path.read_text().split("\n")
    found = Rows(path)
    number, row = found.builds[1]
    assert (row.version.text, row.build) == ("1.9", "cpu")
    found.put(number, NEW)
    found.save()
    after = path.read_text().split("\n")
    changed = [place for place, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    assert changed == [number]
    assert WRITTEN in after[number]
    assert Rows(path).builds[1][1].installed == 5_000_000_000
