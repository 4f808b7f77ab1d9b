"""Digests from a registry: the protocol, and every way in which a registry can disappoint."""

from __future__ import annotations

import base64
import gc
import gzip
import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from cudaforge.errors import CudaforgeError, ExitCode, InputError, NegativeAnswer, SurroundingsError
from cudaforge.registry import Access, Credentials, RegistryDigest, push_index, resolve_digest
from cudaforge.registry.transport import Request, Transport
from tests.unit.registry.server import (
    CERTIFICATE,
    DOCKER_LIST,
    OCI_INDEX,
    OCI_MANIFEST,
    Exchange,
    digest_of,
    elapsed,
    index,
    manifests,
    serving,
)

INDEX = index("linux/amd64", "linux/arm64/v8")
MANIFEST = b'{"schemaVersion": 2}'
IMAGES = {
    "team/app:1": (OCI_INDEX, INDEX),
    "team/app:docker": (DOCKER_LIST, INDEX),
    "team/app:single": (OCI_MANIFEST, MANIFEST),
    "hub/library/python:3.12": (OCI_INDEX, INDEX),
    "team/app:latest": (OCI_MANIFEST, MANIFEST),
}


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def ask(
    reference: str,
    *,
    platforms: tuple[str, ...] = (),
    mirrors: Mapping[str, str] | None = None,
    timeout: float = 10,
    login: Credentials | None = None,
    ca_bundle: Path | None = None,
) -> RegistryDigest:
    access = Access(mirrors=mirrors or {}, timeout=timeout, credentials=lambda _: login, ca_bundle=ca_bundle)
    return resolve_digest(reference, access, platforms=platforms)


def fails(kind: type[CudaforgeError], run: Callable[[], object]) -> str:
    """The whole text of the one problem that ends `run`."""
    with pytest.raises(kind) as caught:
        run()
    (problem,) = caught.value.problems
    assert problem.remedy
    text = " ".join((problem.what, *problem.because, problem.remedy))
    assert text.isprintable()
    assert "hunter2" not in text
    return text


def test_digest_of_a_tag_by_one_head_request() -> None:
    with serving(manifests(IMAGES)) as server:
        found = ask(f"{server.host}/team/app:1")
        assert found.digest == digest_of(INDEX)
        assert found.media_type == OCI_INDEX
        assert found.size == len(INDEX)
        assert found.reference == f"{server.host}/team/app:1"
        assert [(method, path) for method, path, _ in server.asked] == [("HEAD", "/v2/team/app/manifests/1")]
        assert ask(f"{server.host}/team/app").digest == digest_of(MANIFEST)
        assert ask(f"{server.host}/team/app:docker").media_type == DOCKER_LIST


def test_platform_must_be_there() -> None:
    with serving(manifests(IMAGES)) as server:
        found = ask(f"{server.host}/team/app:1", platforms=("linux/amd64",))
        assert found.digest == digest_of(INDEX)
        assert found.platform_digests == {"linux/amd64": digest_of(b"linux/amd64")}
        arm = ask(f"{server.host}/team/app:1", platforms=("linux/arm64",))
        assert arm.platform_digests == {"linux/arm64": digest_of(b"linux/arm64/v8")}
        assert ask(f"{server.host}/team/app:single", platforms=("linux/amd64",)).platform_digests == {}
        text = fails(NegativeAnswer, lambda: ask(f"{server.host}/team/app:1", platforms=("linux/s390x",)))
        assert "no image for linux/s390x" in text
        assert "it has: linux/amd64, linux/arm64/v8" in text
        assert "unknown" not in text


def test_every_platform_must_be_there() -> None:
    both = ("linux/amd64", "linux/arm64")
    with serving(manifests(IMAGES)) as server:
        found = ask(f"{server.host}/team/app:1", platforms=both)
        assert found.digest == digest_of(INDEX)
        assert found.platform_digests == {
            "linux/amd64": digest_of(b"linux/amd64"),
            "linux/arm64": digest_of(b"linux/arm64/v8"),
        }
        wrong = ("linux/amd64", "linux/s390x")
        text = fails(NegativeAnswer, lambda: ask(f"{server.host}/team/app:1", platforms=wrong))
        assert "no image for linux/s390x" in text
        text = fails(NegativeAnswer, lambda: ask(f"{server.host}/team/app:single", platforms=both))
        assert "no image for linux/amd64 and linux/arm64" in text
        assert "one image, for one platform" in text


