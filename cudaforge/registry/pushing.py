"""What a push asks of a registry besides the layers: an index of several platforms, and how long to wait.

Sources: OCI image-spec 1.1, image-index.md; RFC 9110, 10.2.3 (Retry-After).
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urljoin

from cudaforge.errors import SurroundingsError
from cudaforge.records import record, replace
from cudaforge.registry.images import read_image
from cudaforge.registry.mirrors import parse_or_refuse
from cudaforge.registry.referrers import Subject, digest_of, dump, find_subject, push_manifest
from cudaforge.registry.session import Access, NoSuchImage, Session
from cudaforge.registry.transport import Request

_INDEX = "application/vnd.oci.image.index.v1+json"
_TOO_MANY = 429
_ACCEPTED, _FAILED = 202, 500
_ASK_SECONDS = 10.0
_MOST_WORDS = 4096


@record()
class Member:
    """One platform's image of an index."""

    platform: str
    subject: Subject


def push_index(reference: str, access: Access, members: Sequence[Member]) -> Subject:
    """Push the index of these images, which the repository has, under the reference's tag.

    The same members give the same bytes, in whatever order. Raises RegistryRefused and RegistryUnreachable.
    """
    session = Session(parse_or_refuse(reference), access, actions="pull,push")
    body = dump(
        {
            "schemaVersion": 2,
            "mediaType": _INDEX,
            "manifests": [_entry(one) for one in sorted(members, key=lambda one: one.platform)],
        }
    )
    push_manifest(session, session.wanted.tag or "latest", _INDEX, body)
    return Subject(digest=digest_of(body), media_type=_INDEX, size=len(body))


def find_member(reference: str, access: Access, *, label: str, value: str) -> Member | None:
    """The image under a reference, if it carries this label; None for no image, or another one.

    Raises SurroundingsError where the registry does not answer.
    """
    try:
        (found, *others) = read_image(reference, replace(access, mirrors={}))
        if others or found.labels.get(label) != value:
            return None
        subject = find_subject(reference, access, image_id=found.digest)
    except (NoSuchImage, ValueError):
        return None
    return Member(platform=found.platform, subject=subject)


def asked_pause(reference: str, access: Access) -> float | None:
    """For how many seconds a registry that has had too many requests wants to be left alone; None where it
    does not say, or takes requests again."""
    session = Session(parse_or_refuse(reference), access)
    root = session.base.partition("/v2/")[0]
    transport = replace(access, timeout=_ASK_SECONDS).transport()
    try:
        response = transport.send(Request(method="GET", url=f"{root}/v2/"))
    except SurroundingsError:
        return None
    text = response.headers.get("retry-after", "")
    is_number = text.isascii() and text.isdigit() and len(text) < 10  # noqa: PLR2004
    return float(text) if response.status == _TOO_MANY and is_number else None


def upload_refusal(reference: str, access: Access) -> str:
    """What a registry says where it takes no upload: engines tell the status alone. Empty where it takes one,
    or does not answer."""
    session = Session(parse_or_refuse(reference), replace(access, timeout=_ASK_SECONDS), actions="pull,push")
    try:
        response = session.attempt("POST", f"{session.base}/blobs/uploads/", body=b"")
        if response.status == _ACCEPTED and response.headers.get("location"):
            session.attempt("DELETE", urljoin(response.url, response.headers["location"]))
    except SurroundingsError:
        return ""
    if response.status < _FAILED:
        return ""
    return response.body[:_MOST_WORDS].decode("utf-8", "replace")


def _entry(member: Member) -> dict[str, object]:
    names = ("os", "architecture", "variant")
    return {
        "mediaType": member.subject.media_type,
        "digest": member.subject.digest,
        "size": member.subject.size,
        "platform": dict(zip(names, member.platform.split("/"), strict=False)),
    }
