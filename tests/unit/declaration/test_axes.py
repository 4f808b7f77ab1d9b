"""Matrices: points, their names, what is left out and added."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudaforge.declaration import declaration_from_words
from cudaforge.declaration.model import OnConflict
from cudaforge.versions import VersionWish
from tests.unit.declaration.support import load, only, places, problems

HEAD = '[images.train]\nframework = "pytorch"\ncuda = "11"\n[images.train.matrix]\n'


def names(root: Path, matrix: str, head: str = HEAD) -> list[str]:
    return [image.name for image in load(root, head + matrix).images]


def test_the_matrix_of_the_design(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        HEAD + 'python = ["3.11", "3.12"]\ncuda = ["12.6", "12.8"]\n'
        'exclude = [{ python = "3.12", cuda = "12.6" }]\ninclude = [{ cuda = "12.8", python = "3.13" }]\n',
    )
    assert [image.name for image in loaded.images] == [
        "train-py311-cu126",
        "train-py311-cu128",
        "train-py312-cu128",
        "train-py313-cu128",
    ]
    last = loaded.images[-1]
    assert last.axes == (("python", "3.13"), ("cuda", "12.8"))
    assert (last.wishes.python, last.wishes.cuda) == (VersionWish("3.13"), VersionWish("12.8"))
    assert (last.image, last.key) == ("train", "images.train")
    assert last.on_conflict is OnConflict.SKIP


def test_on_conflict_that_is_written_holds(tmp_path: Path) -> None:
    head = HEAD.replace("cuda", 'on_conflict = "error"\ncuda', 1)
    assert load(tmp_path, head + 'python = ["3.11"]').images[0].on_conflict is OnConflict.ERROR


NAMES = [
    ('python = ["3.13.1"]', ["train-py3131"]),
    ('cuda = ["none", "12.8.1"]', ["train-cpu", "train-cu1281"]),
    ('cudnn = ["9.10"]', ["train-cudnn910"]),
    (
        'framework = ["pytorch==2.8.*", "jax", "pytorch>=2.6,<2.9"]',
        ["train-pytorch28", "train-jax", "train-pytorchge26lt29"],
    ),
    ('framework = [["pytorch==2.8.0+cu128", "jax"]]', ["train-pytorch280cu128-jax"]),
    ('os = ["ubuntu22.04"]\nflavor = ["devel"]', ["train-ubuntu2204-devel"]),
    ('gpus = ["RTX 4090", ["H100", "sm_120"]]', ["train-rtx4090", "train-h100-sm-120"]),
    ('driver = ["570.86"]\nbuild = ["cu128"]', ["train-drv57086-cu128"]),
    ('platforms = ["linux/amd64", "linux/arm64"]', ["train-amd64", "train-arm64"]),
    (
        'platforms = ["linux/arm64", ["linux/arm64", "linux/amd64"]]',
        ["train-arm64", "train-amd64-arm64"],
    ),
    ('base = ["nvidia/cuda:12.8.1-base-ubuntu22.04"]', ["train-nvidia-cuda-1281-base-ubuntu2204"]),
    ('prefer = ["newest"]\nrequire_cuda = ["off"]\ntoolkit = ["13.3"]', ["train-newest-off-tk133"]),
    ('cuda = [">=12.4", "~=12.4"]', ["train-cuge124", "train-cuis124"]),
]


@pytest.mark.parametrize(("matrix", "expected"), NAMES)
def test_names(tmp_path: Path, matrix: str, expected: list[str]) -> None:
    assert names(tmp_path, matrix) == expected


def test_long_names_are_cut_and_stay_different(tmp_path: Path) -> None:
    bases = [f"registry.example/{'a' * 90}:{tag}" for tag in ("x", "y")]
    found = names(tmp_path, f"base = {bases}".replace("'", '"'))
    assert len(set(found)) == 2
    assert all(len(name) <= 100 for name in found)


MISTAKES = [
    ("python = []", 5, "images.train.matrix.python", "the axis has no value"),
    ('python = "3.11"', 5, "images.train.matrix.python", "a string where a list"),
    ('python = ["3.11", "3.11"]', 5, "images.train.matrix.python[1]", "same value as number 1"),
    ('python = ["3.11",\n 3.10]', 6, "images.train.matrix.python[1]", "a number where a string"),
    ('pyton = ["3.11"]', 5, "images.train.matrix.pyton", "unknown key 'pyton'"),
    ('apt = [["git"]]', 5, "images.train.matrix.apt", "unknown key 'apt'"),
    ("", 4, "images.train.matrix", "the matrix has no axis"),
    ('python = ["3.11"]\nexclude = [{ python = "3.11" }]', 4, "images.train.matrix", "every point"),
    (
        'python = ["3.11"]\nexclude = [{ python = "3.12" }]',
        6,
        "images.train.matrix.exclude[0].python",
        "no value",
    ),
    ('python = ["3.11"]\nexclude = [{ cuda = "12" }]', 6, "images.train.matrix.exclude[0].cuda", "no axis"),
    ('python = ["3.11"]\nexclude = [{}]', 6, "images.train.matrix.exclude[0]", "no table of axis values"),
    (
        'python = ["3.11"]\nexclude = { python = "3.11" }',
        6,
        "images.train.matrix.exclude",
        "a table where a list",
    ),
    (
        'python = ["3.11"]\ninclude = [{ cuda = "12" }]',
        6,
        "images.train.matrix.include[0]",
        "missing: python",
    ),
    (
        'python = ["3.11"]\ninclude = [{ python = 3.12 }]',
        6,
        "images.train.matrix.include[0].python",
        "a number",
    ),
    ('platforms = ["linux/s390x"]', 5, "images.train.matrix.platforms[0][0]", "not supported yet"),
]


@pytest.mark.parametrize(("matrix", "line", "key", "what"), MISTAKES)
def test_mistakes(tmp_path: Path, matrix: str, line: int, key: str, what: str) -> None:
    found = problems(tmp_path, HEAD + matrix + "\n")
    assert what in only(found).what
    assert places(found) == [(line, key)]


def test_an_included_point_that_is_there_already(tmp_path: Path) -> None:
    found = problems(tmp_path, HEAD + 'python = ["3.11"]\ninclude = [{ python = "3.11" }]\n')
    assert "(python = 3.11) and images.train (python = 3.11) are both named 'train-py311'" in only(found).what


def test_points_and_images_share_one_space_of_names(tmp_path: Path) -> None:
    found = problems(tmp_path, HEAD + 'python = ["3.11"]\n[images.train-py311]\nframework = "jax"\n')
    assert "are both named 'train-py311'" in only(found).what


def test_one_tag_on_several_points(tmp_path: Path) -> None:
    head = HEAD.replace("cuda", 'tags = ["latest"]\ncuda', 1)
    found = problems(tmp_path, head + 'python = ["3.11", "3.12", "3.13"]\n')
    assert only(found).what == "images 'train-py311' and 'train-py312' would both be tagged 'latest'"


def test_a_framework_may_come_from_an_axis_alone(tmp_path: Path) -> None:
    head = "[images.train]\n[images.train.matrix]\n"
    assert names(tmp_path, 'framework = ["jax", "pytorch"]', head) == ["train-jax", "train-pytorch"]
    assert "names no framework" in only(problems(tmp_path, head + 'python = ["3.11"]')).what


def test_126000_points_are_counted_and_listed(tmp_path: Path) -> None:
    axes = {"python": 60, "cuda": 35, "cudnn": 60}
    text = "\n".join(f"{axis} = {[f'{9}.{n}' for n in range(count)]}" for axis, count in axes.items())
    started = time.process_time()
    assert len(load(tmp_path, HEAD + text).images) == 126_000
    assert time.process_time() - started < 20
    more = HEAD + text + f"\ndriver = {[f'570.{n}' for n in range(60)]}"
    assert "7560000 points" in only(problems(tmp_path, more)).what


VERSIONS = st.from_regex(r"[1-9][0-9]?(\.[0-9]{1,2}){0,2}", fullmatch=True)


@given(
    st.lists(VERSIONS, min_size=1, max_size=4, unique=True),
    st.lists(VERSIONS, min_size=1, max_size=4, unique=True),
)
@settings(max_examples=60, deadline=None)
def test_names_are_safe_and_different(
    tmp_path_factory: pytest.TempPathFactory, one: list[str], two: list[str]
) -> None:
    root = tmp_path_factory.mktemp("axes")
    if len({text.replace(".", "") for text in one}) < len(one) or len(
        {text.replace(".", "") for text in two}
    ) < len(two):
        # "1.10" and "11.0" are both written cu110: refused, naming both.
        found_problems = problems(root, HEAD + f"python = {one}\ncuda = {two}\n")
        assert all("both named" in problem.what for problem in found_problems)
        return
    found = names(root, f"python = {one}\ncuda = {two}\n")
    assert len({name.lower() for name in found}) == len(one) * len(two)
    assert all(name.replace("-", "").isalnum() and name.isascii() for name in found)


def test_words_and_files_mean_the_same(tmp_path: Path) -> None:
    text = '[images.adhoc]\nframework = "pytorch==2.8.*"\ncuda = "12.8"\ngpus = ["RTX 5090"]\n'
    words = declaration_from_words(["pytorch==2.8.*", "cuda==12.8", "gpu=RTX 5090"], root=tmp_path)
    assert load(tmp_path, text).images[0].wishes == words.images[0].wishes
