from __future__ import annotations

import json

import pytest

from cudaforge.refresher import read_project
from cudaforge.web import Client, Unreachable
from tests.unit.web.servers import answer, serving

JSON_TYPE = "application/vnd.pypi.simple.v1+json"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def page(*files: dict[str, object]) -> bytes:
    known = {"hashes": {}, "url": "x", "yanked": False}
    filled = [{**known, **file} for file in files]
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "torch", "files": filled}).encode()


def read(body: bytes, content_type: str = JSON_TYPE, status: int = 200):
    with serving(lambda one: answer(one, body, status, Content_Type=content_type)) as url:
        return read_project(Client(timeout=5), url, "torch")


def wheel(version: str, tags: str, **more: object) -> dict[str, object]:
    return {"filename": f"torch-{version}-{tags}.whl", **more}


def test_pythons_and_platforms_are_read_from_the_wheels_for_linux():
    found = read(
        page(
            wheel("2.9.0", "cp310-cp310-manylinux_2_28_x86_64", **{"upload-time": "2025-10-15T10:00:00Z"}),
            wheel("2.9.0", "cp313-cp313t-manylinux_2_28_x86_64", **{"upload-time": "2025-10-16T10:00:00Z"}),
            wheel("2.9.0", "cp313-cp313-manylinux2014_aarch64.manylinux_2_17_aarch64"),
            wheel("2.9.0", "cp312-cp312-win_amd64"),
            wheel("2.9.0", "cp312-none-macosx_11_0_arm64"),
            wheel("2.8.0", "cp312-cp312-win_amd64"),
            wheel("2.7.0", "cp312-cp312-linux_x86_64", yanked="broken"),
            {"filename": "torch-2.9.0.tar.gz"},
            {"filename": "nonsense.whl"},
        )
    )
    assert set(found) == {"2.9.0", "2.7.0"}
    release = found["2.9.0"]
    assert release.platforms == ("linux/amd64", "linux/arm64")
    assert release.pythons == {"linux/amd64": ("3.10", "3.13t"), "linux/arm64": ("3.13",)}
    assert release.released == "2025-10-15"
    assert (release.is_yanked, found["2.7.0"].is_yanked) == (False, True)


def test_wheels_for_every_python_or_platform_say_nothing_of_either():
    found = read(page(wheel("1.0", "py3-none-any"), wheel("2.0", "cp39-abi3-manylinux_2_17_x86_64")))
    assert (found["1.0"].platforms, found["1.0"].pythons) == ((), {})
    assert (found["2.0"].platforms, found["2.0"].pythons) == (("linux/amd64",), {})


def test_a_channel_answers_in_html_with_local_versions():
    links = "".join(
        f'<a href="/whl/torch-2.8.0%2Bcu128-cp31{minor}-cp31{minor}-manylinux_2_28_x86_64.whl#sha256=0">'
        f"torch-2.8.0+cu128-cp31{minor}-cp31{minor}-manylinux_2_28_x86_64.whl</a><br/>\n"
        for minor in (2, 3)
    )
    found = read(f"<!DOCTYPE html><html><body><h1>Links</h1>{links}</body></html>".encode(), "text/html")
    assert found["2.8.0+cu128"].pythons == {"linux/amd64": ("3.12", "3.13")}


def test_a_package_that_is_not_there_has_no_releases():
    assert read(b"", status=404) == {}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{", JSON_TYPE),
        (b"[]", JSON_TYPE),
        (b'{"meta": {"api-version": "9.0"}, "name": "x", "files": []}', JSON_TYPE),
        (b'{"meta": {"api-version": "1.0"}, "name": "x", "files": [3]}', JSON_TYPE),
        (b"[" * 100_000, JSON_TYPE),
        (b"\x00\x01", "application/octet-stream"),
    ],
)
def test_what_is_no_page_is_told(body, content_type):
    with pytest.raises(Unreachable, match="no page of a package index"):
        read(body, content_type)


def test_a_failing_index_is_told_by_its_status():
    with pytest.raises(Unreachable, match="status 500"):
        read(b"", status=500)
