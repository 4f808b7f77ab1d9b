import pytest

from cudaforge.matrix.check import check_matrix
from tests.unit.matrix.samples import write_matrix


def found(directory, **options):
    return [str(finding) for finding in check_matrix(directory, **options)]


def test_a_consistent_matrix_has_no_findings(tmp_path):
    assert found(write_matrix(tmp_path)) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"cuda": ('source = "guess"', 'source = "gone"')},
            "cuda.toml, 13.0.0: source 'gone' is not among the file's [sources]",
        ),
        ({"cuda": ('source = "guess"', 'source = "seen"')}, "cuda.toml, sources.guess: no row names it"),
        ({"cuda": ('"measured"', '"sure"')}, "sources.seen: strength is 'sure'"),
        (
            {"cuda": ('checked = "2026-01-31"', 'checked = "January"')},
            "cuda.toml, sources.seen: checked is 'January'",
        ),
        ({"cuda": ('version = "13.0.0"', 'version = "12.6.3"')}, "cuda.toml, 12.6.3: stands here twice"),
        (
            {"cuda": ('version = "13.0.0"', 'version = "9.0"')},
            "cuda.toml, 9.0: stands after 12.6.3: rows are sorted by version",
        ),
        ({"drivers": ("branch = 1000", "branch = 99")}, "drivers.toml, 99: stands after 560"),
        (
            {"example": ('version = "1.10"', 'version = "1.8"')},
            "example 1.8 cu126 linux/amd64: stands after 1.9",
        ),
        (
            {"example": ('platforms = "linux/amd64 linux/arm64"', 'platforms = "linux/riscv"')},
            "platforms: linux/riscv is not one of linux/amd64, linux/arm64",
        ),
        (
            {"base_images": ('{ os = "debian12" }', '{ os = "debian99" }')},
            "os = 'debian99': no such operating system",
        ),
        (
            {"base_images": ('newer = "12.6.3"', 'newer = "12.6.4"')},
            "replaced_by = 'vendor/cuda:12.6.4-base-debian12': no such image, or it is gone itself",
        ),
        ({"base_images": ('removed = "unknown"', "")}, "replaced_by without removed: it still exists"),
        (
            {"indexes": ('"example-cu126"', '"example-cu128"')},
            "index = 'example-cu126': no such package index",
        ),
        (
            {"broken": ('framework = "example"', 'framework = "exmaple"')},
            "when.framework = 'exmaple': no such framework",
        ),
        ({"example": ('cuda = "12.6"', 'cuda = "12.7"')}, "cuda = '12.7': cuda.toml has no such release"),
        (
            {"example": ('cudnn = ">=9.1,<10"', 'cudnn = ">=10"')},
            "cudnn = '>=10': cudnn.toml has no such release",
        ),
        ({"example": ('cuda = "12.6", ', "")}, "example 1.9 cu126 linux/amd64: cuda is missing"),
        (
            {"example": ('parameters = { library = "1.8" }', 'cuda = "12.6"')},
            "provider = 'none' and CUDA beside it",
        ),
        ({"example": ('requires = ["example==={version}+{build}"]', "")}, "requires is missing"),
        ({"example": ('name = "example"', 'name = ""')}, "frameworks/example.toml"),
        ({"gpus": ("schema = 1", "schema = 9")}, "gpus.toml: schema must be 1"),
        ({"gpus": ("schema = 1", "schema = ")}, "gpus.toml: "),
    ],
)
def test_each_mistake_is_found_with_file_and_row(tmp_path, changes, expected):
    findings = found(write_matrix(tmp_path, **changes))
    assert any(expected in finding for finding in findings), findings


def test_builds_older_than_the_tables_of_cuda_and_cudnn_are_facts(tmp_path):
    old = ('cuda = "12.6", cudnn = ">=9.1,<10"', 'cuda = "10.2", cudnn = "7.6.5.32"')
    assert found(write_matrix(tmp_path, example=old)) == []


def test_one_row_in_two_files(tmp_path):
    write_matrix(tmp_path)
    text = (tmp_path / "drivers.toml").read_text(encoding="utf-8")
    (tmp_path / "more.toml").write_text(text, encoding="utf-8")
    assert "more.toml, 560: stands in drivers.toml as well" in found(tmp_path)


def test_two_builds_on_one_platform(tmp_path):
    twice = '{ build = "cpu", like = "cpu", platforms = "linux/amd64 linux/arm64" },'
    write_matrix(tmp_path, example=(twice, f'{twice}\n{{ build = "cpu", like = "cpu" }},'))
    assert "frameworks/example.toml, example 1.10 cpu linux/amd64: is there twice for linux/amd64" in found(
        tmp_path
    )


def test_a_missing_install_template(tmp_path):
    write_matrix(tmp_path / "matrices")
    templates = tmp_path / "templates"
    assert found(tmp_path / "matrices", templates=templates) == [
        "frameworks/example.toml, example: template = 'example': there is no frameworks/example.j2"
    ]
    (templates / "frameworks").mkdir(parents=True)
    (templates / "frameworks" / "example.j2").touch()
    assert found(tmp_path / "matrices", templates=templates) == []
