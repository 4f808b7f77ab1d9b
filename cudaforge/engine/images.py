"""Looking at, tagging and removing images through the Docker SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cudaforge.engine.model import ImageFacts

if TYPE_CHECKING:
    from docker import DockerClient


def find_image(client: DockerClient, reference: str) -> ImageFacts | None:
    """The image with this reference or id, or None."""
    from docker.errors import ImageNotFound, NotFound

    try:
        attributes = client.api.inspect_image(reference)  # type: ignore[no-untyped-call]  # the stubs leave it
        return _facts(client, attributes)
    except (ImageNotFound, NotFound):
        return None


def list_by_label(client: DockerClient, label: str, value: str | None) -> tuple[ImageFacts, ...]:
    """Images with a label, newest first."""
    wanted = label if value is None else f"{label}={value}"
    listed = client.api.images(filters={"label": [wanted]})
    found = (find_image(client, str(entry["Id"])) for entry in listed)
    return tuple(sorted((image for image in found if image), key=lambda image: image.created, reverse=True))


def list_by_name(client: DockerClient, is_meant: Callable[[str], bool]) -> tuple[ImageFacts, ...]:
    """Images of which a tag is meant, as the engine writes it."""
    listed = client.api.images()
    meant = (entry for entry in listed if any(map(is_meant, entry.get("RepoTags") or ())))
    return tuple(image for entry in meant if (image := find_image(client, str(entry["Id"]))))


def tag_image(client: DockerClient, image_id: str, reference: str) -> None:
    """Let `reference` mean the image."""
    repository, _, tag = reference.rpartition(":")
    if not repository or "/" in tag:
        repository, tag = reference, "latest"
    client.api.tag(image_id, repository, tag)


def remove_image(client: DockerClient, reference: str) -> bool:
    """Remove a tag or an image; False where it is not there."""
    from docker.errors import ImageNotFound, NotFound

    try:
        client.api.remove_image(reference)
    except (ImageNotFound, NotFound):
        return False
    return True


def _facts(client: DockerClient, attributes: Mapping[str, object]) -> ImageFacts:
    image_id = str(attributes["Id"])
    config = attributes.get("Config")
    labels = config.get("Labels") if isinstance(config, Mapping) else None
    tags, digests = attributes.get("RepoTags"), attributes.get("RepoDigests")
    layers = _layers(client, image_id)
    return ImageFacts(
        id=image_id,
        tags=tuple(str(tag) for tag in tags) if isinstance(tags, (list, tuple)) else (),
        size=sum(layers),
        labels=dict(labels or {}),
        architecture=str(attributes.get("Architecture", "")),
        created=str(attributes.get("Created") or ""),
        layers=layers,
        env=_environment(config.get("Env") if isinstance(config, Mapping) else None),
        digests=tuple(str(one).rpartition("@")[2] for one in digests) if isinstance(digests, list) else (),
    )


def _environment(entries: object) -> Mapping[str, str]:
    pairs = (str(entry).partition("=") for entry in entries) if isinstance(entries, list) else ()
    return {name: value for name, _, value in pairs}


def _layers(client: DockerClient, image_id: str) -> tuple[int, ...]:
    # `Size` counts compressed blobs, unpacked layers or both, depending on the image store and the
    # engine's version; the history's layers are unpacked everywhere.
    history = client.api.history(image_id)  # type: ignore[no-untyped-call]  # the stubs leave it
    sizes = (int(layer.get("Size") or 0) for layer in history)
    return tuple(sorted((size for size in sizes if size), reverse=True))
