"""Addresses of package indexes: what may be shown of them, and what they have to look like."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

_ADDRESS = re.compile(r"(?:https?|file|ftp|git\+\w+)://[^\s`'\")\]>]+")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1")
_HOST_AND_PORT = re.compile(r"[A-Za-z0-9.-]+:\d{1,5}")
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h", "socks4", "socks4a")


def redact(text: str) -> str:
    """The text without the user names and passwords of the addresses in it."""
    return _CREDENTIALS.sub("***@", text)


def without_addresses(text: str) -> str:
    """The text with each address in it named, not shown: for explanations that outlive a site."""
    return _ADDRESS.sub("the package index", text)


def find_address(text: str) -> str | None:
    """The first address of a server in the text."""
    match = next((match for match in _ADDRESS.finditer(text) if match[0].startswith("http")), None)
    return match[0].rstrip(".,;:") if match else None


def host_of(address: str) -> str:
    """Host and port of an address, or the address itself where it has none; never credentials."""
    parts = _split(address)
    if parts is None or not parts.hostname:
        return redact(address)
    return parts.netloc.rpartition("@")[2]


def is_loopback(address: str) -> bool:
    """Whether the address is one of this very machine, which a build step reaches in its network alone."""
    parts = _split(address)
    return parts is not None and _LOOPBACK.fullmatch(parts.hostname or "") is not None


def is_remote(address: str) -> bool:
    """Whether the address is one of a server, not of a file or directory."""
    return address.startswith(("https://", "http://"))


def is_proxy(address: str) -> bool:
    """Whether the address can be one of a proxy: `http://proxy.example:3128`, `proxy.example:3128`."""
    if _HOST_AND_PORT.fullmatch(address):
        return True
    parts = _split(address)
    return parts is not None and parts.scheme in _PROXY_SCHEMES and bool(parts.hostname)


def without_name(index: str) -> str:
    """The address of an index that may be written as `name=address`, as uv allows."""
    name, separator, address = index.partition("=")
    return address if separator and re.fullmatch(r"[A-Za-z0-9_.-]+", name) else index


def credentials_of(address: str) -> str | None:
    """The `user:password` of an address, as written in it."""
    parts = _split(address)
    credentials, separator, _ = parts.netloc.rpartition("@") if parts else ("", "", "")
    return credentials if separator else None


def with_credentials(address: str, credentials: str) -> str:
    """The address with this `user:password`, unless it has its own."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=f"{credentials}@{parts.netloc.rpartition('@')[2]}"))


def quote_credentials(user: str, password: str) -> str:
    """A user name and a password as they stand in an address."""
    return f"{quote(user, safe='')}:{quote(password, safe='')}"


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts
