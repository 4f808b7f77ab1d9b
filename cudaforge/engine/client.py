"""A connection to one container engine. Made by `connect`; every call has its own time-out."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge import process
from cudaforge.engine import containers, filesystem, gpus, images, podman, podman_create, usage
from cudaforge.engine.errors import EngineFrozen, EngineRefused, EngineUnreachable
from cudaforge.engine.explain import explain_call, explain_connecting
from cudaforge.engine.locate import EngineAddress, locate_engine
from cudaforge.engine.model import ContainerOutcome, ContainerSpec, GpuOffer, ImageFacts
from cudaforge.engine.needs import check_buildx, check_docker_version
from cudaforge.engine.words import EngineWords, words_of
from cudaforge.errors import Problem

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.tls import TLSConfig

PROBE_SECONDS = 10
"""A frozen daemon accepts connections and never answers."""
CALL_SECONDS = 60
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CONTAINERD_STORE = "io.containerd.snapshotter"


class Engine:
    """A container engine that has answered. Safe to share between threads.

    Every method raises a subclass of EngineError when the engine fails it.
    """

    def __init__(self, address: EngineAddress, *, probe_timeout: float = PROBE_SECONDS) -> None:
        self.address = address
        self.is_podman = False
        self._local = threading.local()
        self._clients: list[DockerClient] = []
        self._lock = threading.Lock()
        self._is_buildx_checked = False
        self._podman: podman.LocalPodman | None = None
        self._api_version: str | None = None
        self._has_containerd_store: bool | None = None
        self._architecture: str | None = None
        self.server_version = self._probe(probe_timeout)

    @property
    def client(self) -> DockerClient:
        """The calling thread's client of the Docker SDK (its sessions are not safe to share)."""
        client: DockerClient | None = getattr(self._local, "client", None)
        if client is None:
            client = self._make_client(self._api_version or "auto", CALL_SECONDS)
            self._local.client = client
        return client

    @property
    def cli_env(self) -> Mapping[str, str]:
        """What ties the docker command line to this engine, on top of this process's environment."""
        if self.address.is_given:
            return {"DOCKER_HOST": self.address.host}
        # An address in the environment would win over a context that was named on purpose.
        return {"DOCKER_CONTEXT": self.address.context, "DOCKER_HOST": ""}

    @property
    def kind(self) -> str:
        """Whose engine it is: `Docker` or `Podman`."""
        return self.words.name

    @property
    def words(self) -> EngineWords:
        """What people type to mend it."""
        return words_of(is_podman=self.is_podman)

    @property
    def program(self) -> tuple[str, ...]:
        """The words that begin a command line which this engine carries out, with `cli_env`."""
        # Podman's service understands the docker command line, too.
        has_own = self.is_podman and shutil.which(podman.PROGRAM) is not None
        return podman.remote_words(self.address) if has_own else ("docker",)

    @property
    def builder(self) -> str:
        """The name of this engine's own builder; where that is BuildKit, the one that buildx knows."""
        return podman.PROGRAM if self.is_podman else self.address.context

    def require_buildx(self) -> None:
        """Raise BuildxUnusable unless the docker command line can drive BuildKit for us."""
        with self._lock:
            if not self._is_buildx_checked:
                check_buildx(self.cli_env)
                self._is_buildx_checked = True

    def require_podman(self) -> podman.LocalPodman:
        """This machine's Podman on the images of this engine, which is one. Raises PodmanUnusable where it
        cannot build here."""
        with self._lock:
            if self._podman is None:
                self._podman = podman.find_local(self.address, self.server_version)
            return self._podman

    def check_alive(self) -> None:
        """Raise EngineFrozen or EngineDied unless the engine still answers."""
        with self.asking("to answer", timeout=PROBE_SECONDS):
            _touch(self.address, PROBE_SECONDS)
            client = self._make_client(self._api_version or "auto", PROBE_SECONDS)
            try:
                client.ping()
            finally:
                client.close()
                with self._lock:
                    self._clients.remove(client)

    @property
    def architecture(self) -> str:
        """The CPU architecture that its containers run on, as images name it: `amd64`."""
        if self._architecture is None:
            said = str(self.info().get("Architecture") or "")
            self._architecture = _ARCHITECTURES.get(said, said)
        return self._architecture

    @property
    def has_containerd_store(self) -> bool:
        """Whether images are kept by containerd, compressed, instead of by Docker's older store."""
        if self._has_containerd_store is None:
            self._has_containerd_store = _CONTAINERD_STORE in str(self.info().get("DriverStatus"))
        return self._has_containerd_store

    def info(self) -> Mapping[str, object]:
        """What the engine says about itself."""
        with self.asking("for information"):
            return dict(self.client.info())

    def gpu_offer(self) -> GpuOffer:
        """How this engine can give GPUs to a container."""
        return gpus.read_offer(
            self.info(), devices=Path("/dev"), is_local=self.address.is_local, is_podman=self.is_podman
        )

    def run_container(
        self, spec: ContainerSpec, *, timeout: float, on_log: Callable[[str], None] | None = None
    ) -> ContainerOutcome:
        """Run a container to its end and remove it, whatever happens.

        `timeout` is in seconds from the start of the container, which is killed then. `on_log` gets each
        line of output as it comes, on another thread; it must not raise. A refusal by the engine (no such
        image, no such GPU, no such program) is the outcome's `start_error`.
        """
        with self.asking("to run a container"):
            create = self._create_by_podman if self._is_for_podman(spec) else None
            return containers.run(self.client, spec, timeout=timeout, on_log=on_log, create=create)

    def _is_for_podman(self, spec: ContainerSpec) -> bool:
        has_program = self.is_podman and shutil.which(podman.PROGRAM) is not None
        return has_program and podman_create.needs_program(spec)

    def _create_by_podman(self, spec: ContainerSpec) -> str:
        try:
            return podman_create.create(self.program, spec, env=self.cli_env)
        except podman_create.NotCreated:
            self.check_alive()  # a lost engine has refused nothing
            raise
        except process.ProgramTimeout as error:
            raise EngineFrozen(error.problems) from None

    def remove_leftovers(self, run_id: str, *, patience: float = CALL_SECONDS) -> int:
        """Remove every container of a run, running or not, and say how many there were.

        `patience` is in seconds for each answer of the engine.
        """
        with self.asking("to remove containers", timeout=patience):
            client = self.client
            usual, client.api.timeout = client.api.timeout, patience  # type: ignore[assignment]  # may be a fraction
            try:
                return containers.remove_run(client, run_id)
            finally:
                client.api.timeout = usual

    def find_image(self, reference: str) -> ImageFacts | None:
        """The image with this reference or id, if the engine has it. Nothing is pulled."""
        with self.asking("for an image"):
            found = images.find_image(self.client, reference)
        return podman.short_names(found) if found is not None and self.is_podman else found

    @contextlib.contextmanager
    def opened_image(self, image: str, *, run_id: str) -> Iterator[filesystem.ImageFilesystem]:
        """The files of an image that the engine has, until the block ends. Nothing of the image runs."""
        with filesystem.opened(self.client, image, run_id, self.asking) as files:
            yield files

    def list_images_by_label(self, label: str, value: str | None = None) -> tuple[ImageFacts, ...]:
        """Images that carry a label, with this value if one is given; newest first."""
        with self.asking("for its images"):
            found = images.list_by_label(self.client, label, value)
        return tuple(map(podman.short_names, found)) if self.is_podman else found

    def list_images_by_name(self, is_meant: Callable[[str], bool]) -> tuple[ImageFacts, ...]:
        """Images of which a tag is meant; Podman's tags always have a host: `localhost/a:latest`."""
        with self.asking("for its images"):
            return images.list_by_name(self.client, is_meant)

    def tag_image(self, image_id: str, reference: str) -> None:
        """Let `reference` mean this image."""
        with self.asking(f"to tag an image {reference}"):
            images.tag_image(self.client, image_id, reference)

    def pull_image(self, reference: str, *, timeout: float, platform: str | None = None) -> None:
        """Get an image from its registry, with the logins of the docker command line."""
        wanted = ("--platform", platform) if platform is not None else ()
        words = (*self.program, "pull", "--quiet", *wanted, "--", reference)
        self._run(words, timeout=timeout, refusal=f"the engine could not pull {reference}")

    def load_image(self, archive: Path, *, timeout: float) -> None:
        """Take the images of a `docker save` or OCI archive into the engine's store."""
        words = (*self.program, "load", "--quiet", "--input", str(archive))
        self._run(words, timeout=timeout, refusal=f"the engine refused to load {archive.name}")

    def save_image(self, reference: str, archive: Path, *, timeout: float) -> None:
        """Write the image of the store into an archive, as `docker save` does."""
        words = (*self.program, "save", "--output", str(archive), "--", reference)
        self._run(words, timeout=timeout, refusal=f"the engine refused to save {reference}")

    def _run(self, words: tuple[str, ...], *, timeout: float, refusal: str) -> None:
        """Have its program do it, which `process.end_all` ends for this engine. Raises EngineError where the
        engine is lost or refuses."""
        done = process.run(words, timeout=timeout, env=self.cli_env, owner=self)
        if done.returncode != 0:
            self.check_alive()
            raise EngineRefused(Problem(what=f"{refusal}: {done.stderr.strip()}"))

    def remove_image(self, reference: str) -> bool:
        """Remove a tag, and the image when it was the last; False where there is none."""
        with self.asking(f"to remove the image {reference}"):
            return images.remove_image(self.client, reference)

    def remove_unused_image(self, reference: str) -> bool:
        """Remove a tag, or an image, that nothing uses; False where it is not there or a container has it."""
        with self.asking(f"to remove the image {reference}"):
            return usage.remove_unused_image(self.client, reference)

    def last_step(self, image_id: str) -> str:
        """The instruction that made an image's last layer."""
        with self.asking("for an image's history"):
            return usage.last_step(self.client, image_id)

    def list_containers(self, label: str) -> tuple[usage.KeptContainer, ...]:
        """Containers, running or not, that carry a label."""
        with self.asking("for its containers"):
            return usage.list_containers(self.client, label)

    def remove_container(self, container: str) -> None:
        """Remove a container, killing it if need be."""
        with self.asking("to remove a container"):
            usage.remove_container(self.client, container)

    def list_cache(self) -> tuple[usage.CacheRecord, ...]:
        """The records of its build cache."""
        with self.asking("for its build cache"):
            return usage.list_cache(self.client)

    def remove_cache(self, record_id: str) -> int:
        """Remove a record of the build cache; how many bytes that freed."""
        with self.asking("to remove build cache"):
            return usage.remove_cache(self.client, record_id)

    def stored_bytes(self) -> int:
        """Bytes of its images' layers, and of its build cache beyond them."""
        with self.asking("what its images take"):
            return usage.stored_bytes(self.client)

    def close(self) -> None:
        """Close the sockets of every thread's client."""
        with self._lock:
            clients, self._clients = self._clients, []
        for client in clients:
            client.close()

    @contextlib.contextmanager
    def asking(self, doing: str, *, timeout: float = CALL_SECONDS) -> Iterator[None]:
        """Turn the SDK's exceptions inside the block into EngineErrors. `doing` follows "it was asked"."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (DockerException, RequestException, HTTPError, OSError) as error:
            raise explain_call(error, self.address, doing=doing, timeout=timeout, words=self.words) from error

    def _probe(self, timeout: float) -> str:
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            _touch(self.address, timeout)
            client = self._make_client("auto", timeout)
            answer = client.version()
        except (DockerException, RequestException, OSError, ValueError) as error:
            raise explain_connecting(error, self.address, timeout=timeout) from error
        version = str(answer.get("Version", ""))
        components = answer.get("Components") or ()
        names = tuple(str(component.get("Name", "")) for component in components)
        self.is_podman = any("podman" in name.lower() for name in names)
        if not self.is_podman:
            check_docker_version(version, self.address)
        self._api_version = str(answer["ApiVersion"])
        client.api.timeout = CALL_SECONDS
        self._local.client = client
        return version

    def _make_client(self, version: str, timeout: float) -> DockerClient:
        from docker import DockerClient

        _require_ssh(self.address)
        client = DockerClient(
            base_url=self.address.host,
            version=version,
            timeout=timeout,  # type: ignore[arg-type]  # requests takes fractions of a second
            tls=_tls_config(self.address),
            use_ssh_client=self.address.host.startswith("ssh://"),
        )
        with self._lock:
            self._clients.append(client)
        return client


def connect(
    *,
    environment: Mapping[str, str] | None = None,
    probe_timeout: float = PROBE_SECONDS,
) -> Engine:
    """The engine that the docker command line would use, once it has answered: Docker, or Podman's service.

    Raises one EngineError for each way in which it can be missing: absent, unreachable, denied,
    frozen, too old.
    """
    chosen = os.environ if environment is None else environment
    return Engine(locate_engine(chosen), probe_timeout=probe_timeout)


def _touch(address: EngineAddress, timeout: float) -> None:
    """Raise the OSError of a local engine that takes no connection.

    The SDK would raise the same, wrapped, and leave the socket of the failed attempt open.
    """
    if address.socket is not None:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(timeout)
            probe.connect(str(address.socket))


def _require_ssh(address: EngineAddress) -> None:
    if address.host.startswith("ssh://") and importlib.util.find_spec("paramiko") is None:
        raise EngineUnreachable(
            Problem(
                what=f"the engine at {address.host} is behind SSH, for which the Docker SDK needs paramiko",
                remedy='install it (pip install "docker[ssh]"), or forward the socket with ssh -L',
            )
        )


def _tls_config(address: EngineAddress) -> TLSConfig | bool:
    if address.tls is None:
        return False
    from docker.tls import TLSConfig

    pair = None
    if address.tls.certificate and address.tls.key:
        pair = (str(address.tls.certificate), str(address.tls.key))
    return TLSConfig(
        client_cert=pair,
        ca_cert=str(address.tls.ca) if address.tls.ca else None,
        verify=address.tls.is_verified,
    )
