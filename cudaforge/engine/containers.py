"""Running one container to its end, and leaving nothing of it."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from cudaforge.engine.logs import LineSplitter, Tail
from cudaforge.engine.model import RUN_LABEL, ContainerOutcome, ContainerSpec, GpuMethod, GpuRequest
from cudaforge.engine.podman_create import NotCreated

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.types import DeviceRequest, HostConfig

KILL_SECONDS = 20.0
"""How long a killed container may take to be reported as ended."""
_STDERR_STREAM = 2
_CONFLICT = 409


def run(
    client: DockerClient,
    spec: ContainerSpec,
    *,
    timeout: float,
    on_log: Callable[[str], None] | None,
    create: Callable[[ContainerSpec], str] | None = None,
) -> ContainerOutcome:
    """Create, start, feed, wait for and remove a container. `create` makes it where the API cannot."""
    from docker.errors import APIError

    started = time.monotonic()
    try:
        container = _create(client, spec) if create is None else create(spec)
    except (APIError, NotCreated) as error:
        return _refused(error, started)
    try:
        return _run_created(client, spec, container, timeout=timeout, on_log=on_log)
    finally:
        # After a failed start the container stays behind in state "created", even with AutoRemove.
        remove(client, container)


def remove(client: DockerClient, container: str) -> None:
    """Remove a container, killing it if need be. One that is gone already is fine."""
    from docker.errors import APIError, NotFound

    try:
        client.api.remove_container(container, force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != _CONFLICT:
            raise
        # Someone else is removing it: gone is when it is gone.
        with contextlib.suppress(NotFound):
            client.api.wait(container, timeout=int(KILL_SECONDS), condition="removed")


def remove_run(client: DockerClient, run_id: str) -> int:
    """Remove every container with this run's label."""
    found = client.api.containers(all=True, quiet=True, filters={"label": [f"{RUN_LABEL}={run_id}"]})
    for entry in found:
        remove(client, str(entry["Id"]))
    return len(found)


def _run_created(
    client: DockerClient,
    spec: ContainerSpec,
    container: str,
    *,
    timeout: float,
    on_log: Callable[[str], None] | None,
) -> ContainerOutcome:
    from docker.errors import APIError

    started = time.monotonic()
    # Attached before the start: nothing is lost, and no log is kept on the engine's disk. Podman prepares
    # the container for that, and refuses here what Docker refuses at the start.
    try:
        reader = _Reader(client, container, spec, on_log)
    except APIError as error:
        return _refused(error, started)
    try:
        try:
            client.api.start(container)
        except APIError as error:
            return _refused(error, started)
        reader.begin(spec.stdin)
        status = _wait(client, container, timeout)
        if status is None:
            _kill(client, container)
        reader.join(KILL_SECONDS)
        return ContainerOutcome(
            exit_status=status,
            stdout=reader.stdout.text(),
            stderr=reader.stderr.text(),
            seconds=time.monotonic() - started,
            dropped=reader.stdout.dropped + reader.stderr.dropped,
            oom_killed=_is_oom_killed(client, container),
            timed_out=status is None,
        )
    finally:
        reader.close()


def _refused(error: Exception, started: float) -> ContainerOutcome:
    said = str(getattr(error, "explanation", None) or error).strip()
    return ContainerOutcome(
        exit_status=None, stdout="", stderr="", seconds=time.monotonic() - started, start_error=said
    )


def _create(client: DockerClient, spec: ContainerSpec) -> str:
    created = client.api.create_container(
        image=spec.image,
        command=list(spec.argv) if spec.argv is not None else None,
        # An entrypoint of [""] resets the image's; an empty list would keep it.
        entrypoint=None if spec.entrypoint is None else list(spec.entrypoint) or [""],
        environment={**_gpu_environment(spec.gpu), **spec.env},
        user=spec.user,
        working_dir=spec.workdir,
        labels={RUN_LABEL: spec.run_id},
        stdin_open=spec.stdin is not None,
        network_disabled=not spec.has_network,
        host_config=_host_config(client, spec),
    )
    return str(created["Id"])


def _host_config(client: DockerClient, spec: ContainerSpec) -> HostConfig:
    from docker.types import LogConfig, Mount

    return client.api.create_host_config(
        mem_limit=spec.memory,
        memswap_limit=spec.memory,
        pids_limit=spec.pids,
        nano_cpus=int(spec.cpus * 1e9) if spec.cpus is not None else None,
        shm_size=spec.shared_memory,
        tmpfs=dict(spec.tmpfs) or None,
        mounts=[
            Mount(target=mount.target, source=mount.source, type="bind", read_only=mount.read_only)
            for mount in spec.mounts
        ],
        read_only=spec.read_only,
        cap_drop=["ALL"] if spec.drop_capabilities else None,
        network_mode="bridge" if spec.has_network else "none",
        runtime="nvidia" if spec.gpu is not None and spec.gpu.method is GpuMethod.RUNTIME else None,
        device_requests=_device_requests(spec.gpu),
        security_opt=["no-new-privileges"],
        log_config=LogConfig(type="none"),
    )


