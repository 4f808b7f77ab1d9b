"""A package index on loopback: simple pages over a directory of wheels, that remembers what was asked."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.support.wheels import hash_of


@dataclass
class Index:
    """A running index. `asked` grows with every path that is asked for."""

    files: Path
    credentials: str | None = None
    with_hashes: bool = True
    status: int | None = None
    hangs: threading.Event | None = None
    tls: tuple[Path, Path] | None = None
    """Certificate and key of an index that speaks TLS."""
    asked: list[str] = field(default_factory=list)
    port: int = 0
    yanked: frozenset[str] = frozenset()
    """Names of the files that are withdrawn (PEP 592)."""
    uploaded: Mapping[str, str] | None = None
    """When the index got a file, by its name (PEP 700); None for an index that does not tell."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}/simple"

    @property
    def packages_asked(self) -> set[str]:
        return {path.split("/")[2] for path in self.asked if path.startswith("/simple/")}

    def document(self, package: str) -> str:
        """The package's page as JSON, which is the form that has dates."""
        files = [
            {
                "filename": path.name,
                "url": f"../../files/{path.name.replace('+', '%2B')}",
                "hashes": {"sha256": hash_of(path)},
                "size": path.stat().st_size,
                **({"upload-time": self.uploaded[path.name]} if path.name in self.uploaded else {}),
            }
            for path in sorted(self.files.iterdir())
            if canonicalize_name(path.name.split("-")[0]) == package
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": package, "versions": [], "files": files})

    def page(self, package: str) -> str | None:
        links = []
        for path in sorted(self.files.iterdir()):
            if canonicalize_name(path.name.split("-")[0]) == package:
                fragment = f"#sha256={hash_of(path)}" if self.with_hashes else ""
                mark = ' data-yanked="broken"' if path.name in self.yanked else ""
                address = f"../../files/{path.name.replace('+', '%2B')}{fragment}"
                links.append(f'<a href="{address}"{mark}>{path.name}</a>')
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>" if links else None


@contextmanager
def serve(index: Index) -> Iterator[Index]:
    """Serve the index on a free port of loopback while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            index.asked.append(self.path)
            if index.hangs is not None:
                index.hangs.wait(30)
            status, body, kind = _answer(index, self.path, self.headers.get("Authorization"))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="test"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that was stopped while it waited is no error of the index."""

    server = Server(("127.0.0.1", 0), Handler)
    if index.tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*index.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    server.block_on_close = False
    index.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        if index.hangs is not None:
            index.hangs.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(index: Index, path: str, authorization: str | None) -> tuple[int, bytes, str]:
    if index.status is not None:
        return index.status, b"no", "text/plain"
    if index.credentials is not None:
        expected = "Basic " + base64.b64encode(index.credentials.encode()).decode()
        if authorization != expected:
            return 401, b"no", "text/plain"
    parts = path.replace("%2B", "+").split("/")
    if parts[1] == "files" and (index.files / parts[2]).is_file():
        return 200, (index.files / parts[2]).read_bytes(), "application/octet-stream"
    if index.uploaded is not None and parts[1] == "simple":
        return 200, index.document(parts[2]).encode(), "application/vnd.pypi.simple.v1+json"
    page = index.page(parts[2]) if parts[1] == "simple" else None
    return (200, page.encode(), "text/html") if page is not None else (404, b"no", "text/plain")
