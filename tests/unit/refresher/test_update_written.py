"""`cudaforge data update` with real servers (a registry, manifests, an index), and what it writes."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.matrix import load_matrix
from cudaforge.pipeline import recording
from cudaforge.refresher.images import repository_of
from cudaforge.report.changes import describe_unreachable
from cudaforge.resources import find_resource
from tests.unit.registry import server as registry
from tests.unit.registry.test_images import documents
from tests.unit.web.servers import answer, serving

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
VISION = "torchvision-99.0.0-cp312-cp312-manylinux_2_28_x86_64.whl"


def wheel(name: str, *requires: str, **files: str) -> bytes:
    """A wheel with its METADATA, and files of which `__` in the names are slashes."""
    lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 99.0.0"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}-99.0.0.dist-info/METADATA", "\n".join([*lines, "", "Text", ""]))
        for path, text in files.items():
            archive.writestr(path.replace("__", "/") + ".py", text)
    return content.getvalue()


def index(requires: str = "torch==2.15.0"):
    """An index that has one new torchvision."""
    return serving_wheels({VISION: wheel("torchvision", requires)})


def serving_wheels(wheels: dict[str, bytes]):
    """An index of some wheels that serves parts of them."""

    def handle(request) -> None:
        body = wheels.get(request.path.removeprefix("/files/"))
        package = request.path.strip("/")
        names = [name for name in wheels if name.partition("-")[0] == package]
        if body is not None:
            first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
            end = min(int(last) + 1, len(body))
            size = f"bytes {first}-{end - 1}/{len(body)}"
            answer(request, body[int(first) : end], 206, Content_Range=size)
        elif names:
            day = {"upload-time": "2027-01-02T03:04:05Z", "hashes": {}}
            files = [{"filename": name, "url": f"/files/{name}", **day} for name in names]
            page = {"meta": {"api-version": "1.1"}, "name": package, "files": files, "versions": []}
            answer(request, json.dumps(page).encode(), Content_Type=JSON_TYPE)
        else:
            answer(request, b"", 404)

    return serving(handle)


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "UV_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    root = tmp_path / "project"
    root.mkdir()

    def write(*, url: str = "http://127.0.0.1:9", more: str = "") -> str:
        path = root / "cudaforge.toml"
        image = '[images.one]\nframework = "pytorch"\n'
        path.write_text(f'schema = 1\n[network]\nindex = "{url}"\n{more}\n{image}')
        return str(path)

    return write


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A copy of the checkout's files, that is written instead."""
    root = tmp_path / "checkout"
    shutil.copytree(find_resource("matrices"), root / "matrices")
    monkeypatch.setattr(recording, "find_resource", lambda name: root / name)
    monkeypatch.setattr(recording, "is_checkout", lambda: True)
    return root


def run(*words: str) -> int:
    return run_command_line(["data", "update", *words])


def test_a_new_companion_becomes_an_overlay_that_counts_when_it_is_named(project, capsys):
    with index() as url:
        file = project(url=url)
        assert run("companions", "--check", "-f", file) == 1
        shown = capsys.readouterr().out
        assert run("companions", "--write", "-f", file) == 0
    overlay = Path(file).parent / "cudaforge-facts.toml"
    text = capsys.readouterr().out
    assert '+needs = "==2.15.0"' in shown
    assert f"written: {overlay}" in text
    assert 'overlays = ["cudaforge-facts.toml"]' in text
    known = load_matrix(overlays=[overlay]).companions("pytorch")
    (row,) = [one for one in known if (one.package, str(one.version)) == ("torchvision", "99.0.0")]
    assert (row.released, row.pythons, str(row.needs)) == ("2027-01-02", ("3.12",), "==2.15.0")
    with index() as url:
        file = project(url=url, more='[matrices]\noverlays = ["cudaforge-facts.toml"]')
        assert run("companions", "--check", "-f", file) == 0
    assert capsys.readouterr().out.startswith("0 differences")


def test_nothing_is_written_without_being_asked(project, capsys):
    with index() as url:
        file = project(url=url)
        assert run("companions", "--json", "-f", file) == 0
    document = json.loads(capsys.readouterr().out)
    (row,) = document["rows"]
    assert (row["file"], row["missing"], row["refused"]) == ("companions.toml", [], None)
    assert document["written"] is False
    assert '+version = "99.0.0"' in document["diff"]
    assert [path.name for path in Path(file).parent.iterdir()] == ["cudaforge.toml"]