def _gpu_environment(gpu: GpuRequest | None) -> Mapping[str, str]:
    if gpu is None or gpu.method is not GpuMethod.RUNTIME:
        return {}
    return {"NVIDIA_VISIBLE_DEVICES": ",".join(gpu.devices)}


def _device_requests(gpu: GpuRequest | None) -> list[DeviceRequest] | None:
    from docker.types import DeviceRequest

    if gpu is None or gpu.method is GpuMethod.RUNTIME:
        return None
    if gpu.method is GpuMethod.CDI:
        return [DeviceRequest(driver="cdi", device_ids=list(gpu.devices))]
    if gpu.devices == ("all",):
        return [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    return [DeviceRequest(device_ids=list(gpu.devices), capabilities=[["gpu"]])]


def _wait(client: DockerClient, container: str, timeout: float) -> int | None:
    """The exit status, or None at the deadline."""
    from requests.exceptions import ConnectionError as RequestsConnectionError
    from requests.exceptions import Timeout

    try:
        answer = client.api.wait(container, timeout=max(1, math.ceil(timeout)))
    except Timeout:
        return None
    except RequestsConnectionError as error:
        # requests reports a time-out in the middle of an answer's body as a lost connection.
        if "timed out" in str(error).lower():
            return None
        raise
    return int(answer["StatusCode"])


def _kill(client: DockerClient, container: str) -> None:
    from docker.errors import APIError

    # It may have ended by itself in the meantime.
    with contextlib.suppress(APIError):
        client.api.kill(container)
    _wait(client, container, KILL_SECONDS)


def _is_oom_killed(client: DockerClient, container: str) -> bool:
    return bool(client.api.inspect_container(container)["State"].get("OOMKilled"))


def _plain_socket(connection: object) -> socket.socket:
    # The SDK gives the file object around a Unix socket, and TLS sockets as they are.
    return cast(socket.socket, getattr(connection, "_sock", connection))


def _start_thread(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


class _Reader:
    """Both output streams of a container, read on a thread of its own."""

    def __init__(
        self,
        client: DockerClient,
        container: str,
        spec: ContainerSpec,
        on_log: Callable[[str], None] | None,
    ) -> None:
        self.stdout = Tail(spec.log_limit)
        self.stderr = Tail(spec.log_limit)
        self._on_log = on_log
        self._reading: threading.Thread | None = None
        wanted = {"stdout": 1, "stderr": 1, "stream": 1, "stdin": int(spec.stdin is not None)}
        self._socket = client.api.attach_socket(container, params=wanted)

    def begin(self, stdin: bytes | None) -> None:
        """Start reading, and feeding if there is something to feed."""
        self._reading = _start_thread(self._read)
        if stdin is not None:
            _start_thread(lambda: self._feed(stdin))

    def join(self, timeout: float) -> None:
        """Wait until the output has ended. Input that nobody reads is not waited for."""
        if self._reading is not None:
            self._reading.join(timeout)

    def close(self) -> None:
        """Let go of the connection; a thread that still reads ends."""
        # The SDK's file object does not close the socket that it stands for, and the HTTP answer that hangs
        # on it complains when it is collected after it.
        connection = _plain_socket(self._socket)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        for end in (getattr(self._socket, "_response", None), self._socket, connection):
            with contextlib.suppress(OSError, ValueError):
                if end is not None:
                    end.close()

    def _read(self) -> None:
        from docker.utils.socket import SocketError, frames_iter

        lines = {1: LineSplitter(self._on_log), _STDERR_STREAM: LineSplitter(self._on_log)}
        with contextlib.suppress(OSError, ValueError, SocketError):
            for stream, chunk in frames_iter(self._socket, tty=False):  # type: ignore[no-untyped-call]  # the stubs leave it
                (self.stderr if stream == _STDERR_STREAM else self.stdout).add(chunk)
                lines[_STDERR_STREAM if stream == _STDERR_STREAM else 1].add(chunk)
        for splitter in lines.values():
            splitter.finish()

    def _feed(self, stdin: bytes) -> None:
        # A container that ends without reading its input breaks the pipe; that is its right.
        with contextlib.suppress(OSError):
            connection = _plain_socket(self._socket)
            connection.sendall(stdin)
            connection.shutdown(socket.SHUT_WR)
