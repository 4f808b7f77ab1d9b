"""Registries of a test's own: Debian's docker-registry on loopback, plain, with TLS, with a password; and a
place in front of one that fails as it is told to."""

import base64
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.engine import START_ONE, NotReachable
from tests.support.tiny import wait_until

USER, PASSWORD = "tester", "let me in"
# bcrypt of the password, which no module of every Python makes.
HTPASSWD = f"{USER}:$2b$04$eGrqFdwTRY5wahnwhu48UerK/VuRtwVOVTFbXuqJWVNQHWDQe.qV6\n"
CERTIFICATE = Path(__file__).parents[1] / "unit/registry/data/localhost.pem"
MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


@dataclass
class DebianRegistry:
    """One registry; `stop` and `start` it as often as you like, its content stays."""

    directory: Path
    port: int
    is_tls: bool = False
    wants_login: bool = False
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    @property
    def storage(self) -> Path:
        return self.directory / "storage"

    def start(self) -> None:
        config = self.directory / "config.json"  # JSON is YAML
        http_part: dict[str, object] = {"addr": f"127.0.0.1:{self.port}"}
        if self.is_tls:
            http_part["tls"] = {"certificate": str(CERTIFICATE), "key": str(CERTIFICATE)}
        values: dict[str, object] = {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(self.storage)}, "delete": {"enabled": True}},
            "http": http_part,
        }
        if self.wants_login:
            (self.directory / "htpasswd").write_text(HTPASSWD)
            values["auth"] = {"htpasswd": {"realm": "test", "path": str(self.directory / "htpasswd")}}
        config.write_text(json.dumps(values))
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", str(config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        wait_until(self._answers, timeout=10, what="the registry starts")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def get(self, path: str, *, accept: str = "*/*") -> bytes:
        """What the registry answers, with the login that it wants."""
        request = urllib.request.Request(f"{self._base}/v2/{path}", headers={"Accept": accept})
        if self.wants_login:
            login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            request.add_header("Authorization", f"Basic {login}")
        with urllib.request.urlopen(request, timeout=30, context=self._context()) as answer:
            return answer.read()

    def digest(self, repository: str, tag: str) -> str:
        """Of what is under a tag."""
        import hashlib

        body = self.get(f"{repository}/manifests/{tag}", accept=MANIFESTS)
        return f"sha256:{hashlib.sha256(body).hexdigest()}"

    def tags(self, repository: str) -> list[str]:
        try:
            return sorted(json.loads(self.get(f"{repository}/tags/list"))["tags"] or [])
        except urllib.error.HTTPError:
            return []

    @property
    def _base(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://{self.host}"

    def _context(self):
        import ssl

        return ssl.create_default_context(cafile=str(CERTIFICATE)) if self.is_tls else None

    def _answers(self) -> bool:
        try:
            self.get("")
        except OSError:
            return False
        return True


@contextlib.contextmanager
def serving_registry(
    directory: Path, *, is_tls: bool = False, wants_login: bool = False
) -> Iterator[DebianRegistry]:
    """A registry, ended with the block. Raises NotReachable where there is no such program."""
    if shutil.which("docker-registry") is None:
        raise NotReachable(f"there is no docker-registry program; {START_ONE}")
    directory.mkdir(parents=True, exist_ok=True)
    registry = DebianRegistry(directory=directory, port=free_port(), is_tls=is_tls, wants_login=wants_login)
    registry.start()
    try:
        yield registry
    finally:
        registry.kill()


def docker_config(directory: Path, host: str, *, password: str = PASSWORD) -> Path:
    """A configuration of the docker command line that is logged in to a host."""
    directory.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (directory / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    plugins = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")) / "cli-plugins"
    if plugins.is_dir():
        (directory / "cli-plugins").symlink_to(plugins)
    return directory


def free_port() -> int:
    import socket

    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


class Flaky(ThreadingHTTPServer):
    """In front of a registry; for `seconds` from the first request that would write, every one but questions
    for content gets `status` instead."""

    daemon_threads = True

    def __init__(
        self, registry: DebianRegistry, *, status: int, seconds: float, retry_after: int | None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.registry = registry
        self.status = status
        self.retry_after = retry_after
        self.refused = 0
        self._seconds = seconds
        self._ends: float | None = None
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        return f"localhost:{self.server_address[1]}"

    def refuses(self, command: str, path: str) -> bool:
        """Whether this request is one that is refused."""
        with self._lock:
            if command in ("GET", "HEAD") and (self._ends is None or path != "/v2/"):
                return False
            if self._ends is None:
                self._ends = time.monotonic() + self._seconds
            is_refused = time.monotonic() < self._ends
            self.refused += is_refused
            return is_refused

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Flaky

    def forward(self) -> None:
        body = self._body()
        server = self.server
        if server.refuses(self.command, self.path):
            self.send_response(server.status)
            if server.retry_after is not None:
                self.send_header("Retry-After", str(server.retry_after))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        connection = http.client.HTTPConnection("127.0.0.1", server.registry.port, timeout=60)
        kept = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body=body, headers=kept)
            answer = connection.getresponse()
            content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = forward  # noqa: N815 -- names that the base class looks for

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            found = bytearray()
            while size := int(self.rfile.readline().split(b";")[0], 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return bytes(found)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Engines try TLS first, and know by an answer with a status line that there is none."""
        self.request_version = "HTTP/1.1"
        super().send_error(code, message, explain)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing on the terminal."""


@contextlib.contextmanager
def flaky(
    registry: DebianRegistry, *, status: int, seconds: float, retry_after: int | None = None
) -> Iterator[Flaky]:
    """A flaky way to a registry, ended with the block."""
    server = Flaky(registry, status=status, seconds=seconds, retry_after=retry_after)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
