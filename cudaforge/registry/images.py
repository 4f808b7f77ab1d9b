"""What an image says of itself: its platforms, sizes and configuration, without its layers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cudaforge.records import record
from cudaforge.references import DIGEST
from cudaforge.registry.manifests import (
    INDEXES,
    PlatformManifest,
    ask_manifest,
    checked_digest,
    digest_header,
    media_type_of,
    platform_manifests,
    platform_name,
)
from cudaforge.registry.mirrors import move, parse_or_refuse
from cudaforge.registry.session import Access, Session, json_object, nonsense
from cudaforge.registry.transport import Response


@record()
class ImageConfig:
    """One image of one platform."""

    platform: str
    """`linux/amd64`, `linux/arm64/v8`."""
    digest: str
    """Of its manifest."""
    env: Mapping[str, str]
    labels: Mapping[str, str]
    created: str | None
    """When it was made, as it says (ISO date and time)."""
    size: int | None
    """Compressed bytes of its layers, as the manifest says."""


def read_image(
    reference: str, access: Access, *, platforms: tuple[str, ...] | None = None
) -> tuple[ImageConfig, ...]:
    """The configuration of each platform of an image (of those asked for), digests checked.

    Raises InputError (malformed reference), NegativeAnswer (no such image) and SurroundingsError.
    """
    wanted = move(parse_or_refuse(reference), access.mirrors)
    session = Session(wanted, access)
    response = ask_manifest(session, "GET", wanted.digest or wanted.tag or "")
    digest = checked_digest(response, wanted.digest or digest_header(response))
    if media_type_of(response) not in INDEXES:
        return (_read_config(session, response, digest, None),)
    found = {one.platform: one for one in reversed(tuple(platform_manifests(response)))}
    return tuple(
        _read_platform(session, one)
        for name, one in sorted(found.items())
        if platforms is None or any(name == word or name.startswith(f"{word}/") for word in platforms)
    )


def _read_platform(session: Session, one: PlatformManifest) -> ImageConfig:
    response = ask_manifest(session, "GET", one.digest)
    checked_digest(response, one.digest)
    if media_type_of(response) in INDEXES:
        raise nonsense(response, "an index within an index")
    return _read_config(session, response, one.digest, one.platform)


def _read_config(session: Session, manifest: Response, digest: str, platform: str | None) -> ImageConfig:
    values = json_object(manifest)
    config = values.get("config")
    target = config.get("digest") if isinstance(config, Mapping) else None
    if not isinstance(target, str) or re.fullmatch(DIGEST, target) is None:
        raise nonsense(manifest, "a manifest that names no configuration")
    response = session.ask("GET", f"{session.base}/blobs/{target}", accept="*/*", target=target)
    checked_digest(response, target)
    blob = json_object(response)
    inner = blob.get("config")
    settings = inner if isinstance(inner, Mapping) else {}
    created = blob.get("created")
    return ImageConfig(
        platform=platform or platform_name(blob) or "unknown",
        digest=digest,
        env=_env(settings.get("Env")),
        labels=_texts(settings.get("Labels")),
        created=created if isinstance(created, str) else None,
        size=_size(values.get("layers")),
    )


def _env(values: object) -> Mapping[str, str]:
    lines = values if isinstance(values, list) else ()
    pairs = (line.partition("=") for line in lines if isinstance(line, str))
    return {name: value for name, _, value in pairs if name and value.isprintable()}


def _texts(values: object) -> Mapping[str, str]:
    pairs = values.items() if isinstance(values, Mapping) else ()
    return {name: text for name, text in pairs if isinstance(name, str) and isinstance(text, str)}


def _size(layers: object) -> int | None:
    if not isinstance(layers, list) or not layers:
        return None
    sizes = [one.get("size") if isinstance(one, Mapping) else None for one in layers]
    known = [size for size in sizes if isinstance(size, int) and size >= 0]
    return sum(known) if len(known) == len(sizes) else None
