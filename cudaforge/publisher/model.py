"""What publishing an image gives."""

from __future__ import annotations

from collections.abc import Mapping

from cudaforge.records import record


@record()
class PushedTag:
    """One tag in a registry."""

    reference: str
    digest: str
    """Of the manifest or index that the registry has under it."""
    image: str
    """This one image of one platform, by its digest: `ghcr.io/acme/vision@sha256:...`."""
    platforms: tuple[str, ...]
    """More than one where it is an index of several images."""
    missing: tuple[str, ...] = ()
    """Platforms that its index waits for: until they are pushed, the tag is not written."""


@record()
class Publication:
    """One image in its registry."""

    name: str
    image_id: str
    tags: tuple[PushedTag, ...]
    attached: Mapping[str, str]
    """Kind of what was attached (`sbom`, `provenance`) to the digest of its manifest."""
    is_signed: bool = False


def publication_to_json(publication: Publication) -> Mapping[str, object]:
    """One image's publication for a JSON document."""
    return {
        "name": publication.name,
        "image_id": publication.image_id,
        "tags": [
            {
                "reference": one.reference,
                "digest": one.digest or None,
                "image": one.image,
                "platforms": list(one.platforms),
                "missing": list(one.missing),
            }
            for one in publication.tags
        ],
        "attached": dict(publication.attached),
        "signed": publication.is_signed,
    }
