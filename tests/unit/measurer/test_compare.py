"""What was measured next to the rows: agreeing takes having been read."""

import random
from pathlib import Path

import pytest

from cudaforge.matrix import Matrix, load_matrix
from cudaforge.matrix.overlay import read_overlay
from cudaforge.measurer import Limits, LocalFile, Measured, measure_wheel
from cudaforge.measurer.compare import Agreement, compare, find_builds
from cudaforge.measurer.propose import propose_row
from tests.support.artefacts import TORCH_REQUIRES, fat_binary, library, make_wheel, torch_files

AGREES, DIFFERS, NOT_READ = Agreement.AGREES, Agreement.DIFFERS, Agreement.NOT_READ


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return load_matrix()


def overlaid(tmp_path: Path, *rows: str) -> Matrix:
    """A made-up framework with these builds."""
    path = tmp_path / "facts.toml"
    path.write_text(
        "schema = 1\n"
        '[sources]\nours = { strength = "measured", checked = "2026-11-27", text = "made for a test" }\n'
        '[framework]\nname = "tiny"\ntitle = "Tiny"\nfacts_only = true\nsource = "ours"\n'
        '[defaults]\nplatforms = "linux/amd64"\nindex = "default"\npythons = "3.12"\nglibc = "2.17"\n'
        'reported = "{version}"\nrequires = ["tiny==={version}"]\nsource = "ours"\n'
        f'[[releases]]\nversion = "1.0"\nbuilds = [{", ".join(rows)}]\n'
    )
    return load_matrix(overlays=[path])


def tiny(tmp_path: Path, **changes: object) -> Measured:
    options: dict[str, object] = {
        "files": {
            "tiny/a.so": library(
                needed=["libcudart.so.12"], glibc=["2.17"], code=[fat_binary(cubins=(80, 90), ptx=(90,))]
            )
        },
        "requires": ["nvidia-cuda-runtime-cu12==12.4.127", "nvidia-cudnn-cu12==9.1.0.70"],
        "tag": "cp312-cp312-manylinux_2_17_x86_64",
        **changes,
    }
    path = make_wheel(tmp_path, "tiny", "1.0", options.pop("files"), **options)
    return measure_wheel(LocalFile(path), path.name)


def told(matrix: Matrix, measured: Measured) -> dict[str, Agreement]:
    (row,) = find_builds(matrix, measured)
    return {one.field: one.agreement for one in compare(matrix, measured, row).fields}


CUDA = 'build = "cuda12", provider = "wheels"'
RIGHT = f'{CUDA}, cuda = "12.4.1", cudnn = "9.1.0.70", cubins = "8.0 9.0", ptx = "9.0"'


def test_a_row_that_is_right_agrees_in_every_field(tmp_path: Path) -> None:
    found = told(overlaid(tmp_path, f"{{ {RIGHT} }}"), tiny(tmp_path))
    assert set(found) == {"platforms", "pythons", "glibc", "cuda", "cudnn", "cubins", "ptx"}
    assert set(found.values()) == {AGREES}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ('cuda = "12.4.1"|cuda = "12.6.3"', "cuda"),
        ('cuda = "12.4.1"|cuda = ">=12.3,<13"', "cuda"),
        ('cuda = "12.4.1"|cuda = ">=13.0,<14"', "cuda"),
        ('cudnn = "9.1.0.70"|cudnn = "9.10.2.21"', "cudnn"),
        ('cubins = "8.0 9.0"|cubins = "8.0"', "cubins"),
        ('cubins = "8.0 9.0"|cubins = "7.0 8.0 9.0"', "cubins"),
        (', ptx = "9.0"|', "ptx"),
        ('build = "cuda12"|build = "cuda12", glibc = "2.14"', "glibc"),
        ('build = "cuda12"|build = "cuda12", glibc = "2.28"', "glibc"),
        ('build = "cuda12"|build = "cuda12", pythons = "3.11"', "pythons"),
    ],
)
def test_a_row_that_is_wrong_differs_in_that_field_alone(tmp_path: Path, change: str, field: str) -> None:
    old, _, new = change.partition("|")
    assert old in RIGHT
    found = told(overlaid(tmp_path, f"{{ {RIGHT.replace(old, new)} }}"), tiny(tmp_path))
    assert [name for name, agreement in found.items() if agreement is DIFFERS] == [field]


