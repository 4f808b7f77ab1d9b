"""One HTTP client for all that is looked up on the web."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from cudaforge.errors import Problem, SurroundingsError
from cudaforge.records import record
from cudaforge.web.cache import Cache, Kept

if TYPE_CHECKING:
    import requests

MAX_BODY = 64 * 1024 * 1024
MAX_REDIRECTS = 5
_TRIES = 3
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 20.0
_CHUNK = 65_536
_REDIRECTS = (301, 302, 303, 307, 308)
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_NOT_MODIFIED = 304
OK = 200
_NO_SUCH_NAME = "is a name that cannot be found: no network, or a typing error"
_REMEDY = "try again later; see [network] for proxies, certificates and the address of the package index"


class Unreachable(SurroundingsError):
    """No answer that can be used: not found, refused, not trusted, too slow, too large, cut off."""


class _CutOff(Exception):
    """An exchange broken off or refused, or that found no address; worth another try. The text says which."""


@record()
class Answer:
    """A whole answer. Header names are lower case; `url` is where it came from, redirects followed."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Asks servers by GET. `timeout` is the most seconds that one question takes, retries included;
    `run_timeout` the most that all questions of this client take together.

    `proxies` are by variable (`HTTPS_PROXY`), as a site has them. With a `cache` an answer that has an
    ETag is kept, and asked for again only where it changed. No message shows a password or a query.
    """

    def __init__(
        self,
        *,
        timeout: float = 60.0,
        run_timeout: float = 600.0,
        ca_bundle: Path | None = None,
        proxies: Mapping[str, str] | None = None,
        cache: Cache | None = None,
    ) -> None:
        self._timeout = timeout
        self._ends = time.monotonic() + run_timeout
        self._ca_bundle = ca_bundle
        self._proxies = proxies or {}
        self._cache = cache
        self._found: set[str | None] = set()

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, max_body: int = MAX_BODY) -> Answer:
        """The answer, redirects followed, passing failures tried again. Any status is an answer.

        Raises Unreachable.
        """
        asked = dict(headers or {})
        accept = asked.get("Accept", "*/*")
        is_kept = self._cache is not None and not {"range", "authorization"} & {key.lower() for key in asked}
        kept = self._cache.find(url, accept) if self._cache is not None and is_kept else None
        if kept is not None:
            asked["If-None-Match"] = kept.etag
        answer = self._persist(url, asked, max_body)
        if kept is not None and answer.status == _NOT_MODIFIED:
            known = {**answer.headers, "content-type": kept.content_type}
            return Answer(url=answer.url, status=OK, headers=known, body=kept.body)
        etag = answer.headers.get("etag")
        if self._cache is not None and is_kept and etag and answer.status == OK:
            content_type = answer.headers.get("content-type", "")
            self._cache.keep(url, accept, Kept(etag=etag, content_type=content_type, body=answer.body))
        return answer

    def _persist(self, url: str, headers: Mapping[str, str], max_body: int) -> Answer:
        ends = min(self._ends, time.monotonic() + self._timeout)
        pause = _FIRST_PAUSE
        for attempt in range(1, _TRIES + 1):
            is_last = attempt == _TRIES
            answer = None
            try:
                answer = self._follow(url, headers, max_body, ends)
            except _CutOff as error:
                if is_last:
                    raise _unreachable(url, str(error)) from None
            if answer is not None and (answer.status not in _TRANSIENT or is_last):
                return answer
            asked = _asked_pause(answer) if answer is not None else None
            wait = min(_LONGEST_PAUSE, pause if asked is None else asked)
            if answer is not None and time.monotonic() + wait >= ends:
                return answer
            time.sleep(max(0.0, min(wait, ends - time.monotonic())))
            pause *= 2
        raise AssertionError("the last try returns or raises")

    def _follow(self, url: str, headers: Mapping[str, str], max_body: int, ends: float) -> Answer:
        current, known = url, dict(headers)
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._exchange(current, known, max_body, ends)
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not target:
                return answer
            before, following = check_url(current), urljoin(current, target)
            after = check_url(following, origin=current)
            if before.scheme == "https" and after.scheme != "https":
                raise _unreachable(current, "redirects from https to http")
            if (before.hostname, before.port) != (after.hostname, after.port):
                known = {key: value for key, value in known.items() if key.lower() != "authorization"}
            current = following
        raise _unreachable(url, f"sent more than {MAX_REDIRECTS} redirects")

    def _exchange(self, url: str, headers: Mapping[str, str], max_body: int, ends: float) -> Answer:
        """One exchange in a thread of its own: name look-ups and dripping headers know no deadline."""
        import requests

        host = check_url(url).hostname
        remaining = ends - time.monotonic()
        if remaining <= 0:
            raise self._too_slow(url)
        answers: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
        session = requests.Session()
        session.trust_env = False  # the site has read the environment already

        def work() -> None:
            try:
                answers.put(self._converse(session, url, headers, max_body, remaining))
            except Exception as error:  # noqa: BLE001 -- raised again by the thread that waits
                answers.put(error)

        threading.Thread(target=work, daemon=True).start()
        try:
            answer = answers.get(timeout=remaining)
        except queue.Empty:
            raise self._too_slow(url) from None
        finally:
            session.close()
        if isinstance(answer, Answer):
            self._found.add(host)
            return answer
        raise _translated(url, answer, was_found=host in self._found) from None

    def _converse(
        self, session: requests.Session, url: str, headers: Mapping[str, str], max_body: int, timeout: float
    ) -> Answer:
        from requests.utils import get_netrc_auth

        has_own = "Authorization" in headers or "@" in urlsplit(url).netloc
        sent = {"User-Agent": "cudaforge", "Accept-Encoding": "gzip", **headers}
        if "Range" in headers:
            sent["Accept-Encoding"] = "identity"
        response = session.get(
            url,
            headers=sent,
            auth=None if has_own else get_netrc_auth(url),
            allow_redirects=False,
            stream=True,
            timeout=timeout,
            verify=str(self._ca_bundle) if self._ca_bundle is not None else True,
            proxies=self._proxies_for(url),
        )
        names = {name.lower(): value for name, value in response.headers.items()}
        body = bytearray()
        with contextlib.closing(response):
            # Nobody reads what stands beside a redirect, nor a whole file where a part was asked for.
            is_read = response.status_code not in (*_REDIRECTS, *((OK,) if "Range" in headers else ()))
            parts = response.iter_content(_CHUNK) if is_read else ()
            for part in parts:
                body += part
                if len(body) > max_body:
                    raise _TooLarge(max_body)
        return Answer(url=url, status=response.status_code, headers=names, body=bytes(body))

    def _proxies_for(self, url: str) -> dict[str, str]:
        from requests.utils import should_bypass_proxies

        if should_bypass_proxies(url, no_proxy=self._proxies.get("NO_PROXY")):
            return {}
        names = {"HTTP_PROXY": "http", "HTTPS_PROXY": "https", "ALL_PROXY": "all"}
        return {scheme: self._proxies[name] for name, scheme in names.items() if name in self._proxies}

    def _too_slow(self, url: str) -> Unreachable:
        return _unreachable(url, f"gave no whole answer within {self._timeout:g} s")


def check_url(url: str, *, origin: str | None = None) -> SplitResult:
    """The parts of an http or https address. Raises Unreachable, naming `origin` that redirects there."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _unreachable(origin or url, "is no address that can be asked") from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        what = "redirects to what is no web address" if origin else "is no web address"
        raise _unreachable(origin or url, what)
    return parts


