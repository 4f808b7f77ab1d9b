"""One repository at one registry: requests with the login or token that it wants."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from cudaforge.errors import CudaforgeError, NegativeAnswer, Problem, SurroundingsError
from cudaforge.records import record
from cudaforge.references import DEFAULT_REGISTRY, Reference
from cudaforge.registry.credentials import Credentials, CredentialSource
from cudaforge.registry.transport import Request, Response, Transport, check_url, is_loopback, shown_host

# The default registry is named docker.io in references, and answers under another name. Part of the
# reference grammar as engines implement it, not a fact that changes with releases.
_DEFAULT_API = "registry-1.docker.io"
_CHALLENGE_PART = re.compile(r'([A-Za-z_]+)="((?:[^"\\]|\\.)*)"')
_MIRROR = "name a mirror under [registries]"
# What Go's server, and so every registry built on it, answers to plain HTTP on a port of TLS.
_WANTS_TLS = b"HTTP request to an HTTPS server"
_BAD_REQUEST = 400
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _FAILED = 200, 401, 403, 404, 429, 500


@record()
class Access:
    """How registries are reached from here. `mirrors` is the `[registries]` table of the site."""

    mirrors: Mapping[str, str]
    timeout: float
    """The total time of one question in seconds, retries included."""
    ca_bundle: Path | None = None
    credentials: CredentialSource | None = None
    proxies: Mapping[str, str] | None = None
    no_proxy: str | None = None
    login_command: str = "docker login"
    """What people type before the registry's name to log in."""
    push_command: str = "docker push"

    def transport(self) -> Transport:
        """A transport whose time begins now."""
        return Transport(
            timeout=self.timeout,
            ca_bundle=self.ca_bundle,
            proxies=self.proxies or {},
            no_proxy=self.no_proxy,
        )


class RegistryRefused(SurroundingsError):
    """The registry answered, but not with an image: login, rights, rate limit, failure, nonsense."""


class NoSuchImage(NegativeAnswer):
    """The registry knows no such repository, image, tag, digest or platform."""


