from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import pytest

from cudaforge.web import Client, RemoteFile, Unreachable
from cudaforge.web.cache import Cache, Kept
from tests.unit.web.servers import answer, serving


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_passing_failures_are_tried_again_after_the_pause_that_the_server_asks_for():
    seen = []

    def handle(request):
        seen.append(time.monotonic())
        if len(seen) == 1:
            return answer(request, status=429, Retry_After="1")
        return answer(request, b"late") if len(seen) == 3 else answer(request, status=500)

    with serving(handle) as url:
        assert Client().get(url).body == b"late"
    assert seen[1] - seen[0] >= 1


def test_a_lasting_failure_is_an_answer():
    with serving(lambda request: answer(request, status=503)) as url:
        assert Client().get(url).status == 503


def drip_body(request):
    request.send_response(200)
    request.send_header("Content-Length", "100000")
    request.end_headers()
    for _ in range(100):
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.1)


def drip_head(request):
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100:
        request.wfile.write(bytes([byte]))
        request.wfile.flush()
        time.sleep(0.1)


@pytest.mark.parametrize("handle", [drip_body, drip_head])
def test_a_dripping_server_is_given_up(handle):
    with serving(handle) as url:
        started = time.monotonic()
        with pytest.raises(Unreachable, match=r"no whole answer within 0\.6 s"):
            Client(timeout=0.6).get(url)
        assert time.monotonic() - started < 3


def test_all_questions_of_a_run_share_a_limit():
    with serving(lambda request: answer(request, b"x")) as url:
        client = Client(run_timeout=0.3)
        assert client.get(url).body == b"x"
        time.sleep(0.35)
        with pytest.raises(Unreachable):
            client.get(url)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("file:///etc/passwd", "redirects to what is no web address"),
        ("ftp://example.invalid/x", "redirects to what is no web address"),
        ("/again", "more than 5 redirects"),
    ],
)
def test_redirects_to_elsewhere_are_refused(target, reason):
    with (
        serving(lambda request: answer(request, status=302, Location=target)) as url,
        pytest.raises(Unreachable, match=reason),
    ):
        Client().get(url)


def test_another_host_does_not_see_credentials():
    seen = {}

    def target(request):
        seen.update(request.headers)
        answer(request, b"there")

    with serving(target) as there, serving(lambda one: answer(one, status=302, Location=there)) as url:
        headers = {"Authorization": "Bearer secret"}
        assert Client().get(url.replace("http://", "http://user:pass@"), headers=headers).body == b"there"
        assert "Authorization" not in seen


def test_messages_show_no_password():
    with serving(lambda request: answer(request, b"x" * 100)) as url:
        address = url.replace("http://", "http://user:hidden@") + "/a?token=hidden"
        with pytest.raises(Unreachable) as caught:
            Client().get(address, max_body=10)
    assert "hidden" not in str(caught.value.problems)


def test_an_endless_body_is_cut():
    def endless(request):
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(b"x" * 65536)

    with serving(endless) as url, pytest.raises(Unreachable, match="more than 1 MiB"):
        Client().get(url, max_body=2**20)


def test_a_body_shorter_than_announced_is_no_answer():
    with (
        serving(lambda one: answer(one, b"abc", Content_Length="10")) as url,
        pytest.raises(Unreachable, match="broke the connection off"),
    ):
        Client(timeout=10).get(url)


def test_a_refused_connection_is_told_as_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        port = taken.getsockname()[1]
        with pytest.raises(Unreachable, match="refused the connection"):
            Client(timeout=5).get(f"http://127.0.0.1:{port}/x")


@pytest.fixture
def name_server(monkeypatch):
    """What the name server answers, first to last: codes of failures, or None where it finds the name."""
    pending: list[int | None] = []
    find = socket.getaddrinfo

    def answered(host, *rest, **options):
        code = pending.pop(0)
        if code is not None:
            raise socket.gaierror(code, "the name server's own words")
        return find("127.0.0.1", *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answered)
    return pending


def test_a_name_server_that_gives_no_answer_is_asked_again(name_server):
    name_server[:] = [socket.EAI_AGAIN, socket.EAI_AGAIN, None]
    with serving(lambda request: answer(request, b"there")) as url:
        assert Client().get(url.replace("127.0.0.1", "index.example")).body == b"there"


