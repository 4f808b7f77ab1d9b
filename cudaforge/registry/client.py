"""The pull side of the OCI distribution protocol, as far as a digest needs it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from cudaforge.errors import CudaforgeError, NegativeAnswer, Problem, SurroundingsError
from cudaforge.records import record
from cudaforge.references import DEFAULT_REGISTRY, DIGEST, Reference
from cudaforge.registry.credentials import Credentials, CredentialSource
from cudaforge.registry.mirrors import move, parse_or_refuse
from cudaforge.registry.transport import Request, Response, Transport, check_url, is_loopback, shown_host

# The default registry is named docker.io in references, and answers under another name. Part of the
# reference grammar as engines implement it, not a fact that changes with releases.
_DEFAULT_API = "registry-1.docker.io"
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT = ", ".join((*_INDEXES, *_MANIFESTS))
_CHALLENGE_PART = re.compile(r'([A-Za-z_]+)="((?:[^"\\]|\\.)*)"')
_UNPINNED = "a mirror under [registries], or --allow-unpinned to go on without a digest"
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _FAILED = 200, 401, 403, 404, 429, 500


@record()
class RegistryDigest:
    """What a reference points at now."""

    reference: str
    """Where it was asked: fully spelled, after mirrors."""
    digest: str
    """Of the index, or of the manifest where there is no index: what `FROM ...@` is pinned to."""
    media_type: str
    size: int | None
    """Bytes of the index or manifest itself."""
    platform_digest: str | None
    """Of the one manifest for the platform that was asked for."""


class RegistryRefused(SurroundingsError):
    """The registry answered, but not with an image: login, rights, rate limit, failure, nonsense."""


class NoSuchImage(NegativeAnswer):
    """The registry knows no such image, tag, digest or platform."""


def resolve_digest(
    reference: str,
    *,
    platform: str | None,
    mirrors: Mapping[str, str],
    timeout: float,
    ca_bundle: Path | None = None,
    credentials: CredentialSource | None = None,
    proxies: Mapping[str, str] | None = None,
    no_proxy: str | None = None,
) -> RegistryDigest:
    """The digest of an image, asked of its registry or the mirror of it.

    `timeout` is the total time in seconds, retries included. With a `platform` the image must have it.
    Raises InputError (malformed reference), NegativeAnswer (no such tag or platform, or the tag has
    another digest than the reference says) and SurroundingsError (all else).
    """
    wanted = move(parse_or_refuse(reference), mirrors)
    transport = Transport(timeout=timeout, ca_bundle=ca_bundle, proxies=proxies or {}, no_proxy=no_proxy)
    return _Session(wanted, transport, credentials).resolve(platform)


class _Session:
    """One reference at one registry; keeps the authorization between requests."""

    def __init__(self, wanted: Reference, transport: Transport, credentials: CredentialSource | None) -> None:
        self.wanted = wanted
        self.transport = transport
        self.credentials = credentials
        self.authorization: str | None = None
        host = _DEFAULT_API if wanted.registry == DEFAULT_REGISTRY else wanted.registry
        name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
        scheme = "http" if is_loopback(name.strip("[]")) else "https"
        self.base = f"{scheme}://{host}/v2/{wanted.repository}"

    def resolve(self, platform: str | None) -> RegistryDigest:
        target = self.wanted.tag or self.wanted.digest or ""
        response = self._ask("HEAD", target)
        media_type, digest = _media_type(response), _digest_header(response)
        if digest is None or (platform is not None and media_type in _INDEXES):
            response = self._ask("GET", digest or target)
            media_type, digest = _media_type(response), _checked_digest(response, digest)
        self._check_type(response, media_type)
        if self.wanted.digest is not None and digest != self.wanted.digest:
            raise self._mismatch(digest)
        size = response.headers.get("content-length", "")
        return RegistryDigest(
            reference=str(self.wanted),
            digest=digest,
            media_type=media_type,
            size=len(response.body) or (int(size) if size.isdigit() and len(size) < 10 else None),  # noqa: PLR2004
            platform_digest=self._platform_digest(response, media_type, platform),
        )

    def _platform_digest(self, response: Response, media_type: str, platform: str | None) -> str | None:
        if platform is None or media_type not in _INDEXES:
            return None
        manifests = _json_object(response).get("manifests")
        found: dict[str, str] = {}
        for one in manifests if isinstance(manifests, list) else ():
            name, digest = _platform_of(one), one.get("digest") if isinstance(one, Mapping) else None
            if name is not None and isinstance(digest, str) and re.fullmatch(DIGEST, digest):
                found.setdefault(name, digest)
        for name, digest in found.items():
            if name == platform or name.startswith(f"{platform}/"):
                return digest
        there = ", ".join(found) or "none"
        problem = Problem(
            what=f"{self.wanted} has no image for {platform}",
            because=(f"it has: {there}",),
            remedy="another base, or another platform",
        )
        raise NoSuchImage(problem)

    def _ask(self, method: str, target: str) -> Response:
        response = self._send(method, target)
        if response.status == _UNAUTHORIZED:
            self.authorization = self._authorize(response)
            if self.authorization is not None:
                response = self._send(method, target)
        if response.status != _OK:
            raise self._refused(response, target)
        return response

    def _send(self, method: str, target: str) -> Response:
        headers = {"Accept": _ACCEPT}
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        url = f"{self.base}/manifests/{target}"
        return self.transport.send(Request(method=method, url=url, headers=headers))

    def _authorize(self, response: Response) -> str | None:
        challenge = response.headers.get("www-authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        login = self.credentials(self.wanted.registry) if self.credentials is not None else None
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
        query = {"scope": f"repository:{self.wanted.repository}:pull"}
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
        response = self.transport.send(request)
        if response.status != _OK:
            raise self._refused(response, self.wanted.tag or "", asked="its token service")
        values = _json_object(response)
        token = values.get("token") or values.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise _nonsense(response, "a token service that gives no token")
        return token

    def _check_type(self, response: Response, media_type: str) -> None:
        if media_type in (*_INDEXES, *_MANIFESTS):
            return
        if media_type.startswith("text/html"):
            raise _nonsense(
                response, "an HTML page where a registry answers in JSON: a login page, or no registry"
            )
        raise _nonsense(response, f"'{media_type[:80]}', a kind of manifest that cannot be used")

    def _mismatch(self, digest: str) -> NegativeAnswer:
        return NegativeAnswer(
            Problem(
                what=f"{self.wanted} has another digest now: {digest}",
                because=("the tag was moved, or the reference was written wrongly",),
                remedy="drop the tag to keep the digest, or drop the digest to follow the tag",
            )
        )

    def _refused(self, response: Response, target: str, *, asked: str = "") -> CudaforgeError:
        host = shown_host(response.url)
        who = f"registry {host}" + (f", {asked}," if asked else "")
        name = f"{self.wanted.registry}/{self.wanted.repository}"
        match response.status:
            case status if status == _NOT_FOUND and not asked:
                return self._not_found(target, name)
            case status if status == _UNAUTHORIZED:
                what = f"{who} wants a login for {name}, or there is no such image"
                remedy = f"docker login {self.wanted.registry}; or {_UNPINNED}"
            case status if status == _FORBIDDEN:
                what = f"{who} does not allow to read {name}"
                remedy = f"ask for the right, docker login {self.wanted.registry}, or {_UNPINNED}"
            case status if status == _TOO_MANY:
                what = f"{who} has had too many requests from here"
                remedy = f"wait, docker login {self.wanted.registry} for a higher limit, or {_UNPINNED}"
            case status if status >= _FAILED:
                what, remedy = f"{who} failed with status {status}", f"try again later, or {_UNPINNED}"
            case status:
                what, remedy = f"{who} answered with status {status}", _UNPINNED
        return RegistryRefused(Problem(what=what, remedy=remedy))

    def _not_found(self, target: str, name: str) -> CudaforgeError:
        kind = "digest" if ":" in target else "tag"
        return NoSuchImage(
            Problem(
                what=f"no such {kind}: {name} has no '{target}'",
                remedy="look the image's tags up, or pick another",
            )
        )


def _media_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _digest_header(response: Response) -> str | None:
    digest = response.headers.get("docker-content-digest", "")
    return digest if re.fullmatch(DIGEST, digest) else None


def _checked_digest(response: Response, claimed: str | None) -> str:
    """The digest of the body, which must be what the registry claims."""
    algorithm = claimed.partition(":")[0] if claimed else "sha256"
    actual = f"{algorithm}:{hashlib.new(algorithm, response.body).hexdigest()}"
    if claimed is not None and claimed != actual:
        raise _nonsense(response, "content that does not match the digest it gives")
    return actual


def _json_object(response: Response) -> Mapping[str, object]:
    try:
        values: object = json.loads(response.body)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, Mapping):
        raise _nonsense(response, "something that is not JSON: a login page, or no registry")
    return values


def _platform_of(manifest: object) -> str | None:
    platform = manifest.get("platform") if isinstance(manifest, Mapping) else None
    if not isinstance(platform, Mapping):
        return None
    parts = [platform.get(key) for key in ("os", "architecture", "variant")]
    name = "/".join(part for part in parts if isinstance(part, str) and re.fullmatch(r"[a-z0-9._-]+", part))
    return None if name.startswith("unknown/") else name


def _nonsense(response: Response, what: str) -> RegistryRefused:
    return RegistryRefused(
        Problem(what=f"registry {shown_host(response.url)} answered with {what}", remedy=_UNPINNED)
    )