def shown(url: str) -> str:
    """The address for messages: scheme, host and path; never user, password or query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address"
    text = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return text.encode("ascii", "backslashreplace").decode()[:200]


class _TooLarge(Exception):
    """More than was allowed for."""


def _asked_pause(answer: Answer) -> float | None:
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    text = answer.headers.get("retry-after", "")
    try:
        return Retry().parse_retry_after(text) if text and len(text) < 40 else None  # noqa: PLR2004
    except (InvalidHeader, OverflowError, ValueError):
        return None


def _translated(url: str, error: Exception, *, was_found: bool) -> Exception:
    lookup = _lookup_failure(error)
    if lookup is not None:
        # A name that led to an answer a moment ago is no typing error, whatever the name server says now.
        is_passing = was_found or lookup.errno == socket.EAI_AGAIN
        return _CutOff(_NO_SUCH_NAME) if is_passing else _unreachable(url, _NO_SUCH_NAME)
    what = _reason(error)
    if what is not None:
        return _unreachable(url, what)
    import requests

    if not isinstance(error, requests.RequestException):
        return error
    if _is_refused(error):
        return _CutOff("refused the connection")
    return _CutOff(f"broke the connection off ({type(error).__name__})")


def _is_refused(error: BaseException | None) -> bool:
    """Whether nobody listens there: the libraries wrap it in several errors of their own."""
    for _ in range(10):
        if error is None or isinstance(error, ConnectionRefusedError):
            break
        reason = getattr(error.args[0], "reason", None) if error.args else None
        error = reason if isinstance(reason, BaseException) else error.__cause__ or error.__context__
    return isinstance(error, ConnectionRefusedError)


def _reason(error: Exception) -> str | None:
    """Why asking again would not help, where that is known."""
    import requests

    match error:
        case _TooLarge():
            return f"answered with more than {int(str(error)) // 2**20} MiB"
        case requests.exceptions.ProxyError():
            return "cannot be reached through the proxy"
        case requests.exceptions.SSLError():
            return "has a certificate that is not trusted, or speaks no TLS"
        case requests.exceptions.ContentDecodingError():
            return "answered with broken compression"
        case requests.exceptions.RequestException():
            return None
        case OSError():
            return f"cannot be asked: {error.strerror or type(error).__name__}"
        case _:
            return None


def _lookup_failure(error: Exception) -> socket.gaierror | None:
    from urllib3.exceptions import NameResolutionError

    reason = getattr(error.args[0], "reason", None) if error.args else None
    cause = reason.__cause__ if isinstance(reason, NameResolutionError) else None
    return cause if isinstance(cause, socket.gaierror) else None


def _unreachable(url: str, what: str) -> Unreachable:
    return Unreachable(Problem(what=f"{shown(url)} {what}", remedy=_REMEDY))
