"""What people type to mend an engine: the commands and places of Docker, and those of Podman."""

from __future__ import annotations

import os
import shutil

from cudaforge.engine.locate import EngineAddress
from cudaforge.records import record

OLDEST_ENGINE = 26
_PODMAN = "podman"


@record()
class EngineWords:
    """The words of one kind of engine. Remedies take them as `{words.free}`."""

    name: str
    is_podman: bool
    install: str
    """What to do where there is none."""
    start: str
    restart: str
    allow: str
    """What a user does who may not use its socket."""
    usage: str
    """Shows what its disk is taken by."""
    free: str
    """Shows it, then takes away what nothing needs."""
    store: str
    """The setting that moves its store."""
    pull: str
    push: str
    login: str
    certificates: str
    """Where it looks for the CA of a registry."""
    insecure: str
    """The setting that names a registry without TLS."""
    emulation: str
    """Lets it run programs of other platforms."""
    other_platform: str
    """The same, and what can be done without."""
    proxy: str
    gpus: str
    """Lets it give GPUs to containers, once NVIDIA's toolkit is installed."""


_GENERATE_CDI = "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
_BINFMT = "give it emulation (docker run --privileged --rm tonistiigi/binfmt --install all)"
_QEMU = "give it emulation (your distribution's QEMU for programs, with binfmt: qemu-user-static)"
DOCKER = EngineWords(
    name="Docker",
    is_podman=False,
    install=f"install Docker Engine {OLDEST_ENGINE} or newer and start it (systemctl start docker), or set "
    "DOCKER_HOST to an engine elsewhere, or to Podman's socket (unix://PATH)",
    start="sudo systemctl start docker",
    restart="sudo systemctl restart docker",
    allow="add the user to the group docker (sudo usermod -aG docker $USER) and log in again",
    usage="docker system df",
    free="docker system df; docker builder prune",
    store="data-root",
    pull="docker pull",
    push="docker push",
    login="docker login",
    certificates="/etc/docker/certs.d",
    insecure="insecure-registries in /etc/docker/daemon.json",
    emulation=_BINFMT,
    other_platform=f"{_BINFMT}, or name a builder that has a node of that platform: --builder NAME",
    proxy="tell the engine's own proxy: systemctl edit docker, Environment=HTTPS_PROXY=..., then sudo "
    "systemctl restart docker",
    gpus="sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",
)


def podman_words(*, is_root: bool) -> EngineWords:
    """Podman's, whose service is root's or the user's own.

    Source: docs.podman.io, podman-system-service(1), podman-system-df(1), podman-image-prune(1),
    podman-build(1) on emulation, containers.conf(5) on `env`, storage.conf(5), containers-certs.d(5).
    """
    systemctl = "sudo systemctl" if is_root else "systemctl --user"
    socket = "/run/podman/podman.sock" if is_root else "$XDG_RUNTIME_DIR/podman/podman.sock"
    start = f"{systemctl} start podman.socket"
    return EngineWords(
        name="Podman",
        is_podman=True,
        install=f"start Podman's service and name it: {start}; export DOCKER_HOST=unix://{socket}",
        start=start,
        restart=f"{systemctl} restart podman.socket podman.service",
        allow="use your own service: systemctl --user start podman.socket; "
        "export DOCKER_HOST=unix://$XDG_RUNTIME_DIR/podman/podman.sock",
        usage="podman system df",
        free="podman system df; podman image prune",
        store="graphroot in storage.conf",
        pull="podman pull",
        push="podman push",
        # Where cudaforge reads logins, too.
        login="podman login --authfile ~/.docker/config.json",
        certificates="/etc/containers/certs.d",
        insecure="[[registry]] with insecure = true in /etc/containers/registries.conf",
        emulation=_QEMU,
        other_platform=f"{_QEMU}, or build on a machine of that platform",
        proxy='tell the engine\'s own proxy in containers.conf: [engine] env = ["HTTPS_PROXY=..."], then '
        f"{systemctl} restart podman.service",
        gpus=_GENERATE_CDI,
    )


def words_of(*, is_podman: bool) -> EngineWords:
    """The words of an engine, for this process's user."""
    return podman_words(is_root=os.geteuid() == 0) if is_podman else DOCKER


def words_at(address: EngineAddress) -> EngineWords:
    """The words of what should answer at an address, as far as that tells."""
    return words_of(is_podman=_PODMAN in address.host)


def words_of_host() -> EngineWords:
    """The words of the engine that is installed here: Docker's, but where there is Podman alone."""
    return words_of(is_podman=shutil.which("docker") is None and shutil.which(_PODMAN) is not None)