def test_mirror_stands_in_for_a_registry() -> None:
    with serving(manifests(IMAGES)) as server:
        found = ask("python:3.12", mirrors={"docker.io": f"{server.host}/hub"})
        assert found.digest == digest_of(INDEX)
        assert found.reference == f"{server.host}/hub/library/python:3.12"


def test_digest_in_the_reference_is_checked() -> None:
    with serving(manifests(IMAGES)) as server:
        good, other = digest_of(INDEX), digest_of(b"other")
        assert ask(f"{server.host}/team/app:1@{good}").digest == good
        assert ask(f"{server.host}/team/app@{good}").digest == good
        assert "another digest now" in fails(NegativeAnswer, lambda: ask(f"{server.host}/team/app:1@{other}"))
        assert "no such digest" in fails(NegativeAnswer, lambda: ask(f"{server.host}/team/app@{other}"))
        assert server.asked[1][1].endswith(good)
        text = fails(InputError, lambda: ask(f"{server.host}/team/app@sha256:12"))
        assert "64 lower-case hexadecimal digits" in text


def test_digest_is_computed_where_the_header_is_missing() -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(200, MANIFEST, Content_Type=f"{OCI_MANIFEST}; charset=utf-8")

    with serving(answer) as server:
        assert ask(f"{server.host}/a").digest == digest_of(MANIFEST)
        assert [method for method, *_ in server.asked] == ["HEAD", "GET"]


def test_content_must_match_the_digest_header() -> None:
    def answer(exchange: Exchange) -> None:
        body = b"" if exchange.command == "HEAD" else INDEX
        exchange.send(200, body, Content_Type=OCI_INDEX, Docker_Content_Digest=digest_of(b"other"))

    with serving(answer) as server:
        text = fails(SurroundingsError, lambda: ask(f"{server.host}/a", platforms=("linux/amd64",)))
        assert "does not match the digest" in text


def _token_service(expected_login: str | None) -> Callable[[Exchange], None]:
    registry = manifests(IMAGES)

    def answer(exchange: Exchange) -> None:
        if exchange.path.startswith("/token"):
            query = parse_qs(exchange.form or urlsplit(exchange.path).query)
            granted = (
                query["scope"] == ["repository:team/app:pull"]
                and query["service"] == ["registry.test"]
                and (
                    query.get("refresh_token") == [expected_login]
                    if exchange.command == "POST"
                    else exchange.headers.get("Authorization") == expected_login
                )
            )
            body = json.dumps({"token": "abc"} if granted else {"details": "hunter2"}).encode()
            exchange.send(200 if granted else 401, body, Content_Type="application/json")
        elif exchange.headers.get("Authorization") == "Bearer abc":
            registry(exchange)
        else:
            realm = (
                f'Bearer realm="http://{exchange.headers["Host"]}/token",service="registry.test",scope="x"'
            )
            exchange.send(401, b"{}", WWW_Authenticate=realm)

    return answer


BASIC = "Basic " + base64.b64encode(b"me:hunter2").decode()
LOGIN = Credentials(username="me", password="hunter2")


@pytest.mark.parametrize(
    ("login", "expected"),
    [(None, None), (LOGIN, BASIC), (Credentials(identity_token="hunter2"), "hunter2")],
    ids=["anonymous", "password", "identity token"],
)
def test_bearer_tokens(login: Credentials | None, expected: str | None) -> None:
    with serving(_token_service(expected)) as server:
        assert ask(f"{server.host}/team/app:1", login=login, platforms=("linux/amd64",)).digest == digest_of(
            INDEX
        )
        # The token is fetched once, and the second request brings it along.
        assert [path.partition("?")[0] for _, path, _ in server.asked].count("/token") == 1


