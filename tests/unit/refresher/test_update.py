"""`cudaforge data update` against a real index on this machine."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.matrix import load_matrix
from cudaforge.matrix.model import CudaProvider
from cudaforge.refresher import FoundRelease, compare_companion, compare_index
from cudaforge.refresher.changes import pinned
from tests.unit.web.servers import answer, serving


@pytest.fixture
def declaration(tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "UV_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def write(url: str) -> str:
        path = tmp_path / "cudaforge.toml"
        path.write_text(f'schema = 1\n[network]\nindex = "{url}"\n[images.one]\nframework = "tensorflow"\n')
        return str(path)

    return write


def wheels(package: str) -> list[str]:
    """What an index has that agrees with the matrix."""
    machines = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
    return sorted(
        {
            f"{package.replace('-', '_')}-{one[1]}-{tag}-{tag}-manylinux_2_17_{machines[platform]}.whl"
            for build in load_matrix().builds("tensorflow")
            if (one := pinned(build)) is not None and one[0] == package
            for platform in build.platforms
            for tag in ("cp" + python.replace(".", "") for python in build.pythons)
        }
    )


def serve_wheels(change):
    def handle(request: BaseHTTPRequestHandler) -> None:
        package = request.path.strip("/")
        files = [{"filename": name, "url": name, "hashes": {}} for name in change(wheels(package))]
        body = {"meta": {"api-version": "1.0"}, "name": package, "files": files}
        answer(request, json.dumps(body).encode(), Content_Type="application/vnd.pypi.simple.v1+json")

    return serving(handle)


def run(*words: str) -> int:
    return run_command_line(["data", "update", *words])


def test_an_index_that_agrees_has_nothing_new(declaration, capsys):
    with serve_wheels(lambda names: names) as url:
        assert run("tensorflow", "--check", "-f", declaration(url)) == 0
    assert capsys.readouterr().out.startswith("0 differences, ")


def test_where_nothing_differs_it_is_told_that_nothing_was_written(declaration, capsys):
    with serve_wheels(lambda names: names) as url:
        assert run("tensorflow", "--write", "-f", declaration(url)) == 0
    assert capsys.readouterr().out.endswith("nothing was written: 0 differences\n")


def test_new_and_missing_releases_and_pythons_are_told(declaration, capsys):
    def change(names):
        kept = [name for name in names if "-2.16.1-" not in name and "-2.20.0-cp310" not in name]
        return [
            *kept,
            "tensorflow-99.0.0-cp313-cp313-manylinux_2_17_x86_64.whl",
            "tensorflow-99.1rc1-py3-none-any.whl",
        ]

    with serve_wheels(change) as url:
        file = declaration(url)
        assert run("tensorflow", "--check", "-f", file) == 1
        text = capsys.readouterr().out
        assert run("tf", "--json", "-f", file) == 0
        document = json.loads(capsys.readouterr().out)
    assert "+ tensorflow 99.0.0: new, linux/amd64: 3.13  [default: tensorflow]" in text
    assert "99.1" not in text
    rows = [(one["kind"], one["row"].split()[1], one["field"]) for one in document["changes"]]
    # The companions of TensorFlow are asked for, too, and told by their names.
    kinds = {(kind, word, field) for kind, word, field in rows if word[0].isdigit()}
    assert kinds == {
        ("release", "99.0.0", "version"),
        ("gone", "2.16.1", "version"),
        ("differs", "2.20.0", "pythons"),
    }
    # What the made-up wheel holds cannot be read; every index answered.
    assert all(one["source"].endswith((".whl", "99.0.0")) for one in document["unreachable"])


def test_an_index_that_cannot_be_asked_fails_with_the_reason(declaration, capsys):
    assert run("tensorflow", "-f", declaration("http://127.0.0.1:9/simple")) == 3
    error = capsys.readouterr().err
    assert "no source of the facts could be asked" in error
    assert "127.0.0.1:9" in error


def test_offline_is_refused(declaration, capsys):
    assert run("--offline", "-f", declaration("http://127.0.0.1:9/simple")) == 3
    assert "offline" in capsys.readouterr().err


def test_an_unknown_subject_is_told(declaration, capsys):
    assert run("pytroch", "-f", declaration("http://127.0.0.1:9/simple")) == 2
    assert "'pytroch' is no subject of the matrix" in (error := capsys.readouterr().err)
    assert "did you mean pytorch?" in error


def test_companions_later_than_the_newest_known_are_new():
    (known, *_) = [row for row in load_matrix().companions("pytorch") if row.package == "torchvision"]
    releases = {
        version: FoundRelease(
            version=version, released="2026-01-02", is_yanked=version == "0.99.2", platforms=(), pythons={}
        )
        for version in ("0.0.1", str(known.version), "0.99.0", "0.99.1rc1", "0.99.2")
    }
    (change,) = compare_companion("pytorch", [known], "torchvision", releases, index="default")
    assert (change.row, change.new) == ("pytorch torchvision 0.99.0", "released 2026-01-02")
    assert compare_companion("pytorch", [], "torchvision", releases, index="default") == ()


def test_a_release_that_the_framework_has_under_another_package_is_not_new(declaration, capsys):
    def change(names):
        is_old = any(name.startswith("tensorflow_gpu-") for name in names)
        return [*names, "tensorflow_gpu-2.10.1-cp310-cp310-manylinux_2_17_x86_64.whl"] if is_old else names

    with serve_wheels(change) as url:
        assert run("tensorflow", "--check", "-f", declaration(url)) == 0
    assert capsys.readouterr().out.startswith("0 differences, ")


def test_a_release_with_cuda_is_new_where_the_framework_has_only_its_cpu_build():
    builds = load_matrix().builds("onnxruntime")
    newest = max(row.version for row in builds)
    without = [row for row in builds if row.version != newest or row.provider is CudaProvider.NONE]
    release = FoundRelease(
        version=str(newest), released=None, is_yanked=False, platforms=("linux/amd64",), pythons={}
    )
    found = {str(newest): release}
    changes = compare_index(without, "onnxruntime-gpu", found, index="default")
    assert [one.row for one in changes if one.kind == "release"] == [f"onnxruntime {newest}"]


def test_what_is_withdrawn_is_no_change_where_a_row_tells_of_it():
    matrix = load_matrix()
    (row,) = [one for one in matrix.builds("jax") if str(one.version) == "0.4.32" and one.build == "cpu"]
    found = {
        "0.4.32": FoundRelease(version="0.4.32", released=None, is_yanked=True, platforms=(), pythons={})
    }
    assert [one.kind for one in compare_index([row], "jax", found, index="default")] == ["yanked"]
    assert compare_index([row], "jax", found, index="default", broken=matrix.broken) == ()