def test_a_range_agrees_that_lies_within_what_the_wheel_asks_for(tmp_path: Path) -> None:
    row = f'{{ {CUDA}, cuda = ">=12.6.3,<13", cudnn = ">=9.8,<10", cubins = "8.0 9.0", ptx = "9.0" }}'
    requires = ["nvidia-cuda-runtime-cu12>=12.4.1", "nvidia-cudnn-cu12>=9.8,<10"]
    found = told(overlaid(tmp_path, row), tiny(tmp_path, requires=requires))
    assert (found["cuda"], found["cudnn"]) == (AGREES, AGREES)


def test_what_could_not_be_read_never_agrees(tmp_path: Path) -> None:
    matrix = overlaid(tmp_path, f"{{ {RIGHT} }}")
    path = make_wheel(
        tmp_path,
        "tiny",
        "1.0",
        {"tiny/a.so": library(glibc=["2.17"]), "tiny/b.so": library() + random.Random(7).randbytes(9000)},
        tag="cp312-cp312-manylinux_2_17_x86_64",
    )
    found = measure_wheel(LocalFile(path), path.name, limits=Limits(member=9000))
    assert [name for name, _ in found.skipped] == ["tiny/b.so"]
    agreements = told(matrix, found)
    assert [agreements[field] for field in ("cuda", "cudnn", "cubins", "ptx")] == [NOT_READ] * 4
    assert agreements["glibc"] is Agreement.SO_FAR
    low = make_wheel(tmp_path / "low", "tiny", "1.0", {"tiny/a.so": b""}, tag="cp312-cp312-linux_x86_64")
    assert told(matrix, measure_wheel(LocalFile(low), low.name))["glibc"] is NOT_READ


def test_the_tag_may_ask_for_a_newer_glibc_than_the_libraries(tmp_path: Path) -> None:
    for glibc, agreement in (("2.17", AGREES), ("2.28", AGREES), ("2.20", DIFFERS)):
        matrix = overlaid(tmp_path, f'{{ {RIGHT}, glibc = "{glibc}" }}')
        found = tiny(tmp_path, tag="cp312-cp312-manylinux_2_28_x86_64")
        assert told(matrix, found)["glibc"] is agreement


def test_a_cpu_row_agrees_with_a_wheel_without_cuda(tmp_path: Path) -> None:
    matrix = overlaid(tmp_path, '{ build = "cpu", provider = "none" }')
    found = tiny(tmp_path, files={"tiny/a.so": library(glibc=["2.17"])}, requires=[])
    assert told(matrix, found)["cuda"] is AGREES
    cuda = overlaid(tmp_path, f"{{ {RIGHT} }}")
    assert told(cuda, found)["cuda"] is DIFFERS


def test_where_kernels_are_compiled_at_run_time_the_toolkit_limits_the_window(tmp_path: Path) -> None:
    files = {"tiny/a.so": library(glibc=["2.17"], code=[fat_binary(cubins=(80, 90, 120), ptx=(120,))])}
    row = f'{{ {CUDA}, compiler = "toolkit", cuda = ">=12.0,<12.2", cubins = "8.0 9.0" }}'
    requires = ["nvidia-cuda-runtime-cu12~=12.0"]
    found = told(overlaid(tmp_path, row), tiny(tmp_path, files=files, requires=requires))
    assert (found["cubins"], found["ptx"]) == (AGREES, AGREES)
    matrix = overlaid(tmp_path, row)
    measured = tiny(tmp_path, files=files, requires=requires)
    (build,) = find_builds(matrix, measured)
    shown = {one.field: (one.measured, one.row) for one in compare(matrix, measured, build).fields}
    # What the toolkit of the row does not know is said to be left out, and why.
    assert shown["cubins"] == ("8.0 9.0; not compared: 12.0, which its CUDA does not know", "8.0 9.0")
    assert shown["ptx"] == ("none; not compared: 12.0, which its CUDA does not know", "none")