def test_login_that_the_token_service_refuses() -> None:
    with serving(_token_service("something else")) as server:
        text = fails(SurroundingsError, lambda: ask(f"{server.host}/team/app:1", login=LOGIN))
        assert "its token service, wants a login for" in text
        assert f"docker login {server.host}" in text


def test_basic_login() -> None:
    registry = manifests(IMAGES)

    def answer(exchange: Exchange) -> None:
        if exchange.headers.get("Authorization") == BASIC:
            registry(exchange)
        else:
            exchange.send(401, WWW_Authenticate='Basic realm="x"')

    with serving(answer) as server:
        assert ask(f"{server.host}/team/app:1", login=LOGIN).digest == digest_of(INDEX)
        text = fails(SurroundingsError, lambda: ask(f"{server.host}/team/app:1"))
        assert "wants a login" in text


def test_tokens_are_fetched_by_https_only() -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(401, WWW_Authenticate='Bearer realm="http://tokens.example/t",service="x"')

    with serving(answer) as server:
        text = fails(SurroundingsError, lambda: ask(f"{server.host}/a", login=LOGIN))
        assert "tokens.example is not https" in text


def test_the_words_are_those_of_the_engine_that_is_there() -> None:
    with serving(lambda exchange: exchange.send(403)) as server:
        access = Access(mirrors={}, timeout=5, login_command="podman login", push_command="podman push")
        told = fails(SurroundingsError, lambda: resolve_digest(f"{server.host}/a:1", access, platforms=()))
        assert f"podman login {server.host}" in told
        told = fails(SurroundingsError, lambda: push_index(f"{server.host}/a:1", access, ()))
        assert f"podman login {server.host}" in told
        assert "whether podman push works there" in told
        assert "docker" not in told


STATUS = [
    (401, SurroundingsError, "wants a login", "docker login"),
    (403, SurroundingsError, "does not allow to read", "docker login"),
    (404, NegativeAnswer, "no such tag: localhost", "pick another"),
    (418, SurroundingsError, "answered with status 418", "[registries]"),
    (429, SurroundingsError, "too many requests", "[registries]"),
    (500, SurroundingsError, "failed with status 500", "[registries]"),
    (503, SurroundingsError, "failed with status 503", "[registries]"),
]


@pytest.mark.parametrize(("status", "kind", "what", "remedy"), STATUS)
def test_every_refusal_has_its_own_message(
    status: int, kind: type[CudaforgeError], what: str, remedy: str
) -> None:
    with serving(lambda exchange: exchange.send(status, b"{}", Retry_After="0")) as server:
        text = fails(kind, lambda: ask(f"{server.host}/team/app:9"))
        assert server.host in text
        assert what in text
        assert remedy in text
        assert len(server.asked) == (3 if status in (429, 500, 503) else 1)


def test_exit_codes() -> None:
    assert NegativeAnswer.exit_code is ExitCode.NEGATIVE
    assert SurroundingsError.exit_code is ExitCode.SURROUNDINGS


def test_passing_failures_are_tried_again() -> None:
    registry = manifests(IMAGES)

    def answer(exchange: Exchange) -> None:
        match len(exchange.server.asked):
            case 1:
                exchange.send(503, Retry_After="0")
            case 2:
                exchange.close_connection = True
                exchange.connection.shutdown(socket.SHUT_RDWR)
            case _:
                registry(exchange)

    with serving(answer) as server:
        assert ask(f"{server.host}/team/app:1").digest == digest_of(INDEX)
        assert len(server.asked) == 3


def test_retry_after_is_honoured_within_the_deadline() -> None:
    registry = manifests(IMAGES)

    def answer(exchange: Exchange) -> None:
        if len(exchange.server.asked) == 1:
            exchange.send(429, Retry_After="1")
        else:
            registry(exchange)

    with serving(answer) as server:
        assert 1 <= elapsed(lambda: ask(f"{server.host}/team/app:1")) < 5
    with serving(lambda exchange: exchange.send(429, Retry_After="86400")) as server:
        seconds = elapsed(
            lambda: fails(SurroundingsError, lambda: ask(f"{server.host}/team/app:1", timeout=3))
        )
        assert seconds < 3


