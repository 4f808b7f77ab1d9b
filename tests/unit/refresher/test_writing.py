"""From proposals to the text of files: the old rows, and the new ones."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudaforge.matrix import load_matrix
from cudaforge.matrix.compile import matrix_files
from cudaforge.matrix.load import matrix_from_directory
from cudaforge.matrix.sources import Strength
from cudaforge.records import replace, values_of
from cudaforge.refresher import Proposal, Tombstone
from cudaforge.refresher.writing import edit_file, write_overlay
from cudaforge.resources import find_resource

MATRICES = find_resource("matrices")
TODAY = "2027-02-03"


def read(file: str) -> str:
    return (MATRICES / file).read_text(encoding="utf-8")


def companion(version: str, *, package: str = "torchvision", **entry: object) -> Proposal:
    return Proposal(
        row=f"pytorch {package} {version}",
        file="companions.toml",
        table="companions",
        block={"framework": "pytorch", "package": package, "role": "companion"},
        entries=({"version": version, **entry},),
        strength=Strength.INDEX,
        basis="METADATA of torchvision",
    )


def cudnn(version: str, **entry: object) -> Proposal:
    return Proposal(
        row=f"cudnn {version}",
        file="cudnn.toml",
        table="cudnn",
        block={},
        entries=({"version": version, **entry},),
        strength=Strength.INDEX,
        basis="nvidia-cudnn-cu13",
    )


def cuda(version: str, **entry: object) -> Proposal:
    return Proposal(
        row=f"cuda {version}",
        file="cuda.toml",
        table="cuda",
        block={},
        entries=({"version": version, **entry},),
        strength=Strength.VENDOR,
        basis="redistrib.json",
    )


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    return (
        [line[2:] for line in lines if line.startswith("- ")],
        [line[2:] for line in lines if line.startswith("+ ")],
    )


@pytest.mark.parametrize("path", matrix_files(MATRICES), ids=lambda path: path.name)
def test_a_file_without_a_change_is_the_same_bytes(path):
    text = path.read_bytes().decode()
    edited = edit_file(path.relative_to(MATRICES).as_posix(), text, [], [], today=TODAY)
    assert (edited.text, edited.rows, edited.refused) == (text, (), ())


def test_a_companion_is_two_new_lines_its_row_and_its_source():
    before = read("companions.toml")
    proposal = companion("99.0.0", needs="==2.15.0", released="2027-01-01", pythons="3.12 3.13")
    edited = edit_file("companions.toml", before, [proposal], [], today=TODAY)
    gone, new = changed_lines(before, edited.text)
    assert gone == []
    assert new == [
        'index-2027-02-03 = { strength = "index", checked = "2027-02-03", text = "METADATA of torchvision" }',
        (
            '    { version = "99.0.0", needs = "==2.15.0", released = "2027-01-01", pythons = "3.12 3.13", '
            'source = "index-2027-02-03" },'
        ),
    ]


def test_two_rows_of_one_source_name_it_once_and_another_has_its_own_name():
    proposals = [companion(version, needs="==2.15.0") for version in ("99.0.0", "99.0.1")]
    other = companion("99.0.0", package="torchaudio", needs="==2.15.0")
    other = replace(other, basis="METADATA of torchaudio")
    edited = edit_file("companions.toml", read("companions.toml"), [*proposals, other], [], today=TODAY)
    assert edited.refused == ()
    assert set(edited.sources) == {"index-2027-02-03", "index-2027-02-03-b"}
    assert [row["source"] for _, row in edited.rows].count("index-2027-02-03") == 2


def test_a_row_that_cannot_be_read_is_refused_and_the_others_are_not():
    proposals = [companion("99.0.0"), companion("99.0.1", needs="==2.15.0")]
    edited = edit_file("companions.toml", read("companions.toml"), proposals, [], today=TODAY)
    assert edited.refused == (("pytorch torchvision 99.0.0", "needs is missing"),)
    assert [row["version"] for _, row in edited.rows] == ["99.0.1"]


def test_a_row_that_is_there_is_refused():
    known = load_matrix().companions("pytorch")
    version = str(next(row.version for row in known if row.package == "torchvision"))
    edited = edit_file(
        "companions.toml", read("companions.toml"), [companion(version, needs="==1.0")], [], today=TODAY
    )
    assert edited.rows == ()
    assert len(edited.refused) == 1


def test_a_cuda_of_a_known_minor_joins_it_and_one_of_a_new_minor_has_its_own_block():
    before = read("cuda.toml")
    proposals = [cuda("12.8.9", metapackage="cuda-toolkit==12.8.9"), cuda("12.99.0", released="2027-01-01")]
    edited = edit_file("cuda.toml", before, proposals, [], today=TODAY)
    rows = {row["version"]: row for _, row in edited.rows}
    assert rows["12.8.9"]["gcc"] == "14"
    assert "gcc" not in rows["12.99.0"]
    gone, new = changed_lines(before, edited.text)
    assert gone == []
    assert "[[cuda]]" in new


def test_a_cudnn_takes_away_what_its_neighbours_say():
    entry = {"packages": {"13": "nvidia-cudnn-cu13"}, "capability_min": {}, "capability_max": "", "cuda": ""}
    edited = edit_file("cudnn.toml", read("cudnn.toml"), [cudnn("8.0.9.9", **entry)], [], today=TODAY)
    ((_, row),) = edited.rows
    assert (row["capability_min"], row["packages"]) == ({}, {"13": "nvidia-cudnn-cu13"})
    assert not {"capability_max", "cuda"} & set(row)


def release(version: str, **entry: object) -> Proposal:
    return Proposal(
        row=f"cupy {version}",
        file="frameworks/cupy.toml",
        table="releases",
        block={"version": version, "released": "2027-01-01", "pythons": "3.12", "glibc": "2.17"},
        entries=(
            {"like": "wheels-13", "cubins": "9.0", **entry},
            {"like": "wheels-13", "cubins": "9.0", "platforms": "linux/arm64", **entry},
        ),
        strength=Strength.MEASURED,
        basis="the wheels of cupy",
    )


def test_a_release_is_a_block_of_its_own_in_order_of_version():
    before = read("frameworks/cupy.toml")
    edited = edit_file("frameworks/cupy.toml", before, [release("14.1.99")], [], today=TODAY)
    assert edited.refused == ()
    assert [(row["version"], row["platforms"]) for _, row in edited.rows] == [
        ("14.1.99", "linux/amd64"),
        ("14.1.99", "linux/arm64"),
    ]
    assert edited.rows[0][1]["requires"] == ["cupy-cuda13x[ctk]===14.1.99"]
    assert changed_lines(before, edited.text)[0] == []
    where = [edited.text.index(f'version = "{version}"') for version in ("14.1.1", "14.1.99", "14.2.0")]
    assert where == sorted(where)


def test_builds_of_a_release_that_is_there_join_it():
    before = read("frameworks/onnxruntime.toml")
    proposal = Proposal(
        row="onnxruntime 1.32.0",
        file="frameworks/onnxruntime.toml",
        table="releases",
        block={"version": "1.32.0"},
        entries=({"build": "cuda13", "like": "wheels-13", "cuda": ">=13.0,<14", "cudnn": ">=9.0,<10"},),
        strength=Strength.INDEX,
        basis="the wheels",
    )
    edited = edit_file("frameworks/onnxruntime.toml", before, [proposal], [], today=TODAY)
    ((_, row),) = edited.rows
    assert (row["version"], row["build"], row["glibc"]) == ("1.32.0", "cuda13", "2.28")
    assert len(changed_lines(before, edited.text)[1]) == 2


def stone(reference: str) -> Tombstone:
    return Tombstone(
        table="base_images", reference=reference, strength=Strength.INDEX, basis="tags of nvidia/cuda"
    )


def test_a_tag_that_is_gone_splits_its_row_from_those_that_are_there():
    before = read("base_images.toml")
    alive = next(
        row
        for row in load_matrix().cuda_images
        if row.removed is None and row.reference.endswith("-base-ubuntu22.04")
    )
    edited = edit_file("base_images.toml", before, [], [stone(alive.reference)], today=TODAY)
    assert edited.refused == ()
    ((subject, row),) = edited.rows
    assert (subject, row["reference"], row["removed"]) == ("base_images", alive.reference, TODAY)
    gone, new = changed_lines(before, edited.text)
    assert (len(gone), len(new)) == (1, 3)


def test_a_row_all_of_whose_tags_are_gone_is_marked_as_it_is():
    row = next(one for one in load_matrix().plain_images if one.reference.startswith("python:3.12"))
    edited = edit_file("base_images.toml", read("base_images.toml"), [], [stone(row.reference)], today=TODAY)
    ((_, marked),) = edited.rows
    assert (marked["reference"], marked["removed"]) == (row.reference, TODAY)


def test_a_tag_that_no_row_stands_for_is_refused():
    edited = edit_file(
        "base_images.toml", read("base_images.toml"), [], [stone("nvidia/cuda:x")], today=TODAY
    )
    assert edited.rows == ()
    assert edited.refused[0][0] == "nvidia/cuda:x"


VERSIONS = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40)).map(
    lambda parts: ".".join(map(str, parts))
)


SOME = ("companions.toml", "cuda.toml", "cudnn.toml", "frameworks/cupy.toml")


@given(
    companions=st.lists(VERSIONS, max_size=3, unique=True),
    toolkits=st.lists(VERSIONS, max_size=3, unique=True),
    libraries=st.lists(VERSIONS, max_size=3, unique=True),
    releases=st.lists(VERSIONS, max_size=2, unique=True),
)
@settings(max_examples=15, deadline=None)
def test_written_and_compiled_are_the_old_rows_and_the_new(
    tmp_path_factory, companions, toolkits, libraries, releases
):
    directory = tmp_path_factory.mktemp("matrices")
    (directory / "frameworks").mkdir()
    proposals = [
        *(companion(version, needs="==2.15.0") for version in companions),
        *(cuda(version) for version in toolkits),
        *(cudnn(version, capability_min={"13": "7.5"}) for version in libraries),
        *(release(version) for version in releases),
    ]
    for file in SOME:
        (directory / file).write_text(read(file), encoding="utf-8")
    before = rows(directory)
    new = {}
    for file in SOME:
        text = read(file)
        edited = edit_file(file, text, [one for one in proposals if one.file == file], [], today=TODAY)
        assert changed_lines(text, edited.text)[0] == []
        (directory / file).write_text(edited.text, encoding="utf-8")
        new[file] = len(edited.rows)
        # What is refused is there already, by the same number.
        assert all(
            "stands here twice" in why or "no row" in why or "others" in why for _, why in edited.refused
        )
    after = rows(directory)
    assert all(row in after for row in before)
    assert len(after) == len(before) + sum(new.values())


def rows(directory) -> list[object]:
    matrix = matrix_from_directory(directory)
    subjects = (matrix.cuda_releases, matrix.cudnn_releases, matrix._rows.companions("pytorch"))
    return [values_of(row) for subject in (*subjects, matrix._rows.builds("cupy")) for row in subject]


def test_an_overlay_has_the_rows_whole_and_is_read_as_one(tmp_path):
    proposals = [cuda("12.8.9", metapackage="cuda-toolkit==12.8.9")]
    edited = edit_file("cuda.toml", read("cuda.toml"), proposals, [], today=TODAY)
    path = tmp_path / "facts.toml"
    path.write_text(write_overlay(None, edited), encoding="utf-8")
    (row,) = [one for one in load_matrix(overlays=[path]).cuda_releases if str(one.version) == "12.8.9"]
    assert (str(row.gcc), row.source.file, row.source.checked) == ("14", "facts.toml", TODAY)


def test_an_overlay_that_is_there_grows_and_keeps_what_it_has(tmp_path):
    ours = (
        "# ours\nschema = 1\n\n[sources]\n"
        'ours = { strength = "vendor", checked = "2026-01-01", text = "x" }\n\n'
        '[[drivers]]\nbranch = 999\ncuda = "13.5"\nsource = "ours"\n'
    )
    edited = edit_file(
        "companions.toml", read("companions.toml"), [companion("99.0.0", needs="==2.15.0")], [], today=TODAY
    )
    text = write_overlay(ours, edited)
    assert changed_lines(ours, text)[0] == []
    assert write_overlay(text, edited) == text
    path = tmp_path / "facts.toml"
    path.write_text(text, encoding="utf-8")
    matrix = load_matrix(overlays=[path])
    assert any(row.branch == 999 for row in matrix.driver_branches)
    assert any(str(row.version) == "99.0.0" for row in matrix.companions("pytorch"))


def test_releases_of_a_framework_are_an_overlay_of_that_framework(tmp_path):
    edited = edit_file(
        "frameworks/cupy.toml", read("frameworks/cupy.toml"), [release("99.0.0")], [], today=TODAY
    )
    path = tmp_path / "facts.toml"
    path.write_text(write_overlay(None, edited), encoding="utf-8")
    found = [row for row in load_matrix(overlays=[path]).builds("cupy") if str(row.version) == "99.0.0"]
    assert [row.platforms for row in found] == [("linux/amd64",), ("linux/arm64",)]


def test_a_removed_tag_in_an_overlay_is_its_whole_row(tmp_path):
    row = next(one for one in load_matrix().plain_images if one.reference.startswith("python:3.12"))
    edited = edit_file("base_images.toml", read("base_images.toml"), [], [stone(row.reference)], today=TODAY)
    path = tmp_path / "facts.toml"
    path.write_text(write_overlay(None, edited), encoding="utf-8")
    (found,) = [one for one in load_matrix(overlays=[path]).plain_images if one.reference == row.reference]
    assert (found.removed, found.python, found.platforms) == (TODAY, row.python, row.platforms)
