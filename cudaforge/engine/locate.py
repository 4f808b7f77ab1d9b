"""Which engine is meant: DOCKER_HOST, the docker command line's current context, or the default socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from cudaforge import process
from cudaforge.engine.errors import EngineUnreachable
from cudaforge.errors import Problem
from cudaforge.records import record

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
DEFAULT_CONTEXT = "default"
LOCATE_SECONDS = 10.0


@record()
class TlsFiles:
    """Client certificates for an engine behind TLS. None where the engine asks for none."""

    ca: Path | None
    certificate: Path | None
    key: Path | None
    is_verified: bool


@record()
class EngineAddress:
    """Where an engine listens, and who said so."""

    host: str
    said_by: str
    """`DOCKER_HOST`, `context NAME`, an option with its value, or empty for the default socket that nobody
    named."""
    is_given: bool = False
    """Whether the address itself was given, and no context."""
    context: str = DEFAULT_CONTEXT
    tls: TlsFiles | None = None

    @property
    def is_local(self) -> bool:
        """Whether the engine's files and devices are this machine's."""
        return self.host.startswith("unix://")

    @property
    def socket(self) -> Path | None:
        """The socket's file, for a local engine."""
        return Path(self.host.removeprefix("unix://")) if self.is_local else None


def locate_engine(environment: Mapping[str, str]) -> EngineAddress:
    """The engine that the docker command line would talk to with this environment.

    Raises EngineUnreachable for a context that does not exist or cannot be read.
    """
    host = environment.get("DOCKER_HOST", "").strip()
    if host:
        tls = _environment_tls(environment)
        return EngineAddress(host=_normal(host), said_by="DOCKER_HOST", is_given=True, tls=tls)
    try:
        inspected = process.run(["docker", "context", "inspect"], timeout=LOCATE_SECONDS)
    except process.ProgramNotFound:
        return EngineAddress(host=DEFAULT_SOCKET, said_by="")
    if inspected.returncode != 0:
        if _is_podmans(inspected):
            return EngineAddress(host=DEFAULT_SOCKET, said_by="")
        raise _bad_context(_last_line(inspected.stderr))
    return parse_context(inspected.stdout)


def given_address(host: str, *, said_by: str) -> EngineAddress:
    """The engine at an address that was given by something else than the environment."""
    return EngineAddress(host=_normal(host), said_by=said_by, is_given=True)


def locate_context(name: str, environment: Mapping[str, str]) -> EngineAddress | None:
    """The engine of a context of the docker command line; None where there is no such context.

    DOCKER_HOST says where the default context is. Raises EngineUnreachable for one that cannot be read.
    """
    if name == DEFAULT_CONTEXT and environment.get("DOCKER_HOST", "").strip():
        return locate_engine(environment)
    try:
        inspected = process.run(["docker", "context", "inspect", "--", name], timeout=LOCATE_SECONDS)
    except process.ProgramNotFound:
        return None
    return parse_context(inspected.stdout) if inspected.returncode == 0 else None


def parse_context(text: str) -> EngineAddress:
    """The address in what `docker context inspect` printed."""
    try:
        context = json.loads(text)[0]
        name = str(context["Name"])
        endpoint = context["Endpoints"]["docker"]
        host = str(endpoint.get("Host") or DEFAULT_SOCKET)
        tls = _context_tls(context, is_verified=not endpoint.get("SkipTLSVerify", False))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _bad_context(f"docker context inspect printed no context ({error})") from None
    said_by = "" if name == DEFAULT_CONTEXT and host == DEFAULT_SOCKET else f"context {name}"
    return EngineAddress(host=_normal(host), said_by=said_by, context=name, tls=tls)


def _normal(host: str) -> str:
    return f"unix://{host}" if host.startswith("/") else host


def _environment_tls(environment: Mapping[str, str]) -> TlsFiles | None:
    is_verified = bool(environment.get("DOCKER_TLS_VERIFY"))
    if not is_verified and not environment.get("DOCKER_TLS"):
        return None
    directory = environment.get("DOCKER_CERT_PATH") or environment.get("DOCKER_CONFIG")
    return _tls_files(Path(directory) if directory else Path.home() / ".docker", is_verified=is_verified)


def _context_tls(context: Mapping[str, Mapping[str, object]], *, is_verified: bool) -> TlsFiles | None:
    if not context.get("TLSMaterial"):
        return None
    return _tls_files(Path(str(context["Storage"]["TLSPath"])) / "docker", is_verified=is_verified)


def _tls_files(directory: Path, *, is_verified: bool) -> TlsFiles:
    def existing(name: str) -> Path | None:
        return directory / name if (directory / name).is_file() else None

    return TlsFiles(
        ca=existing("ca.pem"),
        certificate=existing("cert.pem"),
        key=existing("key.pem"),
        is_verified=is_verified,
    )


def _is_podmans(completed: process.Completed) -> bool:
    """Whether `docker` is another name of Podman's program, which has no contexts."""
    return "podman" in completed.stderr.lower()


def _bad_context(reason: str) -> EngineUnreachable:
    return EngineUnreachable(
        Problem(
            what="the docker command line's context cannot be used",
            because=(reason,),
            remedy="choose another: docker context use default, or set DOCKER_HOST",
        )
    )


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"