def test_a_name_that_led_to_an_answer_is_looked_up_again_where_it_is_lost(name_server):
    name_server[:] = [None, socket.EAI_NONAME, None]
    with serving(lambda request: answer(request, b"there")) as url:
        address = url.replace("127.0.0.1", "index.example")
        client = Client()
        assert [client.get(address).body for _ in range(2)] == [b"there"] * 2


def test_a_name_that_is_unknown_is_told_at_once(name_server):
    name_server[:] = [socket.EAI_NONAME]
    with pytest.raises(Unreachable, match=r"index\.example/x is a name that cannot be found: no network"):
        Client().get("https://index.example/x")


def test_an_answer_is_kept_while_its_mark_holds(tmp_path):
    asked = []

    def handle(request):
        asked.append(request.headers.get("If-None-Match"))
        if asked[-1] == '"one"':
            return answer(request, status=304)
        return answer(request, b"body", ETag='"one"', Content_Type="text/plain")

    with serving(handle) as url:
        assert Client(cache=Cache(tmp_path)).get(url).body == b"body"
        again = Client(cache=Cache(tmp_path)).get(url)
    assert (again.status, again.body, again.headers["content-type"]) == (200, b"body", "text/plain")
    assert asked == [None, '"one"']
    assert not any("127.0.0.1" in path.name for path in tmp_path.iterdir())


def test_a_damaged_or_missing_cache_is_an_empty_one(tmp_path):
    cache = Cache(tmp_path / "cache")
    assert cache.find("u", "a") is None
    cache.keep("u", "a", Kept(etag="e", content_type="t", body=b"body"))
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    assert cache.find("u", "a") is None
    (tmp_path / "file").write_text("")
    Cache(tmp_path / "file" / "below").keep("u", "a", Kept(etag="e", content_type="t", body=b"body"))


def test_a_cache_stays_within_its_bounds(tmp_path):
    cache = Cache(tmp_path, most_files=3, most_bytes=100_000)
    for number in range(6):
        cache.keep(str(number), "a", Kept(etag="e", content_type="t", body=b"x"))
    assert len(list(tmp_path.iterdir())) == 3
    assert cache.find("5", "a") is not None


CONTENT = bytes(range(256)) * 4096


def serve_ranges(seen):
    def handle(request):
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["Range"])
        start, end = int(match[1]), min(int(match[2]) + 1, len(CONTENT))
        seen.append((start, end))
        answer(request, CONTENT[start:end], 206, Content_Range=f"bytes {start}-{end - 1}/{len(CONTENT)}")

    return handle


def test_parts_of_a_remote_file():
    seen = []
    with serving(serve_ranges(seen)) as url:
        file = RemoteFile(Client(), url)
        assert file.size == len(CONTENT)
        for offset, length in [(0, 10), (300_000, 400_000), (len(CONTENT) - 5, 100), (len(CONTENT), 1)]:
            assert file.read_at(offset, length) == CONTENT[offset : offset + length]
        count = len(seen)
        assert file.read_at(350_000, 10) == CONTENT[350_000:350_010]
        assert len(seen) == count == 3


def test_a_server_without_ranges_is_noticed_without_reading_the_file():
    with (
        serving(lambda request: answer(request, CONTENT * 8)) as url,
        pytest.raises(Unreachable, match="does not serve parts"),
    ):
        RemoteFile(Client(), url)


def test_a_wrong_part_is_refused():
    with (
        serving(lambda one: answer(one, b"xx", 206, Content_Range="bytes 5-6/100")) as url,
        pytest.raises(Unreachable, match="another part"),
    ):
        RemoteFile(Client(), url)


def test_a_local_file(tmp_path: Path):
    path = tmp_path / "a b.whl"
    path.write_bytes(CONTENT)
    file = RemoteFile(Client(), path.as_uri())
    assert file.size == len(CONTENT)
    assert file.read_at(1000, 5) == CONTENT[1000:1005]
    with pytest.raises(Unreachable):
        RemoteFile(Client(), (tmp_path / "none").as_uri())
