import json

import pytest

from cudaforge.matrix.compile import compile_matrix
from cudaforge.matrix.findings import FactsError
from cudaforge.matrix.load import matrix_from_directory
from cudaforge.matrix.model import CudaProvider
from cudaforge.matrix.sources import Strength
from cudaforge.versions import Version, VersionWish
from tests.unit.matrix.samples import write_matrix


def test_rows_arrive_as_written(tmp_path):
    matrix = matrix_from_directory(write_matrix(tmp_path))
    builds = matrix.builds("ex")
    assert [(str(build.version), build.build) for build in builds] == [
        ("1.9", "cpu"),
        ("1.9", "cu126"),
        ("1.10", "cpu"),
        ("1.10", "cu126"),
    ]
    cpu, gpu = builds[0], builds[1]
    assert (gpu.framework, gpu.provider, gpu.index) == ("example", CudaProvider.WHEELS, "example-cu126")
    assert (gpu.requires, gpu.reported) == (("example===1.9+cu126",), "1.9+cu126")
    assert (gpu.cuda, gpu.cudnn) == (VersionWish("12.6"), VersionWish(">=9.1,<10"))
    assert (gpu.cubins, gpu.ptx) == ((Version("8.0"), Version("9.0")), (Version("9.0"),))
    assert gpu.pythons == ("3.11", "3.12")
    assert (cpu.provider, cpu.cuda, cpu.cubins, cpu.ptx) == (CudaProvider.NONE, None, None, ())
    assert cpu.requires == ("example===1.9", "examplelib===1.8")
    assert builds[2].requires == ("example===1.10", "examplelib===1.10")
    assert builds[2].platforms == ("linux/amd64", "linux/arm64")
    assert builds[2].pythons == ("3.12", "3.13t")


def test_every_row_carries_its_source(tmp_path):
    matrix = matrix_from_directory(write_matrix(tmp_path))
    first, second, third = matrix.cuda_releases
    assert (first.source.id, first.source.file, first.source.strength) == (
        "seen",
        "cuda.toml",
        Strength.MEASURED,
    )
    assert (third.source.text, third.source.checked) == ("recalled", "2026-01-30")
    assert second.driver is None
    assert second.minor_driver == Version("525.60.13")
    assert matrix.builds("example")[0].source.file == "frameworks/example.toml"


def test_other_subjects(tmp_path):
    matrix = matrix_from_directory(write_matrix(tmp_path))
    assert [str(release.version) for release in matrix.cudnn_releases] == [
        "9.1.0.70",
        "9.10.2.21",
        "9.11.0.98",
    ]
    assert matrix.cudnn_releases[0].capability_min == {"12": Version("5.0")}
    assert matrix.systems["debian12"].library_packages == ("ca-certificates", "libgomp1")
    assert matrix.systems["ubuntu24.04"].user == "ubuntu"
    assert [branch.branch for branch in matrix.driver_branches] == [560, 1000]
    assert matrix.indexes["spare"].url == "https://wheels.example/spare"
    assert matrix.broken[0].when == {"framework": "example", "version": "<1.10", "provider": "wheels"}
    assert matrix.find_gpus("H2 NVL")[0].name == "Maker H2"
    gone = next(image for image in matrix.base_images if image.removed)
    assert (gone.reference, gone.replaced_by) == (
        "vendor/cuda:12.6.0-base-debian12",
        "vendor/cuda:12.6.3-base-debian12",
    )
    assert [image.reference for image in matrix.base_images if image.os == "ubuntu24.04"] == [
        "vendor/cuda:12.6.3-base-ubuntu24.04"
    ]
    assert len(matrix.base_images) == 5


def test_the_revision_follows_the_facts_and_not_the_formatting(tmp_path):
    first = matrix_from_directory(write_matrix(tmp_path / "a"))
    spaced = matrix_from_directory(write_matrix(tmp_path / "b", cuda=("[[cuda]]", "\n# a comment\n[[cuda]]")))
    changed = matrix_from_directory(write_matrix(tmp_path / "c", cuda=("560.28.03", "560.28.04")))
    assert first.revision == spaced.revision
    assert first.revision != changed.revision
    assert first.as_of == "2026-01-31"


def test_only_what_is_asked_for_is_parsed(tmp_path, monkeypatch):
    content = compile_matrix(write_matrix(tmp_path))
    head = json.loads(content.split(b"\n")[0])
    assert "builds/example" in head["sections"]
    from cudaforge.matrix import load

    parsed = []
    real = json.loads
    monkeypatch.setattr(load.json, "loads", lambda text: parsed.append(text) or real(text))
    matrix = load.Matrix(load.CompiledRows(content))
    assert len(parsed) == 1
    assert matrix.indexes
    assert matrix.indexes
    assert len(parsed) == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cuda": ('"560.28.03"', '"560,28"')}, "cuda.toml, 12.6.0: driver: '560,28' is not a version"),
        ({"cuda": ('driver = "560.28.03"', "driver = 560.28")}, "cuda.toml, 12.6.0: driver must be a text"),
        ({"cuda": ('source = "seen"', 'source = "sean"')}, "cuda.toml, 12.6.0: source 'sean' is not among"),
        ({"cuda": ('"8.0 9.0"', '"8.0 nine"')}, "capabilities: 'nine' is not a version"),
        (
            {"cuda": ('"measured"', '"certain"')},
            "sources.seen: strength is 'certain': one of measured, index",
        ),
        ({"drivers": ("branch = 560", 'branch = "560"')}, "drivers.toml, 560: branch must be a whole number"),
        ({"example": ('"12.6"', '"about 12"')}, "example 1.9 cu126 linux/amd64: cuda: 'about 12' is neither"),
        (
            {"example": ('provider = "wheels"', 'provider = "air"')},
            "provider is 'air': one of wheels, system, none",
        ),
        ({"example": ('glibc = "2.17"', "")}, "glibc is missing"),
        ({"gpus": ('"datacenter"', '"desk"')}, "kind is 'desk': one of datacenter"),
        (
            {"base_images": ('flavor = "base"', 'flavor = "tiny"')},
            "flavor is 'tiny': one of base, runtime, devel",
        ),
        ({"cudnn": ('{ 12 = "5.0" }', "{ 12 = 5 }")}, "capability_min must be a table of texts"),
        ({"broken": ('version = "<1.10"', 'versoin = "<1.10"')}, "when.versoin: one of framework"),
        ({"broken": ('version = "<1.10"', 'version = "old"')}, "when.version: 'old' is neither"),
        ({"os": ('"python3"', "3")}, "python_packages must be a list of texts"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path, changes, expected):
    with pytest.raises(FactsError) as caught:
        compile_matrix(write_matrix(tmp_path, **changes))
    assert expected in str(caught.value)


def test_a_file_that_is_not_toml_is_named(tmp_path):
    write_matrix(tmp_path)
    (tmp_path / "cuda.toml").write_bytes(b"\xff")
    with pytest.raises(FactsError, match=r"cuda\.toml: "):
        compile_matrix(tmp_path)
    (tmp_path / "cuda.toml").write_text("schema = ", encoding="utf-8")
    with pytest.raises(FactsError, match=r"cuda\.toml: "):
        compile_matrix(tmp_path)


def test_all_mistakes_are_reported_at_once(tmp_path):
    write_matrix(tmp_path, cuda=('"560.28.03"', '"x"'), gpus=('"datacenter"', '"desk"'))
    with pytest.raises(FactsError) as caught:
        compile_matrix(tmp_path)
    assert {finding.file for finding in caught.value.findings} == {"cuda.toml", "gpus.toml"}
