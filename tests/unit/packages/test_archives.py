"""Fetching standalone Pythons: from a real server, into a cache, and nothing but the locked file."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest

from cudaforge.errors import CudaforgeError, NegativeAnswer, SurroundingsError
from cudaforge.packages.archives import fetch_python
from cudaforge.packages.model import LockedPython, PythonArchive
from cudaforge.packages.site import DeclaredNetwork, Site, read_site
from cudaforge.records import replace
from tests.unit.web.servers import answer, serving

CONTENT = b"an archive" * 1000
PATH = "20260101/cpython-3.11.9+20260101-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
PYTHON = LockedPython(
    version="3.11.9",
    feed="pythons",
    archives=(PythonArchive(platform="linux/amd64", path=PATH, sha256=hashlib.sha256(CONTENT).hexdigest()),),
)


def site_with(mirror: str | None, *, offline: bool = False) -> Site:
    declared = DeclaredNetwork(python_mirror=mirror, indexes={}, registries={}, root=Path(), file=None)
    return read_site(declared, environ={"HOME": "/nonexistent"}, offline=offline)


def fetch(cache: Path, mirror: str | None, *, feeds: dict[str, str] | None = None, **options: float) -> Path:
    is_offline = bool(options.pop("offline", False))
    site = site_with(mirror, offline=is_offline)
    return fetch_python(PYTHON, "linux/amd64", site=site, feeds=feeds or {}, cache=cache, **options)


def said_by(cache: Path, mirror: str, **options: float) -> str:
    with pytest.raises(SurroundingsError) as refusal:
        fetch(cache, mirror, **options)
    return " ".join(refusal.value.problems[0].because)


def left_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_it_is_asked_for_once_and_kept_under_its_hash(tmp_path: Path) -> None:
    asked = []

    def handle(request) -> None:
        asked.append(request.path)
        answer(request, CONTENT)

    with serving(handle) as address:
        path = fetch(tmp_path, f"{address}/mirror/")
        assert path.read_bytes() == CONTENT
        assert fetch(tmp_path, f"{address}/mirror/") == path
    # As uv asks for it: the plus sign of a release is no space.
    assert asked == ["/mirror/" + PATH.replace("+", "%2B")]
    assert fetch(tmp_path, None, offline=True) == path
    assert left_in(tmp_path) == [f"{PYTHON.archives[0].sha256}.tar.gz"]


def test_without_a_mirror_the_address_of_the_facts_holds(tmp_path: Path) -> None:
    with serving(lambda request: answer(request, CONTENT)) as address:
        assert fetch(tmp_path, None, feeds={"pythons": address}).read_bytes() == CONTENT
    with pytest.raises(SurroundingsError, match="no address is known for pythons"):
        fetch(tmp_path / "other", None)


def test_a_mirror_may_be_a_directory(tmp_path: Path) -> None:
    file = tmp_path / "mirror" / PATH
    file.parent.mkdir(parents=True)
    mirror = (tmp_path / "mirror").as_uri()
    assert "No such file" in said_by(tmp_path / "cache", mirror)
    file.write_bytes(CONTENT)
    assert "larger than 10 bytes" in said_by(tmp_path / "cache", mirror, largest=10)
    assert fetch(tmp_path / "cache", mirror).read_bytes() == CONTENT


def test_a_damaged_file_of_the_cache_is_fetched_again(tmp_path: Path) -> None:
    with serving(lambda request: answer(request, CONTENT)) as address:
        path = fetch(tmp_path, address)
        path.write_bytes(CONTENT[:-1])
        assert fetch(tmp_path, address).read_bytes() == CONTENT


def drip(request) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "100")
    request.end_headers()
    for _ in range(100):
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.1)


def away(request) -> None:
    answer(request, status=302, Location="file:///etc/passwd")


REFUSED = {
    "other bytes": (lambda request: answer(request, b"x"), NegativeAnswer, "another file here"),
    "absent": (lambda request: answer(request, status=404), SurroundingsError, "does not have 20260101/"),
    "forbidden": (lambda request: answer(request, status=403), SurroundingsError, "status 403"),
    "too large": (lambda request: answer(request, b"x" * 3_000_000), SurroundingsError, "more than 2 MiB"),
    "drip": (drip, SurroundingsError, "no whole answer within 1 s"),
    "another scheme": (away, SurroundingsError, "redirects to what is no web address"),
}


@pytest.mark.parametrize(("handle", "kind", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_good_is_refused_and_leaves_nothing(handle, kind, says, tmp_path: Path) -> None:
    started = time.monotonic()
    with serving(handle) as address, pytest.raises(CudaforgeError) as refusal:
        fetch(tmp_path, address, deadline=1.0, largest=2 * 1024 * 1024)
    assert isinstance(refusal.value, kind)
    problem = refusal.value.problems[0]
    assert says in f"{problem.what} {problem.because}"
    assert problem.remedy
    assert time.monotonic() - started < 3
    assert left_in(tmp_path) == []


def test_no_password_of_a_mirror_is_told(tmp_path: Path) -> None:
    with serving(lambda request: answer(request, status=404)) as address:
        secret = address.replace("://", "://user:hunter2@")
        with pytest.raises(SurroundingsError) as refusal:
            fetch(tmp_path, secret)
    assert "hunter2" not in repr(refusal.value.problems)


def test_offline_without_it_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SurroundingsError, match="not in the cache, and nothing may be downloaded"):
        fetch(tmp_path, "https://mirror.example", offline=True)


def test_a_platform_that_the_lock_does_not_have_is_told(tmp_path: Path) -> None:
    with pytest.raises(NegativeAnswer, match="no archive of Python for linux/arm64"):
        fetch_python(PYTHON, "linux/arm64", site=site_with(None), feeds={}, cache=tmp_path)


def test_builds_that_want_it_at_once_fetch_it_once(tmp_path: Path) -> None:
    asked = []

    def handle(request) -> None:
        asked.append(request.path)
        time.sleep(0.2)
        answer(request, CONTENT)

    with serving(handle) as address:
        threads = [threading.Thread(target=fetch, args=(tmp_path, address)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(asked) == 1


def test_another_version_is_another_file(tmp_path: Path) -> None:
    other = replace(PYTHON, archives=(replace(PYTHON.archives[0], sha256="0" * 64),))
    with serving(lambda request: answer(request, CONTENT)) as address:
        fetch(tmp_path, address)
        with pytest.raises(NegativeAnswer, match="another file here"):
            fetch_python(other, "linux/amd64", site=site_with(address), feeds={}, cache=tmp_path)
