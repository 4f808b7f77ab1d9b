"""What an engine keeps, and taking parts of it away."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cudaforge.engine import containers, images
from cudaforge.records import record

if TYPE_CHECKING:
    from docker import DockerClient

_CONFLICT = 409
_READINGS = 10
_BETWEEN_SECONDS = 0.2


@record()
class KeptContainer:
    """A container, running or not."""

    id: str
    name: str
    is_running: bool
    label: str
    """The value of the label that it was found by."""


@record()
class CacheRecord:
    """One record of the build cache."""

    id: str
    description: str
    """In BuildKit's words: which step it is of, which mount."""
    size: int


def list_containers(client: DockerClient, label: str) -> tuple[KeptContainer, ...]:
    """Containers that carry a label."""
    found = client.api.containers(all=True, filters={"label": [label]})
    return tuple(
        KeptContainer(
            id=str(entry["Id"]),
            name=str((entry.get("Names") or ["?"])[0]).lstrip("/"),
            is_running=entry.get("State") in ("running", "paused", "restarting"),
            label=str((entry.get("Labels") or {}).get(label, "")),
        )
        for entry in found
    )


def remove_container(client: DockerClient, container: str) -> None:
    """Remove a container; one that is gone already is fine."""
    containers.remove(client, container)


def remove_unused_image(client: DockerClient, reference: str) -> bool:
    """Remove a tag or an image that nothing uses; False where it is not there, or a container has it."""
    from docker.errors import APIError

    try:
        return images.remove_image(client, reference)
    except APIError as error:
        if error.status_code != _CONFLICT:
            raise
        return False


def last_step(client: DockerClient, image_id: str) -> str:
    """The instruction that made the image's last layer, as its history says."""
    history = client.api.history(image_id)  # type: ignore[no-untyped-call]  # the stubs leave it
    return str(history[0].get("CreatedBy") or "") if history else ""


def list_cache(client: DockerClient) -> tuple[CacheRecord, ...]:
    """The build cache of the engine's own BuildKit."""
    return tuple(
        CacheRecord(
            id=str(entry["ID"]),
            description=str(entry.get("Description", "")),
            size=int(entry.get("Size") or 0),
        )
        for entry in _usage(client).get("BuildCache") or ()
    )


def stored_bytes(client: DockerClient) -> int:
    """Bytes of all layers of images, and of the build cache beyond them.

    While containerd collects garbage, its answers may lack layers that are there: two have to agree.
    """
    known = _stored_bytes(client)
    for _ in range(_READINGS):
        time.sleep(_BETWEEN_SECONDS)
        again = _stored_bytes(client)
        if again == known:
            break
        known = again
    return known


def _stored_bytes(client: DockerClient) -> int:
    usage = _usage(client)
    cached = sum(int(one.get("Size") or 0) for one in usage.get("BuildCache") or () if not one.get("Shared"))
    return int(usage.get("LayersSize") or 0) + cached


def remove_cache(client: DockerClient, record_id: str) -> int:
    """Remove a record of the build cache that nothing uses; the bytes that it had, 0 where it stays."""
    filters = {"id": record_id}
    answer = client.api.prune_builds(filters=filters, all=True)  # type: ignore[arg-type]  # the stubs know two
    return int(answer.get("SpaceReclaimed") or 0)


def _usage(client: DockerClient) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = client.api.df()
    return answer
