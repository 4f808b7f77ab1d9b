"""Whether this machine has a container engine and a registry that tests may use, and where."""

import json
import os
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

OLDEST_DOCKER = 26
PROBE_SECONDS = 10
START_ONE = 'start one with: eval "$(tools/engine.sh start)"'


class NotReachable(Exception):
    """What is missing, in words for the one who runs the tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A Docker engine that answers; `docker` and its SDK find it by themselves."""

    version: str
    cdi_directories: tuple[Path, ...]
    """Where it reads CDI specs, as it says itself (Docker 27 and newer) or as tools/engine.sh exports."""


def find_engine() -> Engine:
    """The engine that `docker` reaches. Raises NotReachable."""
    version = _docker("version", "--format", "{{.Server.Version}}")
    if not version.split(".")[0].isdigit() or int(version.split(".")[0]) < OLDEST_DOCKER:
        raise NotReachable(f"Docker {version} is older than {OLDEST_DOCKER}; {START_ONE}")
    _docker("buildx", "version")
    return Engine(version=version, cdi_directories=_cdi_directories())


def find_registry() -> str:
    """`host:port` of the registry on this machine. Raises NotReachable."""
    address = os.environ.get("CUDAFORGE_ENGINE_REGISTRY", "localhost:5000")
    try:
        with urllib.request.urlopen(f"http://{address}/v2/", timeout=PROBE_SECONDS) as answer:
            answer.read(1)
    except (OSError, ValueError) as error:
        raise NotReachable(f"no registry at {address} ({error}); {START_ONE}") from None
    return address


def _docker(*words: str) -> str:
    try:
        done = subprocess.run(
            ["docker", *words], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except FileNotFoundError:
        raise NotReachable(f"there is no `docker` program; {START_ONE}") from None
    except subprocess.TimeoutExpired:
        raise NotReachable(f"the engine did not answer `docker {words[0]}` in {PROBE_SECONDS} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        raise NotReachable(f"`docker {words[0]}` failed: {said[-1]}; {START_ONE}")
    return done.stdout.strip()


def _cdi_directories() -> tuple[Path, ...]:
    exported = os.environ.get("CUDAFORGE_ENGINE_CDI_DIR")
    if exported:
        return (Path(exported),)
    try:
        stated = json.loads(_docker("info", "--format", "{{json .CDISpecDirs}}"))
    except (NotReachable, ValueError):
        return ()
    return tuple(Path(directory) for directory in stated or ())
