"""What is attached to an image in its registry, read by its digest."""

from __future__ import annotations

from pathlib import Path

from cudaforge.pipeline.outside import registry_access, site_at
from cudaforge.report.attached import Shown, read_document

_QUESTION_SECONDS = 60.0


def find_attached(reference: str, file: Path) -> tuple[Shown, ...]:
    """All that is attached to an image: to its manifest or index, and to each of an index's images.

    `file` is the declaration whose `[network]` and `[registries]` count, if there is one. Raises InputError
    for what is no reference, NegativeAnswer for no such image, SurroundingsError where the registry fails or
    gives something else than its digests say. What it lists and has no longer is among them, as gone.
    """
    from cudaforge.registry import NoSuchImage, list_attached, read_attached

    access = registry_access(site_at(file), timeout=_QUESTION_SECONDS)
    found = []
    for referrer in list_attached(reference, access):
        try:
            content: bytes | None = read_attached(reference, access, referrer).content
        except NoSuchImage:
            content = None
        found.append(
            read_document(
                subject=referrer.subject,
                digest=referrer.digest,
                media_type=referrer.artifact_type,
                content=content,
            )
        )
    return tuple(found)