class Session:
    """One repository at one registry; keeps the authorization between requests."""

    def __init__(self, wanted: Reference, access: Access, *, actions: str = "pull") -> None:
        """`actions` is what tokens are asked for: `pull`, or `pull,push`."""
        self.wanted = wanted
        self._actions = actions
        self._transport = access.transport()
        self._credentials = access.credentials
        self._login = f"{access.login_command} {wanted.registry}"
        self._way_out = _MIRROR if actions == "pull" else f"see whether {access.push_command} works there"
        self._authorization: str | None = None
        host = _DEFAULT_API if wanted.registry == DEFAULT_REGISTRY else wanted.registry
        name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
        scheme = "http" if is_loopback(name.strip("[]")) else "https"
        self.base = f"{scheme}://{host}/v2/{wanted.repository}"

    def ask(self, method: str, url: str, *, accept: str, target: str) -> Response:
        """The answer with status 200 to a request, authorized where the registry wants that.

        `target` names what is asked for in messages: a tag, a digest, or nothing for the repository.
        Raises NoSuchImage, RegistryRefused and RegistryUnreachable.
        """
        return self._exchange(
            Request(method=method, url=url, headers={"Accept": accept}), target=target, good=_OK
        )

    def give(self, method: str, url: str, *, content_type: str, body: bytes, good: int) -> Response:
        """The answer with the status `good` to a request that carries something. Raises as `ask`."""
        headers = {"Content-Type": content_type}
        return self._exchange(
            Request(method=method, url=url, headers=headers, body=body), target="", good=good
        )

    def attempt(self, method: str, url: str, *, body: bytes | None = None) -> Response:
        """The answer to a request, authorized where the registry wants that, whatever its status.

        Raises RegistryUnreachable, and RegistryRefused where there is no token to be had.
        """
        return self._authorized(Request(method=method, url=url, body=body))

    def _authorized(self, request: Request) -> Response:
        response = self._send(request)
        if response.status == _UNAUTHORIZED:
            self._authorization = self._authorize(response)
            if self._authorization is not None:
                response = self._send(request)
        return response

    def _exchange(self, request: Request, *, target: str, good: int) -> Response:
        response = self._authorized(request)
        if response.status != good:
            raise self._refused(response, target)
        return response

    def _send(self, request: Request) -> Response:
        response = self._send_once(request)
        if response.status == _BAD_REQUEST and self._turns_out_to_want_tls():
            response = self._send_once(request)
        return response

    def _turns_out_to_want_tls(self) -> bool:
        """A registry on this machine may have a certificate, too; nothing but asking tells."""
        if not self.base.startswith("http:"):
            return False
        root = self.base.partition("/v2/")[0]
        asked = self._transport.send(Request(method="GET", url=f"{root}/v2/"))
        if _WANTS_TLS not in asked.body:
            return False
        self.base = f"https{self.base.removeprefix('http')}"
        return True

    def _is_own(self, request: Request) -> bool:
        return urlsplit(request.url).netloc == urlsplit(self.base).netloc

    def _send_once(self, request: Request) -> Response:
        # Where uploads go is the registry's to say: another place gets no login of ours.
        if not self._is_own(request):
            return self._transport.send(request)
        url, headers = request.url, request.headers
        if self.base.startswith("https:") and url.startswith("http:"):
            url = f"https{url.removeprefix('http')}"
        if self._authorization is not None:
            headers = {**headers, "Authorization": self._authorization}
        return self._transport.send(
            Request(method=request.method, url=url, headers=headers, body=request.body)
        )

    def _authorize(self, response: Response) -> str | None:
        challenge = response.headers.get("www-authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        login = self._credentials(self.wanted.registry) if self._credentials is not None else None
        match scheme.lower():
            case "basic" if login is not None and login.identity_token is None:
                return login.basic()
            case "bearer":
                return f"Bearer {self._fetch_token(dict(_CHALLENGE_PART.findall(rest)), login)}"
            case _:
                return None

    def _fetch_token(self, challenge: Mapping[str, str], login: Credentials | None) -> str:
        realm = challenge.get("realm", "")
        check_url(realm)
        query = {"scope": f"repository:{self.wanted.repository}:{self._actions}"}
        if challenge.get("service"):
            query["service"] = challenge["service"]
        if login is not None and login.identity_token is not None:
            form = {
                **query,
                "grant_type": "refresh_token",
                "refresh_token": login.identity_token,
                "client_id": "cudaforge",
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            request = Request(method="POST", url=realm, headers=headers, body=urlencode(form).encode())
        else:
            headers = {"Authorization": login.basic()} if login is not None else {}
            joined = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
            request = Request(method="GET", url=joined, headers=headers)
        response = self._transport.send(request)
        if response.status != _OK:
            raise self._refused(response, self.wanted.tag or "", asked="its token service")
        values = json_object(response)
        token = values.get("token") or values.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise nonsense(response, "a token service that gives no token")
        return token

    def _refused(self, response: Response, target: str, *, asked: str = "") -> CudaforgeError:
        host = shown_host(response.url)
        who = f"registry {host}" + (f", {asked}," if asked else "")
        name = f"{self.wanted.registry}/{self.wanted.repository}"
        may = "read" if self._actions == "pull" else "write to"
        login, way_out = self._login, self._way_out
        match response.status:
            case status if status == _NOT_FOUND and not asked:
                return _not_found(target, name)
            case status if status == _UNAUTHORIZED:
                what = f"{who} wants a login for {name}, or there is no such image"
                remedy = f"{login}; or {way_out}"
            case status if status == _FORBIDDEN:
                what = f"{who} does not allow to {may} {name}"
                remedy = f"ask for the right, {login}, or {way_out}"
            case status if status == _TOO_MANY:
                what = f"{who} has had too many requests from here"
                remedy = f"wait, {login} for a higher limit, or {way_out}"
            case status if status >= _FAILED:
                what, remedy = f"{who} failed with status {status}", f"try again later, or {way_out}"
            case status:
                what, remedy = f"{who} answered with status {status}", way_out
        return RegistryRefused(Problem(what=what, remedy=remedy))


def _not_found(target: str, name: str) -> CudaforgeError:
    remedy = "look the image's tags up, or pick another"
    if not target:
        return NoSuchImage(Problem(what=f"no such repository: {name}", remedy=remedy))
    kind = "digest" if ":" in target else "tag"
    return NoSuchImage(Problem(what=f"no such {kind}: {name} has no '{target}'", remedy=remedy))


def json_object(response: Response) -> Mapping[str, object]:
    """The JSON object that was answered. Raises RegistryRefused for anything else."""
    try:
        values: object = json.loads(response.body)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, Mapping):
        raise nonsense(response, "something that is not JSON: a login page, or no registry")
    return values


def nonsense(response: Response, what: str) -> RegistryRefused:
    """The error for an answer that no registry gives."""
    return RegistryRefused(
        Problem(what=f"registry {shown_host(response.url)} answered with {what}", remedy=_MIRROR)
    )
