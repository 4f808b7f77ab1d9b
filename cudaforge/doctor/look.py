"""Looking at a host: everything is asked at once, and nothing for longer than its limit."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from cudaforge.doctor.cdi import DIRECTORIES, read_specs
from cudaforge.doctor.host import Host, within
from cudaforge.doctor.nvidia import read_nvidia
from cudaforge.doctor.situation import (
    EngineTrouble,
    Expected,
    Logins,
    SeenEngine,
    SeenNetwork,
    Situation,
)
from cudaforge.engine import (
    BuildxUnusable,
    Engine,
    EngineAbsent,
    EngineDenied,
    EngineFrozen,
    EngineTooOld,
    PodmanUnusable,
)
from cudaforge.errors import CudaforgeError, Problem, SurroundingsError
from cudaforge.lockfile.model import LockedImage
from cudaforge.matrix import Matrix
from cudaforge.packages.addresses import redact
from cudaforge.packages.site import Site
from cudaforge.process import ProgramTimeout
from cudaforge.references import canonical_registry

_ENGINE_SECONDS = 40.0
"""For everything that is asked of the engine; each question has its own, shorter limit."""
_PROXY_SECONDS = 5.0
_CONFIG_LIMIT = 1024 * 1024
_HELPER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PORTS = {"http": 80, "https": 443}
_SOCKET = "/var/run/docker.sock"
_TROUBLES: tuple[tuple[type[CudaforgeError], EngineTrouble], ...] = (
    (EngineAbsent, EngineTrouble.ABSENT),
    (EngineDenied, EngineTrouble.DENIED),
    (EngineTooOld, EngineTrouble.TOO_OLD),
    (EngineFrozen, EngineTrouble.SILENT),
    (ProgramTimeout, EngineTrouble.SILENT),
)


def look(
    host: Host,
    *,
    connect: Callable[[], Engine],
    find_site: Callable[[], Site],
    matrix: Matrix,
    docker_config: Path | None,
    expected: tuple[Expected, ...] = (),
    registries: tuple[str, ...] = (),
    image: LockedImage | None = None,
) -> Situation:
    """The host as it is now. What cannot be seen is part of the answer, and raises nothing."""
    with ThreadPoolExecutor(max_workers=3) as pool:
        engine = pool.submit(see_engine, host, connect, expected)
        nvidia = pool.submit(read_nvidia, host)
        network = pool.submit(see_network, find_site)
        seen = engine.result()
        directories = spec_directories(seen.info)
        return Situation(
            host=host,
            engine=seen,
            nvidia=nvidia.result(),
            specs=read_specs(host, directories),
            spec_directories=directories,
            logins=see_logins(host, docker_config),
            network=network.result(),
            matrix=matrix,
            expected=expected,
            registries=registries,
            image=image,
        )


def see_engine(host: Host, connect: Callable[[], Engine], expected: tuple[Expected, ...] = ()) -> SeenEngine:
    """The engine, or why it cannot be used."""
    try:
        return within(
            _ENGINE_SECONDS,
            lambda: _ask_engine(host, connect, expected),
            what=f"the container engine did not answer within {_ENGINE_SECONDS:g} s",
        )
    except SurroundingsError as error:
        trouble = next((known for kind, known in _TROUBLES if isinstance(error, kind)), EngineTrouble.OTHER)
        place = _socket(host)
        return SeenEngine(
            socket=place,
            is_local=place is not None,
            trouble=trouble,
            problem=error.problems[0],
            is_podman=_should_be_podman(host, place),
        )


def _ask_engine(host: Host, connect: Callable[[], Engine], expected: tuple[Expected, ...]) -> SeenEngine:
    engine = connect()
    try:
        info = engine.info()
        root = info.get("DockerRootDir")
        is_local = engine.address.is_local
        return SeenEngine(
            socket=str(engine.address.socket) if engine.address.socket is not None else None,
            is_local=is_local,
            version=engine.server_version,
            info=info,
            offer=engine.gpu_offer(),
            is_podman=engine.is_podman,
            buildx=_check_builder(engine),
            # Of an engine in a virtual machine, as Docker Desktop is, the directory is not here.
            disk=host.disk(host.at(root))
            if is_local and isinstance(root, str) and host.exists(root)
            else None,
            present=frozenset(one.name for one in expected if engine.find_image(one.reference) is not None),
        )
    finally:
        engine.close()


def _check_builder(engine: Engine) -> Problem | None:
    try:
        if engine.is_podman:
            engine.require_podman()
        else:
            engine.require_buildx()
    except (BuildxUnusable, PodmanUnusable, ProgramTimeout) as error:
        return error.problems[0]
    return None


def _socket(host: Host) -> str | None:
    """The socket that was meant, as far as the environment says it."""
    named = host.environ.get("DOCKER_HOST", "").strip()
    if not named:
        return _SOCKET
    return named.removeprefix("unix://") if named.startswith(("unix://", "/")) else None


def _should_be_podman(host: Host, socket: str | None) -> bool:
    """Whether the engine that does not answer is Podman: it is named, or nothing else is installed."""
    if host.environ.get("DOCKER_HOST", "").strip():
        return "podman" in (socket or "")
    return host.find_program("docker") is None and host.find_program("podman") is not None


def spec_directories(info: Mapping[str, object]) -> tuple[str, ...]:
    """Where the engine reads CDI specs; where engines do that does not say."""
    stated = info.get("CDISpecDirs")
    named = tuple(str(one) for one in stated) if isinstance(stated, list) else ()
    return named or DIRECTORIES


def see_logins(host: Host, config: Path | None) -> Logins:
    """What Docker's configuration says of logins, without reading one."""
    text = host.read(config) if config is not None else None
    if config is None or text is None:
        is_there = config is not None and host.exists(config)
        return Logins(file=str(config) if is_there else None, error="it cannot be read" if is_there else None)
    try:
        values = json.loads(text) if len(text) <= _CONFIG_LIMIT else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return Logins(file=str(config), error="it is not what Docker writes")
    helpers, auths, store = values.get("credHelpers"), values.get("auths"), values.get("credsStore")
    by_host = (
        {str(name): str(helper) for name, helper in helpers.items()} if isinstance(helpers, dict) else {}
    )
    named = {*by_host.values(), *([store] if isinstance(store, str) and store else [])}
    entries = auths if isinstance(auths, dict) else {}
    return Logins(
        file=str(config),
        missing_helpers=tuple(
            f"docker-credential-{name}"
            for name in sorted(named)
            if _HELPER.fullmatch(name) and host.find_program(f"docker-credential-{name}") is None
        ),
        known=frozenset(map(_registry, (*by_host, *entries))),
        has_store=isinstance(store, str) and bool(store),
        is_readable_by_others=_is_readable_by_others(host.at(config))
        and any(map(_has_secret, entries.values())),
    )


