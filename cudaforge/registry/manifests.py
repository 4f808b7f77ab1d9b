"""Indexes and manifests of images, as registries give them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

from cudaforge.records import record
from cudaforge.references import DIGEST
from cudaforge.registry.session import Session, json_object, nonsense
from cudaforge.registry.transport import Response

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT = ", ".join((*INDEXES, *_MANIFESTS))


@record()
class PlatformManifest:
    """The manifest that an index names for a platform."""

    platform: str
    """`linux/amd64`, `linux/arm64/v8`."""
    digest: str


def ask_manifest(session: Session, method: str, target: str) -> Response:
    """The index or manifest of a tag or digest, unchecked. Raises as Session.ask."""
    return session.ask(method, f"{session.base}/manifests/{target}", accept=_ACCEPT, target=target)


def media_type_of(response: Response) -> str:
    """The kind of a manifest: an index or a manifest of one platform. Raises RegistryRefused for others."""
    found = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found in (*INDEXES, *_MANIFESTS):
        return found
    if found.startswith("text/html"):
        raise nonsense(
            response, "an HTML page where a registry answers in JSON: a login page, or no registry"
        )
    raise nonsense(response, f"'{found[:80]}', a kind of manifest that cannot be used")


def digest_header(response: Response) -> str | None:
    """The digest that the registry gives, where it is one."""
    digest = response.headers.get("docker-content-digest", "")
    return digest if re.fullmatch(DIGEST, digest) else None


def checked_digest(response: Response, claimed: str | None) -> str:
    """The digest of the body, which must be what the registry claims."""
    algorithm = claimed.partition(":")[0] if claimed else "sha256"
    actual = f"{algorithm}:{hashlib.new(algorithm, response.body).hexdigest()}"
    if claimed is not None and claimed != actual:
        raise nonsense(response, "content that does not match the digest it gives")
    return actual


def digest_in(descriptor: object) -> str | None:
    """The digest in a descriptor of an index or manifest; None where it has none that can be asked for."""
    digest = descriptor.get("digest") if isinstance(descriptor, Mapping) else None
    return digest if isinstance(digest, str) and re.fullmatch(DIGEST, digest) else None


def platform_manifests(response: Response) -> Iterator[PlatformManifest]:
    """What an index names, without attestations."""
    manifests = json_object(response).get("manifests")
    for one in manifests if isinstance(manifests, list) else ():
        name, digest = _platform_of(one), digest_in(one)
        if name is not None and digest is not None:
            yield PlatformManifest(platform=name, digest=digest)


def _platform_of(manifest: object) -> str | None:
    platform = manifest.get("platform") if isinstance(manifest, Mapping) else None
    return platform_name(platform) if isinstance(platform, Mapping) else None


def platform_name(values: Mapping[str, object]) -> str | None:
    """`linux/arm64/v8` of an object that has `os`, `architecture` and perhaps `variant`."""
    parts = [values.get(key) for key in ("os", "architecture", "variant")]
    name = "/".join(part for part in parts if isinstance(part, str) and re.fullmatch(r"[a-z0-9._-]+", part))
    return None if name.startswith("unknown/") or not name else name