def test_a_companion_that_names_no_release_is_told_and_no_difference(project, capsys):
    with index("torch") as url:
        assert run("companions", "--check", "-f", project(url=url)) == 0
    text = capsys.readouterr().out
    assert "? pytorch torchvision 99.0.0" in text
    assert "no row, for want of needs" in text


def test_a_checkout_is_written_itself_with_two_lines(project, checkout, capsys):
    before = (checkout / "matrices" / "companions.toml").read_text(encoding="utf-8")
    with index() as url:
        file = project(url=url)
        shutil.move(file, checkout / "cudaforge.toml")
        assert run("companions", "--write", "-f", str(checkout / "cudaforge.toml")) == 0
    after = (checkout / "matrices" / "companions.toml").read_text(encoding="utf-8")
    new = [line for line in after.splitlines() if line not in before.splitlines()]
    assert len(new) == 2
    assert '    { version = "99.0.0", needs = "==2.15.0"' in new[1]
    assert "[matrices]" not in capsys.readouterr().out


def test_facts_that_would_not_agree_are_not_written(project, checkout, capsys):
    before = (checkout / "matrices" / "companions.toml").read_bytes()
    with index("torch==88.0") as url:
        file = project(url=url)
        shutil.move(file, checkout / "cudaforge.toml")
        assert run("companions", "--write", "-f", str(checkout / "cudaforge.toml")) == 1
    assert (checkout / "matrices" / "companions.toml").read_bytes() == before
    error = capsys.readouterr().err
    assert "companions.toml: pytorch torchvision 99.0.0: needs = '==88.0'" in error
    assert "nothing was written" in error


def test_a_new_release_is_proposed_with_what_its_wheels_say(project, capsys):
    version = "__version__ = '99.0.0+cu132'\ncuda: Optional[str] = '13.2'\n"
    linux = "platform_system == 'Linux'"
    torch = wheel(
        "torch",
        f"cuda-toolkit[cudart,cublas]==13.2.2; {linux}",
        f"nvidia-cudnn-cu13==9.26.0.51; {linux}",
        f"nvidia-nccl-cu13==2.30.7; {linux}",
        "nvidia-cudnn-cu12==1.0; platform_system == 'Windows'",
        torch__version=version,
    )
    names = [f"torch-99.0.0-cp3{minor}-cp3{minor}-manylinux_2_28_x86_64.whl" for minor in (12, 13)]
    with serving_wheels(dict.fromkeys(names, torch)) as url:
        channels = "\n".join(f'{name} = "{url}/none"' for name in load_matrix().indexes)
        file = project(url=url, more=f"[network.indexes]\n{channels}")
        assert run("pytorch", "--json", "-f", file) == 0
    document = json.loads(capsys.readouterr().out)
    (row,) = document["rows"]
    assert row["shared"] == {
        "version": "99.0.0",
        "released": "2027-01-02",
        "pythons": "3.12 3.13",
        "glibc": "2.28",
    }
    assert row["rows"] == [
        {
            "build": "cu132",
            "like": "default",
            "cudnn_package": "nvidia-cudnn-cu13",
            "nccl_package": "nvidia-nccl-cu13",
            "cuda": "13.2.2",
            "cudnn": "9.26.0.51",
            "nccl": "2.30.7",
        }
    ]
    text = " ".join(row["missing"])
    assert "cubins of cu132 linux/amd64" in text
    assert "torch 99.0.0 has no wheels for it" in text
    assert 'build = "cu132"' in document["diff"]


