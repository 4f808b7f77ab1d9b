"""HTTP as far as registries need it: one total deadline, capped answers, checked redirects, few retries."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

from cudaforge.errors import Problem, SurroundingsError
from cudaforge.registry.proxies import Proxy, find_proxy

MAX_BODY = 4 * 1024 * 1024
MAX_REDIRECTS = 5
_TRIES = 3
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_CHUNK = 65_536
_REDIRECTS = (301, 302, 303, 307, 308)
_TRANSIENT = (408, 429, 500, 502, 503, 504)


class RegistryUnreachable(SurroundingsError):
    """No answer: name not found, refused, not trusted, too slow, cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole answer. Header names are lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


class _CutOff(Exception):
    """An exchange that was broken off, or found no address; worth another try. The text says which."""


class Transport:
    """Sends requests until a moment that is fixed when it is made."""

    def __init__(
        self, *, timeout: float, ca_bundle: Path | None, proxies: Mapping[str, str], no_proxy: str | None
    ) -> None:
        self._ends = time.monotonic() + timeout
        self._timeout = timeout
        self._ca_bundle = ca_bundle
        self._proxies = proxies
        self._no_proxy = no_proxy

    def send(self, request: Request) -> Response:
        """The answer to a request, redirects followed, passing failures tried again.

        Raises RegistryUnreachable. Any status is an answer, also 500 after the last try.
        """
        pause = _FIRST_PAUSE
        for attempt in range(1, _TRIES + 1):
            is_last = attempt == _TRIES
            try:
                response = self._follow(request)
            except _CutOff as error:
                if is_last:
                    raise _unreachable(request.url, str(error)) from None
                response = None
            if response is not None and (response.status not in _TRANSIENT or is_last):
                return response
            wait = _asked_pause(response) if response is not None else None
            wait = min(_LONGEST_PAUSE, pause if wait is None else wait)
            if response is not None and wait >= self._remaining():
                return response
            time.sleep(max(0.0, min(wait, self._remaining())))
            pause *= 2
        raise AssertionError("the last try returns or raises")

    def _remaining(self) -> float:
        return self._ends - time.monotonic()

    def _follow(self, request: Request) -> Response:
        for _ in range(MAX_REDIRECTS + 1):
            response = self._exchange(request)
            target = response.headers.get("location")
            if response.status not in _REDIRECTS or not target:
                return response
            request = _redirected(request, response.status, target)
        raise _unreachable(request.url, f"sent more than {MAX_REDIRECTS} redirects")

    def _exchange(self, request: Request) -> Response:
        """One exchange in a thread of its own: name look-ups and slow drips know no deadline."""
        parts = check_url(request.url)
        proxy = find_proxy(parts, configured=self._proxies, no_proxy=self._no_proxy)
        remaining = self._remaining()
        if remaining <= 0:
            raise self._too_slow(request.url)
        connection = self._connection(parts, proxy, remaining)
        answers: queue.SimpleQueue[Response | Exception] = queue.SimpleQueue()

        def work() -> None:
            try:
                answers.put(_converse(connection, parts, request))
            except Exception as error:  # noqa: BLE001 -- raised again by the thread that waits
                answers.put(error)

        threading.Thread(target=work, daemon=True).start()
        try:
            answer = answers.get(timeout=remaining)
        except queue.Empty:
            raise self._too_slow(request.url) from None
        finally:
            _close(connection)
        if isinstance(answer, Response):
            return answer
        raise _translated(request.url, proxy, answer) from None

    def _connection(
        self, parts: SplitResult, proxy: Proxy | None, timeout: float
    ) -> http.client.HTTPConnection:
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        context = ssl.create_default_context()
        if self._ca_bundle is not None:
            try:
                context.load_verify_locations(cafile=str(self._ca_bundle))
            except OSError:  # also ssl.SSLError
                what = f"the CA bundle {self._ca_bundle} is no readable PEM file"
                raise SurroundingsError(Problem(what=what, remedy="see ca_bundle under [network]")) from None
        if proxy is None:
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        connection = http.client.HTTPSConnection(proxy.host, proxy.port, timeout=timeout, context=context)
        connection.set_tunnel(host, port, headers=dict(proxy.headers))
        return connection

    def _too_slow(self, url: str) -> RegistryUnreachable:
        return _unreachable(url, f"gave no whole answer within {self._timeout:g} s")


