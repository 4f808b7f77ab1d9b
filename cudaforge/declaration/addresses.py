"""Addresses of the site's network: registries, proxies, package indexes."""

from __future__ import annotations

import re

from cudaforge.declaration.kinds import Kind, bad, read_string, text_kind
from cudaforge.declaration.text import has_credentials
from cudaforge.display import show
from cudaforge.references import LOCATION

_CREDENTIAL_REMEDY = (
    "give user and password by the environment, ~/.netrc or `docker login`, never in this file"
)
_ARCHIVE = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%+-]+)*")
_SCHEMES = ("https", "http")


def _read_registry(value: object) -> str:
    text = read_string(value)
    if "://" in text:
        bad(f"{show(text)} has a scheme", 'host and path only: "localhost:5000/hub"')
    if "@" in text:
        bad("a user name or password in an address", _CREDENTIAL_REMEDY)
    if re.fullmatch(LOCATION, text) is None:
        bad(f"{show(text)} is no registry", 'a host with a path or without: "localhost:5000/hub"')
    return text


REGISTRY = Kind(read=_read_registry, schema={"type": "string", "pattern": f"^{LOCATION}$", "maxLength": 512})


def _read_address(text: str, schemes: tuple[str, ...]) -> str:
    from urllib.parse import urlsplit

    if has_credentials(text):
        bad("a user name or password in an address", _CREDENTIAL_REMEDY)
    try:
        parts = urlsplit(text)
        is_whole = bool(parts.scheme in schemes and (parts.hostname or parts.scheme == "file"))
        _ = parts.port
    except ValueError:
        is_whole = False
    if not is_whole or re.search(r"\s", text):
        bad(
            f"{show(text)} is no address",
            f"one that starts with {' or '.join(f'{name}://' for name in schemes)}",
        )
    return text


def _read_proxy(value: object) -> str:
    return _read_address(read_string(value), _SCHEMES)


def _read_index(value: object) -> str:
    return _read_address(read_string(value), (*_SCHEMES, "file"))


def _read_archive(value: object) -> str:
    text = _read_address(read_string(value), _SCHEMES).rstrip("/")
    if _ARCHIVE.fullmatch(text) is None:
        bad(f"{show(text)} fits no line of apt's sources", "a host and a path, without a query")
    return text


def _read_find_links(value: object) -> str:
    text = read_string(value)
    if text.startswith("-"):
        bad(f"{show(text)} starts with '-'", "an address or a directory")
    return _read_index(text) if "://" in text else text


_ADDRESS_SCHEMA = {"type": "string", "format": "uri"}
PROXY = Kind(read=_read_proxy, schema={**_ADDRESS_SCHEMA, "pattern": "^https?://"})
INDEX = Kind(read=_read_index, schema={**_ADDRESS_SCHEMA, "pattern": "^(https?|file)://"})
ARCHIVE = Kind(read=_read_archive, schema={**_ADDRESS_SCHEMA, "pattern": f"^{_ARCHIVE.pattern}/*$"})
FIND_LINKS = Kind(read=_read_find_links, schema={"type": "string", "minLength": 1, "pattern": "^[^-]"})
NO_PROXY = text_kind(
    r"[A-Za-z0-9.,:*/ \[\]_-]+", allowed='hosts separated by commas: "localhost,.acme.example"'
)
INDEX_NAME = text_kind(
    r"[a-z0-9]+(?:[._-][a-z0-9]+)*", allowed="the name of an index, such as a row of the matrix"
)
