"""`cudaforge data measure`: what the word may mean, what is printed, how it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.matrix import load_matrix
from tests.support.artefacts import TORCH_REQUIRES, library, make_wheel, torch_files
from tests.unit.web.servers import answer, serving


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "UV_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def torch(tmp_path: Path) -> Path:
    return make_wheel(tmp_path / "wheels", "torch", "2.8.0", torch_files(), requires=TORCH_REQUIRES)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Serves the wheels of a directory as an index that answers for ranges; gives a declaration for it."""
    asked: list[str] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        _, kind, name = unquote(request.path).split("/")[:3]
        if kind == "files":
            send_part(request, (tmp_path / "wheels" / name).read_bytes())
            return
        found = [
            {"filename": one.name, "url": f"/files/{quote(one.name)}", "hashes": {}}
            for one in sorted((tmp_path / "wheels").iterdir())
            if one.name.startswith(f"{name.replace('-', '_')}-")
        ]
        body = {"meta": {"api-version": "1.0"}, "name": name, "files": found}
        kind = "application/vnd.pypi.simple.v1+json"
        answer(request, json.dumps(body).encode(), status=200 if found else 404, Content_Type=kind)

    with serving(handle) as url:
        (tmp_path / "cudaforge.toml").write_text(
            f'schema = 1\n[network]\nindex = "{url}/simple"\nindexes = {{ pytorch-cu126 = "{url}/cu126" }}\n'
            '[images.one]\nframework = "pytorch"\n'
        )
        yield lambda: url


def send_part(request: BaseHTTPRequestHandler, content: bytes) -> None:
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["Range"])
    assert match is not None
    start, end = int(match[1]), min(int(match[2]) + 1, len(content))
    place = f"bytes {start}-{end - 1}/{len(content)}"
    answer(request, content[start:end], status=206, Content_Range=place)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run_command_line(["data", "measure", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_wheel_that_agrees_with_its_row(torch: Path, capsys) -> None:
    code, out, err = run(capsys, str(torch))
    assert (code, err) == (0, "")
    assert "pytorch 2.8.0 cu128 linux/amd64 [frameworks/pytorch.toml: " in out
    assert re.search(r"^cubins +7\.0 7\.5 8\.0 8\.6 9\.0 10\.0 12\.0 +the same +agrees$", out, re.MULTILINE)
    assert re.search(r"^cubins +torch/lib/libtorch_python\.so: arch flags$", out, re.MULTILINE)
    assert re.search(r"^cudnn +METADATA: nvidia-cudnn-cu12==9\.10\.2\.21$", out, re.MULTILINE)
    assert "torch/lib/libtorch_cuda.so (21)" in out
    assert out.endswith("\nagrees with 1 row\n")


def test_the_same_for_programs(torch: Path, capsys) -> None:
    code, out, _ = run(capsys, str(torch), "--json")
    document = json.loads(out)
    assert code == 0
    assert document["agrees"] is True
    (one,) = document["measured"]
    assert (one["package"], one["build"], one["proposal"]) == ("torch", "cu128", None)
    assert one["cuda"] == {
        "value": "12.8",
        "where": "torch/version.py: cuda",
        "is_partial": False,
        "is_bound": False,
    }
    (row,) = one["rows"]
    assert row["row"]["source"]["strength"] == "measured"
    assert row["differs"] == []
    fields = {field["field"]: field["agreement"] for field in row["fields"]}
    assert fields["cubins"] == "agrees"


def test_a_difference_names_the_field_and_the_source_that_the_row_cites(tmp_path: Path, capsys) -> None:
    files = torch_files(flags=b"sm_80 sm_90 compute_90")
    path = make_wheel(tmp_path, "torch", "2.8.0", files, requires=TORCH_REQUIRES)
    code, out, _ = run(capsys, str(path))
    assert code == 1
    (row,) = [
        one
        for one in load_matrix().builds("pytorch")
        if str(one.version) == "2.8.0" and one.size and one.build == "cu128"
    ]
    text = " ".join(out.split())
    assert "pytorch 2.8.0 cu128 differs: cubins is 8.0 9.0, and the row says 7.0 7.5" in text
    assert "pytorch 2.8.0 cu128 differs: ptx is 9.0, and the row says none" in text
    assert row.source.citation() in text
    code, out, _ = run(capsys, str(path), "--json")
    assert (code, json.loads(out)["measured"][0]["rows"][0]["differs"]) == (1, ["cubins", "ptx"])


def test_where_there_is_no_row_one_is_proposed(tmp_path: Path, capsys) -> None:
    path = make_wheel(tmp_path, "torch", "99.0", torch_files(version="99.0+cu128"), requires=TORCH_REQUIRES)
    code, out, _ = run(capsys, str(path))
    assert code == 1
    assert "the matrix has no row for torch 99.0; this is one, for an overlay or for matrices/:" in out
    (tmp_path / "facts.toml").write_text(out[out.index("schema = 1") :])
    (tmp_path / "cudaforge.toml").write_text(
        'schema = 1\n[matrices]\noverlays = ["facts.toml"]\n[images.one]\nframework = "pytorch"\n'
    )
    code, out, _ = run(capsys, str(path))
    assert code == 0
    assert out.endswith("\nagrees with 1 row\n")
    assert re.search(r"\[overlay facts\.toml:\s+measured-torch-99\.0, checked 20", out)


def test_a_wheel_of_the_index_is_read_by_range(torch: Path, serve: Callable[[], str], capsys) -> None:
    serve()
    code, out, _ = run(capsys, "torch==2.8.0")
    assert code == 0
    assert out.startswith("torch-2.8.0-cp312-cp312-manylinux_2_28_x86_64.whl: torch 2.8.0")
    code, out, _ = run(capsys, "Torch==2.8.0+cu128", "--python", "3.12", "--thorough")
    assert code == 0


def test_the_newest_python_is_taken_and_the_platform_that_is_asked_for(
    tmp_path: Path, serve: Callable[[], str], capsys
) -> None:
    serve()
    for tag in ("cp39-cp39", "cp310-cp310", "cp313-cp313t"):
        for machine in ("x86_64", "aarch64"):
            name = f"{tag}-manylinux_2_28_{machine}"
            make_wheel(
                tmp_path / "wheels", "torch", "2.8.0", torch_files(), requires=TORCH_REQUIRES, tag=name
            )
    make_wheel(tmp_path / "wheels", "torch", "2.8.1", torch_files(), tag="cp313-cp313-win_amd64")
    assert run(capsys, "torch==2.8.0")[1].startswith("torch-2.8.0-cp310-cp310-manylinux_2_28_x86_64")
    arm = run(capsys, "torch==2.8.0", "--platform", "linux/arm64", "--python", "3.9")[1]
    assert arm.startswith("torch-2.8.0-cp39-cp39-manylinux_2_28_aarch64")
    code, _, err = run(capsys, "torch==2.8.0", "--python", "3.14")
    assert code == 1
    assert "has no wheel of torch 2.8.0 for linux/amd64 and Python 3.14" in err
    assert run(capsys, "torch==2.8.1")[0] == 1


def test_a_build_of_a_channel_is_looked_for_there(tmp_path: Path, serve: Callable[[], str], capsys) -> None:
    serve()
    files = torch_files(version="2.8.0+cu126", flags=b"sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90")
    files["torch/version.py"] = "__version__ = '2.8.0+cu126'\ncuda = '12.6'\n"
    make_wheel(tmp_path / "wheels", "torch", "2.8.0+cu126", files, requires=TORCH_REQUIRES)
    code, out, _ = run(capsys, "torch==2.8.0+cu126")
    assert code == 0, out
    assert "pytorch 2.8.0 cu126 linux/amd64" in out
    code, _, err = run(capsys, "torch==2.8.0+cu999")
    assert code == 1
    assert "the matrix has no build cu999 of torch 2.8.0" in err


def test_an_address_of_a_wheel(torch: Path, serve: Callable[[], str], capsys) -> None:
    url = serve()
    assert run(capsys, f"{url}/files/{torch.name}")[0] == 0
    assert run(capsys, f"file://{torch}")[0] == 0
    code, _, err = run(capsys, f"{url}/files/{torch.name}", "--offline")
    assert code == 3
    assert "cannot be read offline" in err


@pytest.mark.parametrize(
    ("word", "code", "what"),
    [
        ("gone.whl", 2, "gone.whl is no file"),
        ("torch>=2", 2, "'torch>=2' names no single release"),
        ("torch==2.*", 2, "'torch==2.*' names no single release"),
        ("torch==2.8.0,==2.8.1", 2, "names no single release"),
        ("torch ==", 2, "names no single release"),
        (".", 2, ". is no file"),
        ("http://[::1", 2, "'http://[::1' is no web address"),
        ("https:///torch.whl", 2, "is no web address"),
        ("http://127.0.0.1:wheel/torch.whl", 2, "is no web address"),
        ("quickstart:../x", 2, "'quickstart:../x' names neither a wheel nor an image"),
        ("https:/x", 2, "names neither a wheel nor an image"),
    ],
)
def test_words_that_mean_nothing(word: str, code: int, what: str, capsys) -> None:
    found, out, err = run(capsys, word)
    assert (found, out) == (code, "")
    assert what in err


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--python", "abc"), "--python is 'abc': a minor version, 3.12 or 3.13t"),
        (("--python", "3"), "--python is '3'"),
        (("--platform", "windows"), "--platform is 'windows': linux/amd64 or linux/arm64"),
    ],
)
def test_what_a_wheel_is_looked_up_for_is_checked(options, what: str, capsys) -> None:
    code, out, err = run(capsys, "torch==2.8.0", *options)
    assert (code, out) == (2, "")
    assert what in err


def test_wheels_of_other_systems_are_not_offered(tmp_path: Path, serve: Callable[[], str], capsys) -> None:
    serve()
    for tag in ("cp312-cp312-win_amd64", "cp312-cp312-manylinux_2_28_aarch64"):
        make_wheel(tmp_path / "wheels", "torch", "2.8.0", torch_files(), tag=tag)
    code, _, err = run(capsys, "torch==2.8.0")
    assert code == 1
    assert "manylinux_2_28_aarch64.whl" in err
    assert "win_amd64" not in err


def test_without_an_engine_it_is_told_how_a_wheel_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    code, _, err = run(capsys, "torch")
    assert code == 3
    assert "a wheel is named by its release, torch==2.8.0" in " ".join(err.split())


def test_a_server_that_serves_no_parts(torch: Path, capsys) -> None:
    with serving(lambda one: answer(one, torch.read_bytes())) as url:
        code, _, err = run(capsys, f"{url}/{torch.name}")
    assert code == 3
    assert "does not serve parts of files" in err
    assert "download it first, and name the file" in " ".join(err.split())


def test_another_word_is_an_image_and_needs_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    code, _, err = run(capsys, "registry.example:5000/lab/train:1")
    assert code == 3
    assert "none.sock" in err


def test_a_name_that_lies_is_shown_as_it_is(tmp_path: Path, capsys) -> None:
    path = make_wheel(tmp_path, "a", "1", {"a/\u202eevil\x1b[31m.so": library(glibc=["2.17"])})
    code, out, _ = run(capsys, str(path))
    assert code == 1
    assert "\x1b" not in out
    assert "\u202e" not in out
