"""Builders by name: an engine's address, a context of the docker command line, or a builder of buildx."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping

from cudaforge import process
from cudaforge.display import show
from cudaforge.engine import podman
from cudaforge.engine.client import Engine, connect
from cudaforge.engine.errors import EngineError, EngineUnreachable
from cudaforge.engine.locate import EngineAddress, given_address, locate_context, locate_engine
from cudaforge.errors import InputError, Problem
from cudaforge.records import record, replace

INSPECT_SECONDS = 30.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ADDRESS = re.compile(r"(?:unix|tcp|ssh)://[^\s]+|/[^\s]+")
_FIELD = re.compile(r"^(?P<key>Driver|Endpoint|Error|Platforms):\s+(?P<value>\S.*)$", re.MULTILINE)
_DOCKER_DRIVER = "docker"


@record()
class NamedBuilder:
    """Where images are built, and the engine that has them afterwards."""

    name: str
    engine: Engine
    builder: str
    """As buildx calls it."""
    is_own: bool = True
    """Whether it is the engine's own BuildKit."""

    def check_builder(self) -> None:
        """Raise EngineUnreachable unless buildx reaches a builder that is not the engine's own."""
        found = _inspect(self.builder, self.engine.cli_env)
        error = None if found is None else found.get("Error")
        if found is None or error:
            raise _unreachable(self.builder, error or "buildx does not know it any more")

    def find_platforms(self) -> frozenset[str]:
        """The platforms whose programs it runs, itself or emulated: `linux/arm64`. Empty where nobody says.

        Raises EngineError where its engine does not answer, or buildx does not.
        """
        if self.engine.is_podman:
            return podman.find_platforms(self.engine.architecture)
        found = _inspect(self.builder, self.engine.cli_env) or {}
        words = (word.strip().rstrip("*") for word in found.get("Platforms", "").split(","))
        return frozenset("/".join(word.split("/")[:2]) for word in words if word)


def own_builder(engine: Engine) -> NamedBuilder:
    """The engine's own BuildKit."""
    return NamedBuilder(name=engine.builder, engine=engine, builder=engine.builder)


def connect_named(name: str) -> NamedBuilder:
    """The builder that is meant by `name`, once its engine has answered.

    An address is an engine; a name is a context of the docker command line, else a builder of buildx,
    whose images go to the engine that `connect` finds. Raises InputError for a name that neither knows,
    EngineError where the engine cannot be had.
    """
    if _ADDRESS.fullmatch(name):
        return _engine_builder(name, given_address(name, said_by=f"--builder {name}"))
    if not _NAME.fullmatch(name):
        raise InputError(
            Problem(
                what=f"--builder: {show(name)} is no name of a builder",
                remedy="name a buildx builder, a docker context, or an address such as unix:///run/docker.sock",
            )
        )
    context = locate_context(name, os.environ)
    if context is not None:
        return _engine_builder(name, replace(context, said_by=f"--builder {name}, a docker context"))
    _check_not_podman(name)
    found = _inspect_here(name)
    if found is None:
        raise InputError(
            Problem(
                what=f"--builder {name}: there is no builder and no docker context of that name",
                remedy="list them: docker buildx ls; docker context ls",
            )
        )
    if found.get("Driver") == _DOCKER_DRIVER:
        address = locate_context(found.get("Endpoint", ""), os.environ) or locate_engine(os.environ)
        return _engine_builder(name, address)
    return NamedBuilder(name=name, engine=connect(), builder=name, is_own=False)


def _inspect_here(name: str) -> Mapping[str, str] | None:
    try:
        return _inspect(name, {})
    except process.ProgramNotFound:
        raise InputError(
            Problem(
                what=f"--builder {name} would be a docker context or a builder of buildx, and the docker "
                "command line is not installed",
                remedy="name the address of an engine, such as unix:///run/podman/podman.sock, or install it",
            )
        ) from None


def _check_not_podman(name: str) -> None:
    """Raise InputError where a builder of buildx is named and the engine is Podman."""
    with contextlib.suppress(EngineError):
        engine = connect()
        engine.close()
        if engine.is_podman:
            raise InputError(
                Problem(
                    what=f"--builder {name} would be a builder of buildx, and here Podman builds",
                    because=(f"Podman answers at {engine.address.host}",),
                    remedy="leave --builder out, name the address of a Podman service (unix://PATH), or set "
                    "DOCKER_HOST to a Docker engine",
                )
            )


def _engine_builder(name: str, address: EngineAddress) -> NamedBuilder:
    engine = Engine(address)
    return NamedBuilder(name=name, engine=engine, builder=engine.builder)


def _unreachable(name: str, reason: str) -> EngineUnreachable:
    return EngineUnreachable(
        Problem(
            what=f"the builder {name} cannot be reached",
            because=(reason,),
            remedy=f"look at it: docker buildx inspect {name}",
        )
    )


def _inspect(name: str, environment: Mapping[str, str]) -> Mapping[str, str] | None:
    words = ("docker", "buildx", "inspect", "--", name)
    try:
        asked = process.run(words, timeout=INSPECT_SECONDS, env=environment)
    except process.ProgramTimeout:
        raise _unreachable(name, f"buildx says nothing of it within {INSPECT_SECONDS:g} s") from None
    if asked.returncode != 0:
        return None
    found: dict[str, str] = {}
    for match in _FIELD.finditer(asked.stdout):
        key, value = match["key"], match["value"].strip()
        # Each node of a builder has its own.
        found[key] = f"{found[key]}, {value}" if key == "Platforms" and key in found else value
    return found
