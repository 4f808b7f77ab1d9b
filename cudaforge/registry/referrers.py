"""Attaching something to an image in its registry, so that it is found by the image's digest.

Sources: OCI distribution-spec 1.1, "Pushing Manifests with Subject" and "Unavailable Referrers API"; OCI
image-spec 1.1, manifest.md, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from urllib.parse import urljoin

from cudaforge.errors import NegativeAnswer, Problem
from cudaforge.records import record
from cudaforge.registry.manifests import (
    INDEXES,
    ask_manifest,
    checked_digest,
    digest_header,
    digest_in,
    media_type_of,
    platform_manifests,
)
from cudaforge.registry.mirrors import parse_or_refuse
from cudaforge.registry.session import Access, NoSuchImage, Session, json_object, nonsense
from cudaforge.registry.transport import Response

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = INDEXES[0]
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_EMPTY = b"{}"
_BLOB = "application/octet-stream"
_CREATED, _ACCEPTED = 201, 202
_MOST_PLATFORMS = 32


@record()
class Subject:
    """An image's manifest or index in its registry."""

    digest: str
    media_type: str
    size: int


@record()
class Attached:
    """What was attached."""

    subject: str
    """Digest of the manifest that it is attached to."""
    digest: str
    """Digest of the manifest that was pushed."""
    by_tag: bool
    """Whether the registry knows no referrers, so that a tag lists them."""


def find_subject(reference: str, access: Access, *, image_id: str) -> Subject:
    """The manifest by which a registry has the image of that id: the id is, depending on the engine's store,
    the digest of the configuration, the manifest or the index.

    Raises NegativeAnswer where the registry has another image under the reference, or none, and as
    `resolve_digest`.
    """
    session = Session(parse_or_refuse(reference), access)
    response = ask_manifest(session, "GET", session.wanted.tag or session.wanted.digest or "")
    candidates = [response]
    if _is_image(response, image_id):
        return _subject(response)
    if media_type_of(response) in INDEXES:
        digests = [one.digest for one in platform_manifests(response)][:_MOST_PLATFORMS]
        candidates = [ask_manifest(session, "GET", digest) for digest in digests]
    for candidate in candidates:
        if _is_image(candidate, image_id):
            return _subject(candidate)
    raise NegativeAnswer(
        Problem(
            what=f"{session.wanted} in its registry is another image than the one that was verified",
            because=(f"verified was {image_id}",),
            remedy=f"{access.push_command} {reference}, or verify the image that is there",
        )
    )


def attach(
    reference: str,
    access: Access,
    *,
    subject: Subject,
    media_type: str,
    content: bytes,
    annotations: Mapping[str, str],
) -> Attached:
    """Push `content` as an artifact of its own that refers to the subject. The same content is the same
    artifact. Raises RegistryRefused and RegistryUnreachable."""
    session = Session(parse_or_refuse(reference), access, actions="pull,push")
    _push_blob(session, _EMPTY)
    _push_blob(session, content)
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "artifactType": media_type,
        "config": _descriptor(_EMPTY_TYPE, _EMPTY),
        "layers": [_descriptor(media_type, content)],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
        "annotations": dict(annotations),
    }
    body = dump(manifest)
    digest = digest_of(body)
    answer = push_manifest(session, digest, _MANIFEST, body)
    is_known = "oci-subject" in answer.headers
    if not is_known:
        listed = {
            **_descriptor(_MANIFEST, body),
            "artifactType": media_type,
            "annotations": dict(annotations),
        }
        _list_by_tag(session, subject.digest, listed)
    return Attached(subject=subject.digest, digest=digest, by_tag=not is_known)


def _list_by_tag(session: Session, subject: str, descriptor: Mapping[str, object]) -> None:
    """Add to the index under the tag that stands in for the referrers of a digest."""
    tag = subject.replace(":", "-", 1)
    try:
        found = json_object(ask_manifest(session, "GET", tag)).get("manifests")
    except NoSuchImage:
        found = []
    if not isinstance(found, list):
        found = []
    if any(isinstance(one, Mapping) and one.get("digest") == descriptor["digest"] for one in found):
        return
    # Registries clear away untagged manifests, and refuse a list of what they do not have any more.
    kept = [one for one in found if _is_there(session, one)]
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [*kept, descriptor]}
    push_manifest(session, tag, _INDEX, dump(index))


def _is_there(session: Session, entry: object) -> bool:
    digest = digest_in(entry)
    if digest is None:
        return False
    try:
        ask_manifest(session, "HEAD", digest)
    except NoSuchImage:
        return False
    return True


def _push_blob(session: Session, content: bytes) -> None:
    digest = digest_of(content)
    try:
        session.ask("HEAD", f"{session.base}/blobs/{digest}", accept="*/*", target=digest)
    except NoSuchImage:
        pass
    else:
        return
    started = session.give(
        "POST", f"{session.base}/blobs/uploads/", content_type=_BLOB, body=b"", good=_ACCEPTED
    )
    location = started.headers.get("location")
    if not location:
        raise nonsense(started, "no place for an upload")
    place = urljoin(started.url, location)
    joined = f"{place}{'&' if '?' in place else '?'}digest={digest}"
    session.give("PUT", joined, content_type=_BLOB, body=content, good=_CREATED)


def push_manifest(session: Session, target: str, media_type: str, body: bytes) -> Response:
    """Put a manifest or index under a tag or digest. Raises RegistryRefused and RegistryUnreachable."""
    return session.give(
        "PUT", f"{session.base}/manifests/{target}", content_type=media_type, body=body, good=_CREATED
    )


def _is_image(response: Response, image_id: str) -> bool:
    if checked_digest(response, digest_header(response)) == image_id:
        return True
    config = json_object(response).get("config")
    return isinstance(config, Mapping) and config.get("digest") == image_id


def _subject(response: Response) -> Subject:
    return Subject(
        digest=checked_digest(response, digest_header(response)),
        media_type=media_type_of(response),
        size=len(response.body),
    )


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def digest_of(content: bytes) -> str:
    """The SHA-256 of a content, as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def dump(values: Mapping[str, object]) -> bytes:
    """JSON that is the same for the same values."""
    return json.dumps(values, separators=(",", ":"), sort_keys=True).encode()