def _registry(server: str) -> str:
    """`https://index.docker.io/v1/` and `index.docker.io` are one."""
    return canonical_registry(server.partition("://")[2].partition("/")[0] if "://" in server else server)


def _has_secret(entry: object) -> bool:
    return isinstance(entry, dict) and any(entry.get(key) for key in ("auth", "password", "identitytoken"))


def _is_readable_by_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False


def see_network(find_site: Callable[[], Site]) -> SeenNetwork:
    """The site's settings, and whether its proxies and certificates are there."""
    try:
        site = find_site()
    except CudaforgeError as error:
        return SeenNetwork(site=None, problem=error.problems[0])
    return SeenNetwork(
        site=site,
        certificates=_check_certificates(site.ca_bundle),
        silent_proxies=() if site.offline else tuple(_silent_proxies(site)),
    )


def _check_certificates(bundle: Path | None) -> str | None:
    if bundle is None:
        return None
    try:
        ssl.create_default_context().load_verify_locations(cafile=str(bundle))
    except ssl.SSLError:
        return "it holds no PEM certificate"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def _silent_proxies(site: Site) -> Iterator[str]:
    addresses = dict.fromkeys(value for name, value in site.proxies.items() if name != "NO_PROXY")
    for address in addresses:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        with contextlib.suppress(ValueError):
            port = parts.port or _PORTS.get(parts.scheme, 1080)
            if parts.hostname and not _answers(parts.hostname, port):
                yield redact(address)


def _answers(name: str, port: int) -> bool:
    def ask() -> bool:
        try:
            socket.create_connection((name, port), timeout=_PROXY_SECONDS).close()
        except OSError:
            return False
        return True

    try:
        # Looking a name up knows no limit of its own.
        return within(_PROXY_SECONDS + 1, ask, what=f"{name} did not answer")
    except ProgramTimeout:
        return False
