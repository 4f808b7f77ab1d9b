"""What engines and the programs that drive them have to be."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cudaforge import process
from cudaforge.engine.errors import BuildxUnusable, EngineTooOld
from cudaforge.engine.locate import EngineAddress
from cudaforge.engine.words import OLDEST_ENGINE
from cudaforge.errors import Problem

OLDEST_BUILDX = (0, 13)
"""The first with --progress=rawjson."""
BUILDX_SECONDS = 10.0
_BUILDX_VERSION = re.compile(r"\bv?(\d+)\.(\d+)\.\d+")


def check_docker_version(version: str, address: EngineAddress) -> None:
    """Raise EngineTooOld for a Docker that lacks what cudaforge builds on."""
    major = version.split(".", maxsplit=1)[0]
    if major.isdigit() and int(major) < OLDEST_ENGINE:
        raise EngineTooOld(
            Problem(
                what=f"Docker {version} at {address.host} is too old: {OLDEST_ENGINE} or newer is needed",
                remedy="upgrade Docker Engine, or set DOCKER_HOST to a newer one",
            )
        )


def check_buildx(cli_env: Mapping[str, str]) -> None:
    """Raise BuildxUnusable unless the docker command line can drive BuildKit for us."""
    oldest = dotted(OLDEST_BUILDX)
    remedy = (
        f"install the docker command line and its buildx plugin, {oldest} or newer (docker-buildx-plugin)"
    )
    try:
        answer = process.run(["docker", "buildx", "version"], timeout=BUILDX_SECONDS, env=cli_env)
    except process.ProgramNotFound:
        raise BuildxUnusable(
            Problem(what="the docker command line is not installed", remedy=remedy)
        ) from None
    if answer.returncode != 0:
        raise BuildxUnusable(Problem(what="the docker command line has no buildx plugin", remedy=remedy))
    version = parse_buildx_version(answer.stdout)
    # Builds from source call themselves 0.0.0: what they can do shows when they build.
    if version is not None and (0, 0) < version < OLDEST_BUILDX:
        what = f"buildx {dotted(version)} is too old: {oldest} or newer is needed"
        raise BuildxUnusable(Problem(what=what, remedy=remedy))


def parse_buildx_version(text: str) -> tuple[int, int] | None:
    """Major and minor in what `docker buildx version` printed."""
    match = _BUILDX_VERSION.search(text)
    return (int(match[1]), int(match[2])) if match else None


def dotted(version: tuple[int, int]) -> str:
    """A version of two numbers as it is written."""
    return ".".join(str(part) for part in version)
