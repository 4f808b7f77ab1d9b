import os

import pytest

from cudaforge import resources
from cudaforge.errors import SurroundingsError
from cudaforge.matrix import load, load_matrix
from cudaforge.matrix.compile import compile_matrix
from tests.unit.matrix.samples import write_matrix


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with the sample matrix, and where its compiled form goes."""
    write_matrix(tmp_path / "matrices")
    (tmp_path / "templates").mkdir()
    (tmp_path / "pyproject.toml").touch()
    package = tmp_path / "cudaforge"
    package.mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", package)
    monkeypatch.setattr(resources, "_INSTALLED", package / "_data")
    return tmp_path


@pytest.fixture
def installed(checkout):
    """The same as an installed package: no sources beside it."""
    data = checkout / "cudaforge" / "_data"
    data.mkdir()
    (data / "matrix.jsonl").write_bytes(compile_matrix(checkout / "matrices"))
    (checkout / "pyproject.toml").unlink()
    return data / "matrix.jsonl"


def drivers(matrix):
    return [str(release.driver) for release in matrix.cuda_releases]


def problem(caught):
    (only,) = caught.value.problems
    return only


def test_a_checkout_compiles_what_it_has(checkout):
    assert drivers(load_matrix()) == ["560.28.03", "None", "None"]
    compiled = checkout / "cudaforge" / "_data" / "matrix.jsonl"
    assert compiled.read_bytes() == compile_matrix(checkout / "matrices")


def test_a_checkout_reads_the_compiled_form_while_nothing_is_newer(checkout, monkeypatch):
    first = load_matrix().revision
    monkeypatch.setattr("cudaforge.matrix.compile.compile_matrix", lambda _: pytest.fail("compiled again"))
    assert load_matrix().revision == first


def test_an_edit_is_seen_at_once(checkout):
    load_matrix()
    path = checkout / "matrices" / "cuda.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("560.28.03", "560.28.04"), encoding="utf-8")
    later = (checkout / "cudaforge" / "_data" / "matrix.jsonl").stat().st_mtime_ns + 1
    os.utime(path, ns=(later, later))
    assert drivers(load_matrix())[0] == "560.28.04"


def test_a_removed_file_is_noticed(checkout):
    load_matrix()
    (checkout / "matrices" / "gpus.toml").unlink()
    later = (checkout / "cudaforge" / "_data" / "matrix.jsonl").stat().st_mtime_ns + 1
    os.utime(checkout / "matrices", ns=(later, later))
    assert load_matrix().gpus == ()


def test_a_checkout_that_cannot_be_written_compiles_in_memory(checkout, monkeypatch):
    def refuse(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("cudaforge.files.tempfile.mkstemp", refuse)
    assert drivers(load_matrix())[0] == "560.28.03"
    assert not (checkout / "cudaforge" / "_data" / "matrix.jsonl").exists()


def test_a_checkout_with_a_broken_row_names_file_and_row(checkout):
    write_matrix(checkout / "matrices", cuda=('"560.28.03"', '"560,28"'))
    with pytest.raises(SurroundingsError) as caught:
        load_matrix()
    assert problem(caught).what == "the data pack is broken"
    assert problem(caught).because == ("cuda.toml, 12.6.0: driver: '560,28' is not a version",)


def test_an_installed_package_reads_its_compiled_form(installed):
    assert drivers(load_matrix()) == ["560.28.03", "None", "None"]


def test_a_missing_data_pack_says_what_to_do(installed):
    installed.unlink()
    with pytest.raises(SurroundingsError) as caught:
        load_matrix()
    assert problem(caught).what == "the data pack is missing"
    assert problem(caught).remedy == "install cudaforge again"


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"{}",
        lambda _: b"[]",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content.replace(b'"format":2', b'"format":1', 1),
        lambda content: b"\xff" + content,
    ],
)
def test_a_damaged_data_pack_is_never_guessed_at(installed, damage):
    installed.write_bytes(damage(installed.read_bytes()))
    with pytest.raises(SurroundingsError) as caught:
        load_matrix()
    assert problem(caught).what == "the data pack is broken"
    assert problem(caught).because[0].startswith("matrix.jsonl: ")


def test_a_damaged_section_is_named_when_it_is_read(installed):
    content = installed.read_bytes()
    installed.write_bytes(content.replace(b'"560.28.03"', b'"560.28.03 ', 1))
    matrix = load_matrix()
    assert matrix.indexes
    with pytest.raises(SurroundingsError) as caught:
        _ = matrix.cuda_releases
    assert problem(caught).because[0].startswith("matrix.jsonl, cuda: ")


def test_a_bad_row_in_the_data_pack_is_named(installed):
    installed.write_bytes(installed.read_bytes().replace(b'"560.28.03"', b'"560,28.03"', 1))
    with pytest.raises(SurroundingsError) as caught:
        _ = load_matrix().cuda_releases
    assert problem(caught).because == ("cuda.toml, 12.6.0: driver: '560,28.03' is not a version",)


def test_resources_of_a_checkout_and_of_an_installation(checkout):
    assert resources.find_resource("matrices") == checkout / "matrices"
    (checkout / "pyproject.toml").unlink()
    with pytest.raises(FileNotFoundError, match="installed without its templates/ directory"):
        resources.find_resource("templates")
    (checkout / "cudaforge" / "_data" / "templates").mkdir(parents=True)
    assert resources.find_resource("templates") == checkout / "cudaforge" / "_data" / "templates"


def test_the_two_compiled_forms_of_one_format_agree():
    from cudaforge.matrix import compile as compiler

    assert load._FORMAT == compiler.FORMAT
