"""NVIDIA's manifests, asked of a real server on this machine.

The samples follow redistrib_<version>.json as NVIDIA publishes them: flat for CUDA, by CUDA major within each
platform for cuDNN; sizes are texts.
"""

from __future__ import annotations

import json
import time

import pytest

from cudaforge.refresher.redistrib import list_releases, read_release
from cudaforge.refresher.toolkits import wanted_labels
from cudaforge.versions import Version
from cudaforge.web import Client, Unreachable
from tests.unit.web.servers import answer, serving

CUDA = {
    "release_date": "2025-06-03",
    "release_label": "12.9.1",
    "release_product": "cuda",
    "cuda_cudart": {
        "name": "CUDA Runtime (cudart)",
        "license": "CUDA Toolkit",
        "license_path": "cuda_cudart/LICENSE.txt",
        "version": "12.9.79",
        "linux-x86_64": {
            "relative_path": "cuda_cudart/linux-x86_64/cuda_cudart-linux-x86_64-12.9.79-archive.tar.xz",
            "sha256": "00",
            "md5": "00",
            "size": "1511968",
        },
        "linux-sbsa": {"relative_path": "a", "sha256": "00", "md5": "00", "size": "1"},
        "windows-x86_64": {"relative_path": "b", "sha256": "00", "md5": "00", "size": "1"},
    },
}
CUDNN = {
    "release_date": "2025-05-27",
    "release_label": "9.10.2",
    "release_product": "cudnn",
    "cudnn": {
        "name": "NVIDIA CUDA Deep Neural Network library",
        "license": "cudnn",
        "license_path": "cudnn/LICENSE.txt",
        "version": "9.10.2.21",
        "cuda_variant": ["11", "12"],
        "linux-x86_64": {
            "cuda11": {"relative_path": "c", "sha256": "00", "md5": "00", "size": "1"},
            "cuda12": {"relative_path": "d", "sha256": "00", "md5": "00", "size": "1"},
        },
        "linux-sbsa": {"cuda12": {"relative_path": "e", "sha256": "00", "md5": "00", "size": "1"}},
    },
}
LISTING = """<!DOCTYPE html><html><head><title>Index of /compute/cuda/redist</title></head><body><pre>
<a href='..'>..</a>
<a href='cuda_cudart/'>cuda_cudart/</a>
<a href='redistrib_12.10.0.json'>redistrib_12.10.0.json</a>
<a href='redistrib_12.9.1.json'>redistrib_12.9.1.json</a>
<a href='redistrib_11.8.0.json'>redistrib_11.8.0.json</a>
</pre></body></html>"""


def feed(body: bytes, status: int = 200, **headers: str):
    return serving(lambda one: answer(one, body, status, **headers))


def test_releases_are_listed_by_number():
    with feed(LISTING.encode()) as url:
        assert list_releases(Client(timeout=5), url) == ("11.8.0", "12.9.1", "12.10.0")


def test_a_manifest_says_day_version_platforms_and_majors():
    with feed(json.dumps(CUDA).encode()) as url:
        cuda = read_release(Client(timeout=5), url, "12.9.1", product="cuda")
    assert (cuda.version, cuda.released) == ("12.9.1", "2025-06-03")
    assert (cuda.platforms, cuda.majors) == (("linux/amd64", "linux/arm64"), ())
    with feed(json.dumps(CUDNN).encode()) as url:
        cudnn = read_release(Client(timeout=5), url, "9.10.2", product="cudnn")
    assert (cudnn.version, cudnn.released) == ("9.10.2.21", "2025-05-27")
    assert (cudnn.platforms, cudnn.majors) == (("linux/amd64", "linux/arm64"), ("11", "12"))


def test_odd_values_are_not_taken_over():
    odd = {**CUDNN, "release_date": "soon", "cudnn": {**CUDNN["cudnn"], "version": "../../x"}}
    with feed(json.dumps(odd).encode()) as url:
        found = read_release(Client(timeout=5), url, "9.10.2", product="cudnn")
    assert (found.version, found.released) == ("9.10.2", None)


@pytest.mark.parametrize("body", [b"", b"<html>login</html>", b"redistrib_../x.json"])
def test_what_is_no_listing_is_told(body):
    with feed(body) as url, pytest.raises(Unreachable, match="no list of"):
        list_releases(Client(timeout=5), url)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"release_date": "2025-01-01"}', b"[" * 99_999])
def test_what_is_no_manifest_is_told(body):
    with feed(body) as url, pytest.raises(Unreachable, match="manifest"):
        read_release(Client(timeout=5), url, "12.9.1", product="cuda")


def test_a_missing_a_truncated_and_a_giant_manifest_are_told():
    with feed(b"no", 404) as url, pytest.raises(Unreachable, match="status 404"):
        read_release(Client(timeout=5), url, "12.9.1", product="cuda")
    with feed(b'{"cuda', Content_Length="9000") as url, pytest.raises(Unreachable):
        read_release(Client(timeout=3), url, "12.9.1", product="cuda")
    with feed(b" " * (9 * 1024 * 1024)) as url, pytest.raises(Unreachable, match="more than 8 MiB"):
        read_release(Client(timeout=5), url, "12.9.1", product="cuda")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://localhost/x", "data:,x"])
def test_a_redirect_to_another_scheme_is_refused(target):
    with feed(b"", 302, Location=target) as url, pytest.raises(Unreachable, match="no web address"):
        list_releases(Client(timeout=5), url)


def test_a_drip_ends_at_the_deadline():
    def drip(one) -> None:
        one.send_response(200)
        one.end_headers()
        for _ in range(100):
            one.wfile.write(b"<")
            time.sleep(0.1)

    with serving(drip) as url:
        started = time.monotonic()
        with pytest.raises(Unreachable, match="within 1 s"):
            list_releases(Client(timeout=1), url)
    assert time.monotonic() - started < 3


def test_a_rate_limit_is_waited_for():
    turns = iter([True])

    def limited(one) -> None:
        if next(turns, False):
            answer(one, b"", 429, Retry_After="1")
        else:
            answer(one, LISTING.encode())

    with serving(limited) as url:
        assert len(list_releases(Client(timeout=5), url)) == 3


def test_only_what_is_new_is_read_and_the_newest_known():
    labels = ("9.8.0", "9.9.0", "9.10.2", "9.11.0", "9.12.0")
    known = [Version("9.9.0.52"), Version("9.10.2.21")]
    assert wanted_labels(labels, known, most=1) == ("9.10.2", "9.11.0")
