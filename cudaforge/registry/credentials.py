"""User names and passwords for registries, from where `docker login` keeps them. Never printed."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cudaforge.errors import Problem, SurroundingsError
from cudaforge.references import DEFAULT_REGISTRY

CredentialSource = Callable[[str], "Credentials | None"]
"""Registry host to credentials; None for a host without any."""
HelperCall = Callable[[Sequence[str], str], "str | None"]
"""Runs a program with text on its standard input; its output, or None if it failed."""

# The name under which `docker login` files the default registry.
_DEFAULT_SERVER = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # noqa: S105 -- what helpers write for "the secret is an identity token"
_MAX_BYTES = 1024 * 1024
_HELPER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A login. Either a user with a password, or an identity token. Its repr shows neither."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str | None = field(default=None, repr=False)

    def basic(self) -> str:
        """The value of a Basic `Authorization` header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def docker_config_path(environment: Mapping[str, str], home: Path | None) -> Path | None:
    """Docker's configuration file, by its own rules; None where there can be none."""
    directory = environment.get("DOCKER_CONFIG")
    if directory:
        return Path(directory) / "config.json"
    return home / ".docker" / "config.json" if home is not None else None


def docker_credentials(config: Path | None, *, run_helper: HelperCall) -> CredentialSource:
    """Credentials as Docker finds them: a helper of the host, the common helper, or the file itself.

    A missing file means no credentials. The file is read once, at the first question; one that cannot
    be read raises SurroundingsError then.
    """
    cache: dict[str, Mapping[str, object]] = {}

    def find(host: str) -> Credentials | None:
        if "config" not in cache:
            cache["config"] = _read_config(config) if config is not None else {}
        return _find(cache["config"], host, run_helper)

    return find


def _read_config(path: Path) -> Mapping[str, object]:
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        config: object = json.loads(data) if len(data) <= _MAX_BYTES else None
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from None
    except (ValueError, RecursionError):
        raise _unreadable(path, "it is not JSON") from None
    if not isinstance(config, Mapping):
        raise _unreadable(path, "it is not what Docker writes")
    return config


def _unreadable(path: Path, reason: str) -> SurroundingsError:
    shown = str(path).encode("utf-8", "backslashreplace").decode()
    return SurroundingsError(
        Problem(
            what=f"cannot read Docker's configuration {shown}: {reason}", remedy="mend or remove the file"
        )
    )


def _find(config: Mapping[str, object], host: str, run_helper: HelperCall) -> Credentials | None:
    servers = (_DEFAULT_SERVER, "index.docker.io", host) if host == DEFAULT_REGISTRY else (host,)
    helpers = config.get("credHelpers")
    store = config.get("credsStore")
    for server in servers:
        helper = helpers.get(server) if isinstance(helpers, Mapping) else None
        for name in (helper, store):
            if isinstance(name, str) and name:
                found = _ask_helper(name, server, run_helper)
                if found is not None:
                    return found
    auths = config.get("auths")
    if isinstance(auths, Mapping):
        for server in servers:
            for key in (server, f"https://{server}", f"https://{server}/v1/", f"https://{server}/v2/"):
                entry = auths.get(key)
                if isinstance(entry, Mapping) and (found := _read_entry(entry)) is not None:
                    return found
    return None


def _ask_helper(name: str, server: str, run_helper: HelperCall) -> Credentials | None:
    if _HELPER.fullmatch(name) is None:
        return None
    answer = run_helper((f"docker-credential-{name}", "get"), server)
    if answer is None:
        return None
    try:
        values: object = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, Mapping):
        return None
    username, secret = values.get("Username"), values.get("Secret")
    if not isinstance(username, str) or not isinstance(secret, str) or not secret:
        return None
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(username=username, password=secret)


def _read_entry(entry: Mapping[str, object]) -> Credentials | None:
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials(identity_token=token)
    encoded = entry.get("auth")
    if not isinstance(encoded, str) or not encoded:
        username, password = entry.get("username"), entry.get("password")
        if isinstance(username, str) and isinstance(password, str) and username:
            return Credentials(username=username, password=password)
        return None
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    username, colon, password = decoded.partition(":")
    return Credentials(username=username, password=password.rstrip("\0")) if colon and username else None
