"""Containers with CDI devices, made by Podman's program: asked through Docker's API, Podman leaves them out.

Source: github.com/containers/podman/issues/19338; seen with 4.3.1, whose `--device` takes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from cudaforge import process
from cudaforge.engine.model import RUN_LABEL, ContainerSpec, GpuMethod

CREATE_SECONDS = 120.0


class NotCreated(Exception):
    """Podman has refused to make a container. `explanation` is in its words."""

    def __init__(self, explanation: str) -> None:
        super().__init__(explanation)
        self.explanation = explanation


def needs_program(spec: ContainerSpec) -> bool:
    """Whether Podman's API would leave a part of the container out."""
    return spec.gpu is not None and spec.gpu.method is GpuMethod.CDI


def create(program: tuple[str, ...], spec: ContainerSpec, *, env: Mapping[str, str]) -> str:
    """Make a container, and give its id. `program` begins a command line of Podman's.

    Raises NotCreated, ProgramTimeout and ProgramNotFound.
    """
    done = process.run((*program, *create_words(spec)), timeout=CREATE_SECONDS, env=env)
    made = done.stdout.strip().rpartition("\n")[2]
    if done.returncode != 0 or not made:
        raise NotCreated(done.stderr.strip().removeprefix("Error: "))
    return made


def create_words(spec: ContainerSpec) -> tuple[str, ...]:
    """The command `create` with its options, the image and the arguments."""
    return ("create", *_options(spec), "--", spec.image, *(spec.argv or ()))


def _options(spec: ContainerSpec) -> Iterator[str]:
    yield "--pull=never"
    # What the API does by itself.
    yield "--http-proxy=false"
    yield "--log-driver=none"
    yield "--security-opt=no-new-privileges"
    yield f"--label={RUN_LABEL}={spec.run_id}"
    yield f"--network={'bridge' if spec.has_network else 'none'}"
    if spec.gpu is not None:
        yield from (f"--device={device}" for device in spec.gpu.devices)
    if spec.entrypoint is not None:
        yield f"--entrypoint={json.dumps(spec.entrypoint) if spec.entrypoint else ''}"
    yield from (f"--env={name}={value}" for name, value in spec.env.items())
    yield from (f"--tmpfs={place}:{options}" for place, options in spec.tmpfs.items())
    for mount in spec.mounts:
        ending = ",readonly" if mount.read_only else ""
        yield f"--mount=type=bind,source={mount.source},target={mount.target}{ending}"
    yield from _limits(spec)


def _limits(spec: ContainerSpec) -> Iterator[str]:
    if spec.stdin is not None:
        yield "--interactive"
    for option, value in (
        ("user", spec.user),
        ("workdir", spec.workdir),
        ("memory", spec.memory),
        ("memory-swap", spec.memory),
        ("pids-limit", spec.pids),
        ("cpus", spec.cpus),
        ("shm-size", spec.shared_memory),
    ):
        if value is not None:
            # A number without a unit is in bytes.
            yield f"--{option}={value}"
    if spec.read_only:
        # Else /dev, /run, /tmp and /var/tmp could be written.
        yield from ("--read-only", "--read-only-tmpfs=false")
    if spec.drop_capabilities:
        yield "--cap-drop=ALL"
