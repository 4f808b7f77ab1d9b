"""The matrix against what the package index answered when tools/record_index.py asked it last."""

import json
from pathlib import Path

import pytest

from cudaforge.matrix import load_matrix
from tests.support import answers

RECORDED = Path(__file__).parents[2] / "recorded" / "index"
LISTINGS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(RECORDED.glob("*.json"))
    if path.stem not in ("torch-libraries", "cuda-toolkit")
}
PINS = json.loads((RECORDED / "torch-libraries.json").read_text(encoding="utf-8"))
TOOLKITS = json.loads((RECORDED / "cuda-toolkit.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def matrix():
    return load_matrix()


@pytest.mark.parametrize("package", answers.OLDEST)
def test_every_release_has_its_row(matrix, package):
    assert answers.missing(matrix, package, LISTINGS[package]) == []


@pytest.mark.parametrize("package", answers.OLDEST)
def test_platforms_and_pythons_are_those_of_the_wheels(matrix, package):
    assert list(answers.wrong_pythons(matrix, package, LISTINGS)) == []


def test_days_of_release_are_those_of_the_index(matrix):
    """Wheels appear within days of a release, most of them on its own day."""
    listed = LISTINGS["torch"]
    wrong = [
        f"{row.version}: {row.released}, {listed[row.version.text]['uploaded']} on the index"
        for row in matrix.builds("torch")
        if row.released is None or abs(days(row.released) - days(listed[row.version.text]["uploaded"])) > 31
    ]
    assert wrong == []


def days(date: str) -> int:
    year, month, day = (int(part) for part in date.split("-"))
    return year * 365 + month * 31 + day


def test_default_builds_of_torch_bring_what_their_metadata_pins(matrix):
    recorded = {version for version in LISTINGS["torch"] if not version.startswith("1.")}
    assert set(PINS) == recorded
    assert list(answers.wrong_libraries(matrix, PINS, TOOLKITS)) == []


def test_the_comparison_sees_each_kind_of_difference(matrix):
    old, new = (json.loads(json.dumps({version: PINS[version]})) for version in ("2.8.0", "2.15.0"))
    assert not list(answers.wrong_libraries(matrix, {**old, **new}, TOOLKITS))
    for pins, version, before, after in [
        (old, "2.8.0", "nvidia-cudnn-cu12==9.10.2.21", "nvidia-cudnn-cu12==9.10.1.4"),
        (old, "2.8.0", "nvidia-nccl-cu12==2.27.3", "nvidia-nccl-cu12==2.27.5"),
        (old, "2.8.0", "nvidia-cuda-runtime-cu12==12.8.90", "nvidia-cuda-runtime-cu12==12.8.57"),
        (new, "2.15.0", "==13.2.2", "==13.2.1"),
    ]:
        texts = [text.replace(before, after) for text in pins[version]["linux/amd64"]]
        assert texts != pins[version]["linux/amd64"]
        changed = {version: {"linux/amd64": texts}}
        assert len(list(answers.wrong_libraries(matrix, changed, TOOLKITS))) == 1, after
    assert answers.missing(matrix, "torch", {"9.9.9": {"yanked": False}}) == ["9.9.9"]
    assert answers.missing(matrix, "torch", {"9.9.9": {"yanked": True}}) == []
