"""Image references: `python:3.12-slim`, `ghcr.io/acme/vision:train@sha256:...`.

The grammar is that of the `distribution` project, which engines and registries share.
"""

from __future__ import annotations

import re

from cudaforge.records import record

# A reference without a host means this registry, and one without a path in it this namespace.
# That is part of the reference grammar itself, as every engine reads it.
DEFAULT_REGISTRY = "docker.io"
_DEFAULT_NAMESPACE = "library"
_LEGACY_REGISTRIES = ("index.docker.io", "registry-1.docker.io")

_HOST_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_NAMED = rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[0-9a-fA-F:]+\])"
# 1 to 65535: what `distribution` leaves to whoever connects, which is after everything is built.
_PORT = r"(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_HOST = rf"{_NAMED}(?::{_PORT})?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
"""What may stand behind the colon, to be matched in full."""
_BEHIND_HOST = rf"(?P<path>{_PATH})(?::(?P<tag>{TAG}))?(?:@(?P<digest>[^@]*))?"
_REPOSITORY_MAX = 255
_MAX_LENGTH = 512

# Patterns, to be matched in full; compiled when they are used.
REPOSITORY = _PATH
LOCATION = rf"{_HOST}(?:/{_PATH})?"
"""A registry host, with a path below it or without: `localhost:5000/hub`."""
DIGEST = r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"


class InvalidReference(ValueError):
    """The text is no image reference. The message says which part is wrong, and quotes nothing."""


@record()
class Reference:
    """An image reference with all that it leaves unsaid filled in.

    `repository` is the path within the registry, `library/python`. `tag` is None only when a digest
    stands in its place.
    """

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def parse_reference(text: str) -> Reference:
    """The reference that `text` is short for. Raises InvalidReference."""
    if len(text) > _MAX_LENGTH:
        raise InvalidReference(f"longer than {_MAX_LENGTH} characters")
    host, separator, rest = text.partition("/")
    # As engines read it: the first part is a host only if it could be no directory.
    if not separator or not (
        "." in host or ":" in host or host == "localhost" or host.lower() != host or host.startswith("[")
    ):
        host, rest = "", text
    match = re.fullmatch(_BEHIND_HOST, rest)
    if match is None or (host and re.fullmatch(_HOST, host) is None):
        raise InvalidReference(_complaint(host, rest))
    digest = match["digest"]
    if digest is not None and re.fullmatch(DIGEST, digest) is None:
        raise InvalidReference("a digest is 'sha256:' and 64 lower-case hexadecimal digits")
    registry = canonical_registry(host)
    repository = match["path"]
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"{_DEFAULT_NAMESPACE}/{repository}"
    if len(repository) > _REPOSITORY_MAX:
        raise InvalidReference(f"a repository has at most {_REPOSITORY_MAX} characters")
    tag = match["tag"] or (None if digest else "latest")
    return Reference(registry=registry, repository=repository, tag=tag, digest=digest)


def canonical_registry(host: str) -> str:
    """The one name of a registry: lower case, the default for none and for its older names."""
    registry = host.lower() or DEFAULT_REGISTRY
    return DEFAULT_REGISTRY if registry in _LEGACY_REGISTRIES else registry


def _complaint(host: str, rest: str) -> str:
    if rest.startswith("//") or "://" in f"{host}/{rest}":
        return "a reference has no scheme such as https://"
    if host and re.fullmatch(_HOST, host) is None:
        if re.fullmatch(rf"{_NAMED}:[0-9]*", host):
            return "the port of a registry is a number from 1 to 65535"
        return "the part before the first '/' is no registry host"
    path, _, tail = (
        rest.partition("@")[0].rpartition(":") if ":" in rest.partition("@")[0] else (rest, "", "")
    )
    name = path.partition("@")[0]
    if name != name.lower():
        return "the repository must be lower case"
    if re.fullmatch(_PATH, name) is None:
        return "a repository is lower-case letters and digits, separated by single '.', '_', '-' or '/'"
    if re.fullmatch(TAG, tail) is None:
        return "a tag is 1 to 128 letters, digits, '_', '.' or '-', and starts with none of '.' and '-'"
    return "not of the form [HOST/]NAME[:TAG][@sha256:DIGEST]"
