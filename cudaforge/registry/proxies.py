"""Which proxy leads to a host: the environment's, else the declaration's."""

from __future__ import annotations

import base64
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from cudaforge.errors import Problem, SurroundingsError

_DEFAULT_PORT = 8080


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy. `origin` says where it is configured, for messages."""

    host: str
    port: int
    headers: Mapping[str, str] = field(repr=False)
    origin: str


def find_proxy(target: SplitResult, *, configured: Mapping[str, str], no_proxy: str | None) -> Proxy | None:
    """The proxy for an https address; None to go straight, as always to this machine (plain http).

    Raises SurroundingsError, naming the variable, for a value that is no address.
    """
    if target.scheme != "https":
        return None
    host = target.hostname or ""
    environment = urllib.request.getproxies()
    if urllib.request.proxy_bypass(host):
        return None
    if "https" in environment:
        return _parse(environment["https"], origin=_variable())
    if "https" not in configured or is_listed(host, no_proxy or ""):
        return None
    return _parse(configured["https"], origin="https_proxy under [network]")


def is_listed(host: str, no_proxy: str) -> bool:
    """Whether a comma-separated list of hosts and domains, or `*`, has the host."""
    names = [name.strip().lstrip(".").lower() for name in no_proxy.split(",")]
    return any(name == "*" or (name and (host == name or host.endswith(f".{name}"))) for name in names)


def _variable() -> str:
    return next((name for name in ("https_proxy", "HTTPS_PROXY") if os.environ.get(name)), "HTTPS_PROXY")


def _parse(text: str, *, origin: str) -> Proxy:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or parts.scheme != "http" or ("://" not in text and port is None):
        raise SurroundingsError(
            Problem(what=f"{origin} is no address of a proxy", remedy="for example http://proxy.example:3128")
        )
    headers: dict[str, str] = {}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    return Proxy(host=host, port=port or _DEFAULT_PORT, headers=headers, origin=origin)
