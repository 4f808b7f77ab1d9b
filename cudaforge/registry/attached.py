"""What is attached to an image in its registry: listing and reading it, digests checked.

Source: OCI distribution-spec 1.1, "Listing Referrers" and "Unavailable Referrers API".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cudaforge.records import made, record, replace
from cudaforge.registry.manifests import (
    INDEXES,
    ask_manifest,
    checked_digest,
    digest_header,
    digest_in,
    media_type_of,
    platform_manifests,
)
from cudaforge.registry.mirrors import move, parse_or_refuse
from cudaforge.registry.session import Access, NoSuchImage, Session, json_object, nonsense

_MOST = 256
_MOST_PLATFORMS = 32


@record()
class Referrer:
    """One manifest that refers to an image."""

    subject: str
    """Digest of the manifest that it refers to."""
    digest: str
    artifact_type: str
    annotations: Mapping[str, str] = made(default_factory=dict)


@record()
class AttachedDocument:
    """What was attached, read."""

    referrer: Referrer
    content: bytes


def list_attached(reference: str, access: Access, *, subject: str | None = None) -> tuple[Referrer, ...]:
    """What refers to an image: to its manifest or index, and to each manifest of an index.

    With `subject` only what refers to that digest, of the reference's repository. Raises NoSuchImage and
    SurroundingsError.
    """
    session = Session(move(parse_or_refuse(reference), access.mirrors), access)
    digests = (subject,) if subject is not None else tuple(_subjects(session))
    found = [one for digest in digests for one in _referrers(session, digest)]
    return tuple(found[:_MOST])


def read_attached(reference: str, access: Access, referrer: Referrer) -> AttachedDocument:
    """The content of one. Raises RegistryRefused for one that is not what its digest says."""
    session = Session(move(parse_or_refuse(reference), access.mirrors), access)
    manifest = ask_manifest(session, "GET", referrer.digest)
    checked_digest(manifest, referrer.digest)
    values = json_object(manifest)
    told = values.get("subject")
    if not isinstance(told, Mapping) or told.get("digest") != referrer.subject:
        raise nonsense(manifest, "a referrer that refers to another image")
    layers = values.get("layers")
    digest = digest_in(layers[0]) if isinstance(layers, list) and layers else None
    if digest is None:
        raise nonsense(manifest, "a referrer without content")
    blob = session.ask("GET", f"{session.base}/blobs/{digest}", accept="*/*", target=digest)
    checked_digest(blob, digest)
    annotations = _texts(values.get("annotations"))
    kept = replace(referrer, annotations={**annotations, **referrer.annotations})
    return AttachedDocument(referrer=kept, content=blob.body)


def _subjects(session: Session) -> Iterator[str]:
    target = session.wanted.digest or session.wanted.tag or ""
    response = ask_manifest(session, "GET", target)
    yield checked_digest(response, session.wanted.digest or digest_header(response))
    if media_type_of(response) in INDEXES:
        for one in [*platform_manifests(response)][:_MOST_PLATFORMS]:
            yield one.digest


def _referrers(session: Session, subject: str) -> Iterator[Referrer]:
    """By the registry's own list, or by the index under the tag that stands in for it."""
    url = f"{session.base}/referrers/{subject}"
    try:
        listed = json_object(session.ask("GET", url, accept=INDEXES[0], target=subject))
    except NoSuchImage:
        try:
            listed = json_object(ask_manifest(session, "GET", subject.replace(":", "-", 1)))
        except NoSuchImage:
            return
    entries = listed.get("manifests")
    for one in entries if isinstance(entries, list) else ():
        if not isinstance(one, Mapping):
            continue
        digest, kind = digest_in(one), one.get("artifactType")
        if digest is not None:
            yield Referrer(
                subject=subject,
                digest=digest,
                artifact_type=kind if isinstance(kind, str) else "",
                annotations=_texts(one.get("annotations")),
            )


def _texts(values: object) -> Mapping[str, str]:
    pairs = values.items() if isinstance(values, Mapping) else ()
    return {name: text for name, text in pairs if isinstance(name, str) and isinstance(text, str)}