def test_a_build_without_its_cudnn_is_left_out(project, capsys):
    names = ["tensorflow-99.0.0-cp312-cp312-manylinux_2_27_x86_64.whl"]
    content = wheel("tensorflow", "nvidia-cudnn-cu12<10.0,>=9.3; extra == 'and-cuda'")
    with serving_wheels(dict.fromkeys(names, content)) as url:
        assert run("tensorflow", "--json", "-f", project(url=url)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["rows"] == []
    assert not [one for one in document["unreachable"] if one["source"].startswith("the builds")]
    (reason,) = [one for one in document["silent"] if one.startswith("tensorflow 99.0.0: no row: ")]
    assert "cuda12 linux/amd64 is left out: a row without cuda and cubins would promise too much" in reason
    assert "tensorflow-cpu 99.0.0 is not there" in reason


def test_what_is_not_written_is_told_with_the_reason(project, capsys):
    names = ["tensorflow-99.0.0-cp312-cp312-manylinux_2_27_x86_64.whl"]
    with serving_wheels(dict.fromkeys(names, wheel("tensorflow"))) as url:
        file = project(url=url)
        assert run("tensorflow", "--write", "-f", file) == 0
        text = capsys.readouterr().out
        assert run("tensorflow", "--write", "--json", "-f", file) == 0
    assert json.loads(capsys.readouterr().out)["written"] is False
    told = text[text.index("nothing was written: ") :]
    assert "1 release has no row (? above)" in told
    assert "for you to change (~ and - above)" in told
    assert [path.name for path in Path(file).parent.iterdir()] == ["cudaforge.toml"]


def test_what_is_written_stands_beside_what_is_not(project, capsys):
    names = ["tensorflow-99.0.0-cp312-cp312-manylinux_2_27_x86_64.whl"]
    wheels = {VISION: wheel("torchvision", "torch==2.15.0"), names[0]: wheel("tensorflow")}
    with serving_wheels(wheels) as url:
        assert run("companions", "tensorflow", "--write", "-f", project(url=url)) == 0
    text = capsys.readouterr().out
    assert "written: " in text
    assert "not written: 1 release has no row (? above)" in text


def test_a_release_that_is_ignored_is_no_difference(project, capsys):
    names = ["tensorflow-99.0.0-cp312-cp312-manylinux_2_27_x86_64.whl"]
    overlay = (
        'schema = 1\n[sources]\nlab = { strength = "index", checked = "2026-01-01", text = "x" }\n'
        '[framework]\nname = "tensorflow"\nsource = "lab"\nignored = { "99.0" = "it was a mistake" }\n'
    )
    with serving_wheels(dict.fromkeys(names, wheel("tensorflow"))) as url:
        file = project(url=url, more='[matrices]\noverlays = ["ours.toml"]')
        (Path(file).parent / "ours.toml").write_text(overlay)
        run("tensorflow", "--json", "-f", file)
    document = json.loads(capsys.readouterr().out)
    assert [one for one in document["changes"] if one["kind"] == "release"] == []
    assert document["silent"] == []


def hub(tags: list[str], images: dict[str, tuple[str, bytes]]):
    def handle(exchange) -> None:
        path = exchange.path.partition("?")[0]
        if path == "/v2/nvidia/cuda/tags/list":
            exchange.send(200, json.dumps({"tags": tags}).encode())
        elif (found := images.get(path.removeprefix("/v2/nvidia/cuda/"))) is not None:
            exchange.send(200, found[1], Content_Type=found[0])
        else:
            exchange.send(404)

    return registry.serving(handle)


def test_new_and_removed_tags_of_a_registry_are_written(project, checkout, capsys):
    rows = [row for row in load_matrix().cuda_images if row.reference.startswith("nvidia/cuda:")]
    alive = [repository_of(row.reference)[1] for row in rows if row.removed is None]
    (gone,) = [tag for tag in alive if tag.endswith("13.3.1-devel-ubuntu26.04")]
    tags = [tag for tag in alive if tag != gone] + ["13.5.0-base-ubuntu24.04"]
    images = documents()
    images["manifests/13.5.0-base-ubuntu24.04"] = images.pop("manifests/12.9.1-base-ubuntu24.04")
    with hub(tags, images) as server:
        file = project(more=f'[registries]\n"docker.io" = "{server.host}"')
        shutil.move(file, checkout / "cudaforge.toml")
        assert run("base_images", "--write", "-f", str(checkout / "cudaforge.toml")) == 0
    text = capsys.readouterr().out
    assert f"- nvidia/cuda:{gone}: tag {gone} is not there  [nvidia/cuda]" in text
    assert "+ nvidia/cuda:13.5.0-base-ubuntu24.04: new, there  [nvidia/cuda]" in text
    from cudaforge.matrix.load import matrix_from_directory

    found = {row.reference: row for row in matrix_from_directory(checkout / "matrices").cuda_images}
    new = found["nvidia/cuda:13.5.0-base-ubuntu24.04"]
    assert (new.gate, new.platforms, new.size) == ("cuda>=12.9", ("linux/amd64", "linux/arm64"), 42)
    assert (new.gate_branches, new.gate_brands, new.flavor) == ((535,), ("tesla",), "base")
    assert found[f"nvidia/cuda:{gone}"].removed is not None
    others = [row for row in rows if row.reference != f"nvidia/cuda:{gone}"]
    assert [found[row.reference].removed for row in others] == [row.removed for row in others]


MANIFEST = {
    "release_date": "2027-01-05",
    "release_label": "99.0.0",
    "release_product": "cuda",
    "cuda_cudart": {"version": "99.0.1", "linux-x86_64": {"relative_path": "x", "size": "1"}},
}


def test_a_directory_of_manifests_is_asked_over_tls(project, capsys):
    newest = load_matrix().cuda_releases[-1].version
    listing = f"<a href='redistrib_{newest}.json'>x</a> <a href='redistrib_99.0.0.json'>y</a>"

    def handle(exchange) -> None:
        known = {
            "/redist/": listing.encode(),
            f"/redist/redistrib_{newest}.json": json.dumps(
                {**MANIFEST, "release_label": str(newest)}
            ).encode(),
            "/redist/redistrib_99.0.0.json": json.dumps(MANIFEST).encode(),
        }
        body = known.get(exchange.path)
        exchange.send(200 if body else 404, body or b"")

    with registry.serving(handle, tls=True) as server:
        more = f'ca_bundle = "{registry.CERTIFICATE}"\n[matrices]\noverlays = ["feeds.toml"]'
        file = project(more=more)
        (Path(file).parent / "feeds.toml").write_text(
            'schema = 1\n[sources]\nours = { strength = "vendor", checked = "2026-01-01", text = "x" }\n'
            f'[[feeds]]\nname = "cuda-redist"\nsubject = "cuda"\nurl = "https://{server.host}/redist/"\n'
            'source = "ours"\n'
        )
        assert run("cuda", "--check", "-f", file) == 1
        assert run("cuda", "--write", "-f", file) == 0
    text = capsys.readouterr().out
    assert "+ cuda 99.0.0: new, released 2027-01-05; linux/amd64  [cuda-redist]" in text
    assert "cuda 99.0.0: not read: driver, minor_driver, capabilities, gcc, clang, compat_package" in text
    overlay = (Path(file).parent / "feeds.toml").read_text()
    assert 'version = "99.0.0"' in overlay
    assert "[matrices]" not in text.partition("written:")[2]


def test_subjects_from_documents_are_told_with_their_sources(project, capsys):
    assert run("gpus", "-f", project()) == 2
    error = capsys.readouterr().err
    assert "the facts on GPU products come from documents that cannot be asked" in error
    assert "[gpus.toml:" in error
    assert "subjects that can be refreshed: cupy, jax" in error


def test_checking_and_writing_at_once_is_refused(project, capsys):
    assert run("--check", "--write", "-f", project()) == 2
    assert "--check changes no file" in capsys.readouterr().err


def test_a_source_that_is_silent_is_named_and_the_others_are_asked(project, capsys):
    with index() as url:
        file = project(url=url, more='[registries]\n"docker.io" = "localhost:9"')
        assert run("companions", "base_images", "--check", "-f", file) == 1
    told = capsys.readouterr()
    assert "not asked: python, nvidia/cuda: registry localhost:9 refuses connections" in told.err
    assert "+ pytorch torchvision 99.0.0" in told.out
    file = project(more='[registries]\n"docker.io" = "localhost:9"')
    assert run("base_images", "-f", file) == 3
    assert "python, nvidia/cuda: registry localhost:9 refuses" in capsys.readouterr().err


def test_sources_that_are_silent_are_told_shortly():
    many = [
        (f"channel-{number}: torch", "host.example is a name that cannot be found") for number in range(40)
    ]
    alone = [("https://feed.example/redist/", "https://feed.example/redist/ refused the connection")]
    text = describe_unreachable([*many, *alone, ("a: x", "slow"), ("a: y", "slow")])
    assert max(map(len, text.splitlines())) <= 80
    told = " ".join(text.split())
    assert told.count("channel-") < 10
    assert "more: host.example is a name that cannot be found" in told
    assert "not asked: https://feed.example/redist/: refused the connection" in told
    assert "not asked: a (2 packages): slow" in told
