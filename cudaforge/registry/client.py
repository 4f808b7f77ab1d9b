"""The pull side of the OCI distribution protocol, as far as a digest needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cudaforge.errors import NegativeAnswer, Problem
from cudaforge.records import record
from cudaforge.references import Reference
from cudaforge.registry.manifests import (
    INDEXES,
    ask_manifest,
    checked_digest,
    digest_header,
    media_type_of,
    platform_manifests,
)
from cudaforge.registry.mirrors import move, parse_or_refuse
from cudaforge.registry.session import Access, NoSuchImage, Session
from cudaforge.registry.transport import Response


@record()
class RegistryDigest:
    """What a reference points at now."""

    reference: str
    """Where it was asked: fully spelled, after mirrors."""
    digest: str
    """Of the index, or of the manifest where there is no index: what `FROM ...@` is pinned to."""
    media_type: str
    size: int | None
    """Bytes of the index or manifest itself."""
    platform_digests: Mapping[str, str]
    """Of the manifest for each platform that was asked for, where there is an index."""


def resolve_digest(reference: str, access: Access, *, platforms: Sequence[str] = ()) -> RegistryDigest:
    """The digest of an image, asked of its registry or the mirror of it.

    Where `platforms` are named the image must have them. Raises InputError (malformed reference),
    NegativeAnswer (no such tag or platform, or the tag has another digest than the reference says) and
    SurroundingsError (all else).
    """
    wanted = move(parse_or_refuse(reference), access.mirrors)
    session = Session(wanted, access)
    target = wanted.tag or wanted.digest or ""
    response = ask_manifest(session, "HEAD", target)
    digest = digest_header(response)
    if digest is None or (platforms and _kind(response) in INDEXES):
        response = ask_manifest(session, "GET", digest or target)
        digest = checked_digest(response, digest)
    media_type = media_type_of(response)
    if wanted.digest is not None and digest != wanted.digest:
        raise _mismatch(wanted, digest)
    size = response.headers.get("content-length", "")
    return RegistryDigest(
        reference=str(wanted),
        digest=digest,
        media_type=media_type,
        size=len(response.body) or (int(size) if size.isdigit() and len(size) < 10 else None),  # noqa: PLR2004
        platform_digests=_platform_digests(wanted, response, media_type, platforms),
    )


def _kind(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _platform_digests(
    wanted: Reference, response: Response, media_type: str, platforms: Sequence[str]
) -> Mapping[str, str]:
    if media_type not in INDEXES:
        if len(platforms) > 1:
            raise _absent(wanted, " and ".join(platforms), "one image, for one platform")
        return {}
    found: dict[str, str] = {}
    for one in platform_manifests(response) if platforms else ():
        found.setdefault(one.platform, one.digest)
    return {platform: _digest_for(platform, found, wanted) for platform in platforms}


def _digest_for(platform: str, found: Mapping[str, str], wanted: Reference) -> str:
    for name, digest in found.items():
        if name == platform or name.startswith(f"{platform}/"):
            return digest
    raise _absent(wanted, platform, ", ".join(found) or "none")


def _absent(wanted: Reference, platform: str, there: str) -> NoSuchImage:
    return NoSuchImage(
        Problem(
            what=f"{wanted} has no image for {platform}",
            because=(f"it has: {there}",),
            remedy="another base, or another platform",
        )
    )


def _mismatch(wanted: Reference, digest: str) -> NegativeAnswer:
    return NegativeAnswer(
        Problem(
            what=f"{wanted} has another digest now: {digest}",
            because=("the tag was moved, or the reference was written wrongly",),
            remedy="drop the tag to keep the digest, or drop the digest to follow the tag",
        )
    )
