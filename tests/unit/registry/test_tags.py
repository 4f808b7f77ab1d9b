"""The tags of a repository, asked of a real server on this machine.

Pages, tokens and rate limits follow the OCI distribution specification (listing tags) and the token
authentication of the distribution project.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from cudaforge.errors import InputError, NegativeAnswer, SurroundingsError
from cudaforge.registry import Access, Credentials, list_tags
from tests.unit.registry.server import Exchange, elapsed, serving

TAGS = [f"12.{minor}.0-{flavor}-ubuntu22.04" for minor in range(9) for flavor in ("base", "devel")]


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def access(*, timeout: float = 10, login: Credentials | None = None, **mirrors: str) -> Access:
    return Access(mirrors=mirrors, timeout=timeout, credentials=lambda _: login)


def paged(exchange: Exchange, *, size: int = 5, absolute: bool = False) -> None:
    """A registry that gives pages of `size` tags, as the specification has it."""
    query = parse_qs(urlsplit(exchange.path).query)
    last = query.get("last", [""])[0]
    start = TAGS.index(last) + 1 if last else 0
    page = TAGS[start : start + size]
    headers = {}
    if start + size < len(TAGS):
        link = f"/v2/nvidia/cuda/tags/list?last={page[-1]}&n={size}"
        prefix = f"http://{exchange.server.host}" if absolute else ""
        headers["Link"] = f'<{prefix}{link}>; rel="next"'
    body = json.dumps({"name": "nvidia/cuda", "tags": page}).encode()
    exchange.send(200, body, Content_Type="application/json", **headers)


@pytest.mark.parametrize("absolute", [False, True])
def test_pages_are_followed_by_relative_and_absolute_links(absolute):
    with serving(lambda one: paged(one, absolute=absolute)) as server:
        assert list_tags(f"{server.host}/nvidia/cuda", access()) == tuple(TAGS)
    assert len(server.asked) == 4
    assert "n=1000" in server.asked[0][1]


def test_the_mirror_of_the_site_is_asked():
    with serving(paged) as server:
        mirrors = Access(mirrors={"docker.io": server.host}, timeout=10)
        assert len(list_tags("docker.io/nvidia/cuda", mirrors)) == len(TAGS)


def test_a_token_is_fetched_once_for_all_pages():
    def answer(exchange: Exchange) -> None:
        if exchange.path.startswith("/token"):
            exchange.send(200, b'{"token": "secret"}')
        elif exchange.headers.get("Authorization") == "Bearer secret":
            paged(exchange)
        else:
            realm = f'Bearer realm="http://{exchange.server.host}/token",service="registry"'
            exchange.send(401, WWW_Authenticate=realm)

    with serving(answer) as server:
        assert len(list_tags(f"{server.host}/nvidia/cuda", access())) == len(TAGS)
    tokens = [path for _, path, _ in server.asked if path.startswith("/token")]
    assert len(tokens) == 1
    assert "scope=repository%3Anvidia%2Fcuda%3Apull" in tokens[0]


def test_a_rate_limit_is_waited_for_as_asked():
    turns = iter([True])

    def answer(exchange: Exchange) -> None:
        if next(turns, False):
            exchange.send(429, Retry_After="1")
        else:
            paged(exchange)

    with serving(answer) as server:
        took = elapsed(lambda: list_tags(f"{server.host}/nvidia/cuda", access()))
    assert 1 <= took < 5


def test_a_lasting_rate_limit_is_told():
    with (
        serving(lambda one: one.send(429, Retry_After="0")) as server,
        pytest.raises(SurroundingsError, match="too many requests"),
    ):
        list_tags(f"{server.host}/nvidia/cuda", access())


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:1/v2/nvidia/cuda/tags/list?last=x",
        "ftp://localhost/v2/nvidia/cuda/tags/list",
        "file:///etc/passwd",
        "/v2/other/tags/list?last=x",
        "https://registry.example/v2/nvidia/cuda/tags/list",
    ],
)
def test_a_next_page_somewhere_else_is_refused(target):
    def answer(exchange: Exchange) -> None:
        exchange.send(200, b'{"tags": ["a"]}', Link=f'<{target}>; rel="next"')

    with serving(answer) as server, pytest.raises(SurroundingsError):
        list_tags(f"{server.host}/nvidia/cuda", access())
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "target", ["ftp://localhost/tags", "file:///etc/passwd", "http://registry.example/x"]
)
def test_a_redirect_to_another_scheme_or_to_plain_http_is_refused(target):
    with (
        serving(lambda one: one.send(302, Location=target)) as server,
        pytest.raises(SurroundingsError, match="plain http is for this machine only"),
    ):
        list_tags(f"{server.host}/nvidia/cuda", access())
    assert len(server.asked) == 1


def test_a_page_that_leads_to_itself_ends():
    def answer(exchange: Exchange) -> None:
        exchange.send(200, b'{"tags": ["a"]}', Link=f'<{exchange.path}>; rel="next"')

    with serving(answer) as server, pytest.raises(SurroundingsError, match="without end"):
        list_tags(f"{server.host}/nvidia/cuda", access())


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (b"<html>login</html>", "not JSON"),
        (b'{"tags": {"a": 1}}', "no list of tags"),
        (b'{"tags": [3]}', "no list of tags"),
        (b"[" * 50_000, "not JSON"),
        (b'{"tags": ["' + b"a" * (5 * 1024 * 1024) + b'"]}', "more than 4 MiB"),
    ],
)
def test_nonsense_and_giants_are_told(body, match):
    with (
        serving(lambda one: one.send(200, body)) as server,
        pytest.raises(SurroundingsError, match=match),
    ):
        list_tags(f"{server.host}/nvidia/cuda", access())


def test_a_truncated_page_is_told():
    with (
        serving(lambda one: one.send(200, b'{"tags": ["a"', Content_Length="4000")) as server,
        pytest.raises(SurroundingsError),
    ):
        list_tags(f"{server.host}/nvidia/cuda", access(timeout=3))


def test_a_drip_ends_at_the_deadline():
    def answer(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.end_headers()
        exchange.drip(b'{"tags": []}' * 100, pause=0.2)

    with serving(answer) as server:

        def ask() -> None:
            with pytest.raises(SurroundingsError, match="within 1 s"):
                list_tags(f"{server.host}/nvidia/cuda", access(timeout=1))

        assert elapsed(ask) < 3


def test_what_is_no_tag_is_left_out_and_none_are_none():
    with serving(lambda one: one.send(200, b'{"tags": ["a", "../b", "c d", "a"]}')) as server:
        assert list_tags(f"{server.host}/nvidia/cuda", access()) == ("a",)
    with serving(lambda one: one.send(200, b'{"tags": null}')) as server:
        assert list_tags(f"{server.host}/nvidia/cuda", access()) == ()


def test_no_such_repository_is_the_answer_no():
    with serving(lambda one: one.send(404)) as server, pytest.raises(NegativeAnswer, match="no such reposi"):
        list_tags(f"{server.host}/nvidia/cuda", access())


@pytest.mark.parametrize("name", ["nvidia/cuda:12", "Nvidia/CUDA x", f"cuda@sha256:{'0' * 64}"])
def test_what_is_no_repository_is_refused(name):
    with pytest.raises(InputError):
        list_tags(name, access())