def _drip_headers(exchange: Exchange) -> None:
    exchange.drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000, pause=0.05)


def _drip_body(exchange: Exchange) -> None:
    exchange.send_response(200)
    exchange.send_header("Content-Type", OCI_MANIFEST)
    exchange.send_header("Content-Length", "10000")
    exchange.end_headers()
    if exchange.command != "HEAD":
        exchange.drip(b"x" * 10_000, pause=0.05)


def _say_nothing(exchange: Exchange) -> None:
    exchange.server.closing.wait(30)


@pytest.mark.parametrize("answer", [_drip_headers, _drip_body, _say_nothing])
def test_the_deadline_is_total(answer: Callable[[Exchange], None]) -> None:
    with serving(answer) as server:
        texts: list[str] = []
        seconds = elapsed(
            lambda: texts.append(fails(SurroundingsError, lambda: ask(f"{server.host}/a", timeout=1)))
        )
        assert seconds < 2
        assert "gave no whole answer within 1 s" in texts[0]


def test_broken_off_answers() -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(200, b"{}", Content_Type=OCI_MANIFEST, Content_Length="100")
        exchange.close_connection = True

    with serving(answer) as server:
        assert "broke the connection off" in fails(SurroundingsError, lambda: ask(f"{server.host}/a"))


def test_html_where_json_is_expected() -> None:
    with serving(lambda exchange: exchange.send(200, b"<html>", Content_Type="text/html")) as server:
        text = fails(SurroundingsError, lambda: ask(f"{server.host}/a"))
        assert "an HTML page" in text
        assert server.host in text


@pytest.mark.parametrize(
    "body", [b"<html>", b"[" * 100_000, b'{"manifests": 1}', b"[]", b'{"manifests": [1, {}]}']
)
def test_nonsense_in_an_index(body: bytes) -> None:
    with serving(manifests({"a:latest": (OCI_INDEX, body)})) as server:
        with pytest.raises(CudaforgeError) as caught:
            ask(f"{server.host}/a", platforms=("linux/amd64",))
        assert caught.value.problems


def test_old_kinds_of_manifest() -> None:
    media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws"

    def answer(exchange: Exchange) -> None:
        exchange.send(200, b"{}", Content_Type=media_type, Docker_Content_Digest=digest_of(b"{}"))

    with serving(answer) as server:
        assert "manifest.v1+prettyjws" in fails(SurroundingsError, lambda: ask(f"{server.host}/a"))


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_answers_have_a_size_limit_after_inflation(encoding: str) -> None:
    giant = b"0" * 30_000_000
    body = gzip.compress(giant) if encoding == "gzip" else giant

    def answer(exchange: Exchange) -> None:
        exchange.send(200, body, Content_Type=OCI_MANIFEST, Content_Encoding=encoding)

    with serving(answer) as server:
        assert "more than 4 MiB" in fails(SurroundingsError, lambda: ask(f"{server.host}/a"))


def test_compressed_answers_are_read() -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(200, gzip.compress(INDEX), Content_Type=OCI_INDEX, Content_Encoding="gzip")

    with serving(answer) as server:
        assert ask(f"{server.host}/a", platforms=("linux/amd64",)).digest == digest_of(INDEX)


def _redirect(target: str, status: int = 307) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.send(status, Location=target)


@pytest.mark.parametrize(
    "target", ["http://other.example/x", "ftp://h/x", "file:///etc/passwd", "//evil.example/x"]
)
def test_redirects_to_other_schemes_are_refused(target: str) -> None:
    with serving(_redirect(target)) as server:
        assert "is not https" in fails(SurroundingsError, lambda: ask(f"{server.host}/a"))
        assert len(server.asked) == 1


def test_redirects_have_an_end() -> None:
    with serving(_redirect("/again")) as server:
        assert "more than 5 redirects" in fails(SurroundingsError, lambda: ask(f"{server.host}/a"))
        assert len(server.asked) == 6