def test_a_wheel_belongs_to_the_row_of_the_build_that_it_names(matrix: Matrix, tmp_path: Path) -> None:
    def builds(version: str, reported: str) -> list[tuple[str, str]]:
        path = make_wheel(tmp_path, "torch", version, torch_files(version=reported))
        found = find_builds(matrix, measure_wheel(LocalFile(path), path.name))
        return [(row.build, row.index) for row in found]

    assert builds("2.8.0", "2.8.0+cu128") == [("cu128", "default")]
    assert builds("2.8.0+cu126", "2.8.0+cu126") == [("cu126", "pytorch-cu126")]
    assert builds("2.8.0", "2.8.0") == [("cu128", "default")]
    # A label that no row has: the build of the index itself, so that the difference is told.
    assert builds("2.8.0", "2.8.0+cu999") == [("cu128", "default")]
    assert builds("2.8.0+cu999", "2.8.0+cu999") == []
    assert builds("99.0", "99.0+cu128") == []


def test_one_wheel_of_several_says_nothing_of_what_the_others_bring(matrix: Matrix, tmp_path: Path) -> None:
    tag = "cp312-cp312-manylinux_2_27_x86_64"
    path = make_wheel(tmp_path, "jaxlib", "0.8.0", {"jaxlib/a.so": library(glibc=["2.17"])}, tag=tag)
    found = measure_wheel(LocalFile(path), path.name)
    rows = find_builds(matrix, found)
    assert {row.build for row in rows} == {"cpu", "cuda12", "cuda13"}
    for row in rows:
        compared = compare(matrix, found, row)
        assert not compared.differences
        assert ("cuda" in {one.field for one in compared.fields}) == (row.build == "cpu")


def test_the_proposal_is_a_row_that_agrees_with_the_wheel(matrix: Matrix, tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "torch", "99.1", torch_files(version="99.1+cu128"), requires=TORCH_REQUIRES)
    found = measure_wheel(LocalFile(path), path.name)
    text = propose_row(matrix, found, today="2026-11-28")
    overlay = tmp_path / "facts.toml"
    overlay.write_text(text)
    assert read_overlay(overlay).rows
    extended = load_matrix(overlays=[overlay])
    (row,) = find_builds(extended, found)
    assert (row.framework, row.build, row.source.strength.value) == ("pytorch", "cu128", "measured")
    assert row.source.checked == "2026-11-28"
    assert {one.agreement for one in compare(extended, found, row).fields} == {AGREES}
    assert "Not read" not in text


def test_a_proposal_for_what_nobody_knows_names_what_is_missing(matrix: Matrix, tmp_path: Path) -> None:
    requires = ["nvidia-cuda-runtime-cu12>=12.4.1"]
    tag = "py3-none-manylinux_2_17_x86_64"
    path = make_wheel(tmp_path, "nobody-knows", "3", {"x.py": ""}, requires=requires, tag=tag)
    text = propose_row(matrix, measure_wheel(LocalFile(path), path.name), today="2026-11-28")
    assert text.startswith("# Not read, and left out: pythons, cudnn, cubins.\n")
    overlay = tmp_path / "facts.toml"
    overlay.write_text(text)
    (build,) = load_matrix(overlays=[overlay]).builds("nobody-knows")
    assert (str(build.cuda), build.cubins, str(build.glibc)) == (">=12.4,<13", None, "2.17")