def is_loopback(host: str | None) -> bool:
    """Whether the host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def check_url(url: str) -> SplitResult:
    """The parts of an address that may be asked: https, or http to this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _unreachable(url, "is no address that can be asked") from None
    allowed = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not allowed or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise _unreachable(url, "is not https, and plain http is for this machine only")
    return parts


def _redirected(request: Request, status: int, target: str) -> Request:
    url = urljoin(request.url, target)
    before, after = check_url(request.url), check_url(url)
    headers = dict(request.headers)
    if before.scheme == "https" and after.scheme != "https":
        raise _unreachable(request.url, "redirects from https to http")
    if before.netloc != after.netloc:
        # What the registry may know, the place that it points to may not.
        headers.pop("Authorization", None)
    keeps = status in (307, 308) or request.method in ("GET", "HEAD")
    if not keeps:
        headers.pop("Content-Type", None)
    return Request(
        method=request.method if keeps else "GET",
        url=url,
        headers=headers,
        body=request.body if keeps else None,
    )


def _converse(connection: http.client.HTTPConnection, parts: SplitResult, request: Request) -> Response:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"User-Agent": "cudaforge", "Accept-Encoding": "identity", **request.headers}
    connection.request(request.method, path, body=request.body, headers=headers)
    with connection.getresponse() as answer:
        body = b"" if request.method == "HEAD" else _read_body(answer)
        names = {name.lower(): value for name, value in answer.getheaders()}
    return Response(url=request.url, status=answer.status, headers=names, body=body)


def _read_body(answer: http.client.HTTPResponse) -> bytes:
    encoding = (answer.getheader("Content-Encoding") or "identity").lower()
    # 31 and 47: zlib's window sizes for gzip, and for gzip or zlib.
    inflater = zlib.decompressobj(47) if encoding in ("gzip", "x-gzip", "deflate") else None
    body = bytearray()
    while chunk := answer.read1(_CHUNK):
        if inflater is not None:
            chunk = inflater.decompress(chunk, MAX_BODY + 1 - len(body))
        body += chunk
        if len(body) > MAX_BODY or (inflater is not None and inflater.unconsumed_tail):
            raise _TooLarge
    length = answer.getheader("Content-Length")
    if inflater is None and length is not None and length.isdigit() and len(body) < int(length):
        raise http.client.IncompleteRead(bytes(body[:64]))
    return bytes(body)


class _TooLarge(Exception):
    """More than any manifest has."""


def _close(connection: http.client.HTTPConnection) -> None:
    """End the connection, also under a thread that waits for it."""
    sock = connection.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    connection.close()


def _asked_pause(response: Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None  # noqa: PLR2004


def _translated(url: str, proxy: Proxy | None, error: Exception) -> Exception:
    via = f" (through the proxy of {proxy.origin})" if proxy is not None else ""
    match error:
        case socket.gaierror():
            what = f"is a name that cannot be found{via}: no network, or a typing error"
            return _CutOff(what) if error.errno == socket.EAI_AGAIN else _unreachable(url, what)
        case ssl.SSLError():
            return _untrusted(url, via, error)
        case ConnectionRefusedError():
            return _unreachable(url, f"refuses connections{via}")
        case _TooLarge():
            return _unreachable(url, f"answered with more than {MAX_BODY // 2**20} MiB; that is no manifest")
        case zlib.error():
            return _unreachable(url, "answered with broken compression")
        case TimeoutError() | ConnectionError() | http.client.HTTPException():
            return _CutOff(f"broke the connection off: {type(error).__name__}")
        case OSError():
            return _unreachable(url, f"cannot be reached{via}: {error.strerror or error}")
        case _:
            return error


def _untrusted(url: str, via: str, error: ssl.SSLError) -> RegistryUnreachable:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message or "unknown authority"
        what = f"has a certificate that is not trusted{via}: {reason}"
        remedy = "name the site's certificates: ca_bundle under [network], or SSL_CERT_FILE"
        return _unreachable(url, what, remedy=remedy)
    return _unreachable(url, f"speaks no TLS that can be used{via}: {error.reason or 'unknown'}")


def _unreachable(url: str, what: str, *, remedy: str | None = None) -> RegistryUnreachable:
    return RegistryUnreachable(
        Problem(
            what=f"registry {shown_host(url)} {what}",
            remedy=remedy or "check the registry's name and the network, or name a mirror under [registries]",
        )
    )


def shown_host(url: str) -> str:
    """The host of an address, for messages: never user, password or query."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return (host or "(no host)").encode("ascii", "backslashreplace").decode()[:120]