def test_redirects_take_no_login_to_another_host() -> None:
    with serving(manifests(IMAGES)) as other:

        def answer(exchange: Exchange) -> None:
            if "Authorization" in exchange.headers:
                exchange.send(307, Location=f"http://{other.host}{exchange.path}")
            else:
                exchange.send(401, WWW_Authenticate="Basic realm=x")

        with serving(answer) as server:
            assert ask(f"{server.host}/team/app:1", login=LOGIN).digest == digest_of(INDEX)
        assert other.asked
        assert all("Authorization" not in headers for *_, headers in other.asked)


def test_unreachable_hosts() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        text = fails(SurroundingsError, lambda: ask(f"localhost:{port}/a"))
        assert f"localhost:{port} refuses connections" in text
        assert "[registries]" in text
        # What asks for a digest alone can go on without one.
        assert "--allow-unpinned" not in text


def test_names_that_cannot_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # Unit tests may not ask the network for names; the resolver's own answer is what is tested here.
    asked: list[object] = []

    def fail(*_: object, **__: object) -> object:
        asked.append(code)
        raise socket.gaierror(code, "the name server's own words")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    # A name server that gave no answer is asked again; one that knows no such name is not.
    for code, times in ((socket.EAI_NONAME, 1), (socket.EAI_AGAIN, 3)):
        text = fails(SurroundingsError, lambda: ask("registry.example/a"))
        assert "registry registry.example is a name that cannot be found" in text
        assert asked.count(code) == times


def _send(url: str, *, ca_bundle: Path | None = None) -> int:
    transport = Transport(timeout=5, ca_bundle=ca_bundle, proxies={}, no_proxy=None)
    return transport.send(Request(method="GET", url=url)).status


def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda exchange: exchange.send(200), tls=True) as server:
        url = f"https://{server.host}/"
        text = fails(SurroundingsError, lambda: _send(url))
        assert "certificate that is not trusted" in text
        assert "ca_bundle under [network], or SSL_CERT_FILE" in text
        assert _send(url, ca_bundle=CERTIFICATE) == 200
        broken = tmp_path / "broken.pem"
        broken.write_text("no certificate")
        assert "broken.pem is no readable PEM" in fails(
            SurroundingsError, lambda: _send(url, ca_bundle=broken)
        )
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        assert _send(url) == 200


def test_redirect_from_https_to_http_is_refused() -> None:
    with serving(manifests(IMAGES)) as plain, serving(_redirect(f"http://{plain.host}/"), tls=True) as server:
        text = fails(SurroundingsError, lambda: _send(f"https://{server.host}/", ca_bundle=CERTIFICATE))
        assert "redirects from https to http" in text
        assert not plain.asked


def test_no_tls_where_it_is_expected() -> None:
    with serving(lambda exchange: exchange.send(200)) as server:
        assert "speaks no TLS" in fails(SurroundingsError, lambda: _send(f"https://{server.host}/"))


@pytest.mark.parametrize("value", ["notaurl", "ftp://proxy:1", "http://", "http://h:x"])
def test_a_bad_proxy_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert "HTTPS_PROXY is no address of a proxy" in fails(
        SurroundingsError, lambda: ask("registry.example/a")
    )


# Python 3.10 leaves the answer of a proxy that refuses to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_proxies_are_used_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    # A proxy that refuses: what matters is who was asked, and with which login.
    lines: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        import threading

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                lines.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter2@127.0.0.1:{listener.getsockname()[1]}")
        text = fails(SurroundingsError, lambda: ask("registry.example/a"))
        thread.join(5)
    assert "through the proxy of HTTPS_PROXY" in text
    assert "407" in text
    assert lines[0].startswith(b"CONNECT registry.example:443")
    assert BASIC.encode() in lines[0]
    gc.collect()


def test_secrets_do_not_show_in_representations() -> None:
    assert "hunter2" not in repr(LOGIN) + repr(Credentials(identity_token="hunter2"))
    request = Request(method="GET", url="https://h/", headers={"Authorization": "hunter2"}, body=b"hunter2")
    assert "hunter2" not in repr(request)
