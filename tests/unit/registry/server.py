"""A registry on loopback that really speaks HTTP, and misbehaves when told to."""

from __future__ import annotations

import contextlib
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CERTIFICATE = Path(__file__).parent / "data" / "localhost.pem"
"""A self-signed certificate for localhost with its key, good for a century and for tests only."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def index(*platforms: str) -> bytes:
    """An index with one made-up manifest per platform, and the attestation that BuildKit adds."""
    manifests: list[object] = []
    for name in (*platforms, "unknown/unknown"):
        parts = name.split("/")
        platform = dict(zip(("os", "architecture", "variant"), parts, strict=False))
        manifests.append({"digest": digest_of(name.encode()), "size": 1, "platform": platform})
    return json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()


class Exchange(BaseHTTPRequestHandler):
    """One request and what is answered to it."""

    protocol_version = "HTTP/1.1"
    server: Server

    def handle_one(self) -> None:
        self.server.asked.append((self.command, self.path, dict(self.headers.items())))
        length = int(self.headers.get("Content-Length") or 0)
        self.form = self.rfile.read(length).decode()
        with contextlib.suppress(ConnectionError):
            self.server.answer(self)

    do_GET = do_HEAD = do_POST = do_PUT = handle_one  # noqa: N815 -- names that the base class looks for

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer. Header names with `_` for `-`."""
        self.send_response(status)
        names = {"Content-Length": str(len(body))} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        for name, value in names.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def drip(self, data: bytes, *, pause: float) -> None:
        """Send byte by byte, slower than any per-read time-out notices."""
        for byte in data:
            if self.server.closing.wait(pause):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing on the terminal."""


class Server(ThreadingHTTPServer):
    """Answers with `answer`, and remembers what was asked."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Exchange], None], *, tls: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.answer = answer
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.closing = threading.Event()
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def host(self) -> str:
        return f"localhost:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


@contextlib.contextmanager
def serving(answer: Callable[[Exchange], None], *, tls: bool = False) -> Iterator[Server]:
    server = Server(answer, tls=tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def manifests(images: dict[str, tuple[str, bytes]]) -> Callable[[Exchange], None]:
    """A well-behaved registry: `repository:tag` to media type and body; by digest too."""
    by_path = {}
    for name, (media_type, body) in images.items():
        repository, _, tag = name.rpartition(":")
        by_path[f"/v2/{repository}/manifests/{tag}"] = (media_type, body)
        by_path[f"/v2/{repository}/manifests/{digest_of(body)}"] = (media_type, body)

    def answer(exchange: Exchange) -> None:
        found = by_path.get(exchange.path)
        # Like real registries: a client that does not accept the type is told that nothing is there.
        if found is None or found[0] not in exchange.headers.get("Accept", ""):
            exchange.send(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}', Content_Type="application/json")
            return
        media_type, body = found
        exchange.send(200, body, Content_Type=media_type, Docker_Content_Digest=digest_of(body))

    return answer


def elapsed(run: Callable[[], object]) -> float:
    started = time.monotonic()
    run()
    return time.monotonic() - started
