"""CDI specs: what they name, and whether it is there.

The format: Container Device Interface, specs-go/config.go (kind, devices, containerEdits with deviceNodes and
mounts). A spec is written once, by `nvidia-ctk cdi generate`, for the driver of that day.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from cudaforge.doctor.host import Host
from cudaforge.engine.gpus import CDI_KIND
from cudaforge.records import record
from cudaforge.versions import Version

DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
"""Where engines look unless they are told otherwise."""
_SUFFIXES = (".json", ".yaml", ".yml")
_OF_DRIVER = re.compile(r"\.so\.(?P<version>\d{3}\.\d+(?:\.\d+)?)$")
_MOST = 4096


@record()
class CdiSpec:
    """One spec of NVIDIA's GPUs, or a file that is none."""

    file: str
    devices: tuple[str, ...] = ()
    """Their names: `0`, `all`."""
    missing: tuple[str, ...] = ()
    """Device nodes and mounted files that the host does not have."""
    drivers: tuple[Version, ...] = ()
    """The driver versions that its libraries are named after."""
    error: str | None = None
    """Why it cannot be read."""


def read_specs(host: Host, directories: tuple[str, ...]) -> tuple[CdiSpec, ...]:
    """NVIDIA's specs in these directories, and the files there that are no specs."""
    found = []
    for directory in directories:
        for name in host.names(directory):
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                spec = _read(host, f"{directory}/{name}")
                found += [spec] if spec is not None else []
    return tuple(found)


def _read(host: Host, file: str) -> CdiSpec | None:
    text = host.read(file)
    if text is None:
        return CdiSpec(file=file, error="it cannot be read")
    try:
        values = _parse(text)
    except ValueError as error:
        return CdiSpec(file=file, error=str(error))
    kind = values.get("kind")
    if not isinstance(kind, str):
        return CdiSpec(file=file, error="it names no kind")
    if kind != CDI_KIND:
        return None
    devices = _tables(values.get("devices"))
    edits = [_table(values.get("containerEdits")), *(_table(one.get("containerEdits")) for one in devices)]
    paths = tuple(dict.fromkeys(path for edit in edits for path in _paths(edit)))[:_MOST]
    versions = {match["version"] for path in paths if (match := _OF_DRIVER.search(PurePosixPath(path).name))}
    return CdiSpec(
        file=file,
        devices=tuple(str(device["name"]) for device in devices if "name" in device),
        missing=tuple(path for path in paths if not host.exists(path)),
        drivers=tuple(sorted(map(Version, versions))),
        error=None if devices else "it names no device",
    )


def _parse(text: str) -> Mapping[str, object]:
    """The spec's values. Raises ValueError."""
    import yaml

    try:
        values = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        where = f" at line {error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise ValueError(f"it is no YAML{where}") from None
    except (yaml.YAMLError, RecursionError):
        raise ValueError("it is no YAML") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON at line {error.lineno}") from None
    if not isinstance(values, Mapping):
        raise ValueError("it is no CDI spec")  # noqa: TRY004 -- of a file, not of a caller
    return values


def _paths(edit: Mapping[str, object]) -> Iterator[str]:
    for node in _tables(edit.get("deviceNodes")):
        path = node.get("hostPath") or node.get("path")
        if isinstance(path, str) and path.startswith("/"):
            yield path
    for mount in _tables(edit.get("mounts")):
        path = mount.get("hostPath")
        if isinstance(path, str) and path.startswith("/"):
            yield path


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _tables(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
