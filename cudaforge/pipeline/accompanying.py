"""What goes with a pushed image: its bill of materials and its provenance, attached in its registry."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from cudaforge import __version__
from cudaforge.builder.epoch import moment_of_push
from cudaforge.declaration.model import Declaration
from cudaforge.lockfile.model import LockedImage
from cudaforge.pipeline.decide import Note
from cudaforge.pipeline.host import state_directory
from cudaforge.pipeline.leftovers import known_run
from cudaforge.registry import Access, NoSuchImage, Referrer, Subject, attach, list_attached, read_attached

if TYPE_CHECKING:
    from cudaforge.engine import Engine
    from cudaforge.publisher.bill import Bill

CONTENT_ANNOTATION = "io.cudaforge.content"
"""SHA-256 of an attached document without its time: an unchanged one is not attached again."""
_LARGEST_DATABASE = 64 * 1024 * 1024
_DATABASES = ("/var/lib/dpkg/status", "/var/lib/dpkg/status.d")
_ORIGIN = datetime(1970, 1, 1, tzinfo=timezone.utc)


def accompany(  # noqa: PLR0913 -- one image, what it gets, and where that is
    image: LockedImage,
    *,
    reference: str,
    subject: Subject,
    image_id: str,
    engine: Engine,
    access: Access,
    sbom: str | None,
    has_provenance: bool,
    revision: Callable[[], str | None],
    declaration: Declaration,
    on_note: Note,
) -> Mapping[str, str]:
    """Attach what is asked for, and give the digests of the attached manifests by kind.

    The same content is attached once, however often the image is pushed. `revision` gives the commit that
    the provenance names. Raises SurroundingsError.
    """
    if sbom is None and not has_provenance:
        return {}
    from cudaforge.publisher import provenance
    from cudaforge.publisher.sbom import FORMS, sbom_document

    bill = _bill(image, reference, subject, image_id, engine, declaration, on_note)
    done = {}
    if sbom is not None:
        form = sbom

        def write(moment: datetime) -> bytes:
            return sbom_document(bill, form, version=__version__, moment=moment)

        media_type = FORMS[form].media_type
        done["sbom"] = _attach(reference, subject, access, media_type=media_type, write=write, more={})
    if has_provenance:
        versions = {"cudaforge": __version__, engine.kind.lower(): engine.server_version}
        content = provenance.provenance_document(image, bill, versions=versions, revision=revision())
        done["provenance"] = _attach(
            reference,
            subject,
            access,
            media_type=provenance.MEDIA_TYPE,
            write=lambda _: content,
            more={"in-toto.io/predicate-type": provenance.PREDICATE},
        )
    return done


def _attach(
    reference: str,
    subject: Subject,
    access: Access,
    *,
    media_type: str,
    write: Callable[[datetime], bytes],
    more: Mapping[str, str],
) -> str:
    mark = hashlib.sha256(write(_ORIGIN)).hexdigest()
    for one in list_attached(reference, access, subject=subject.digest):
        is_same = one.artifact_type == media_type and one.annotations.get(CONTENT_ANNOTATION) == mark
        if is_same and _is_whole(reference, access, one):
            return one.digest
    return attach(
        reference,
        access,
        subject=subject,
        media_type=media_type,
        content=write(moment_of_push(os.environ)),
        annotations={CONTENT_ANNOTATION: mark, **more},
    ).digest


def _is_whole(reference: str, access: Access, listed: Referrer) -> bool:
    """Whether the registry has what its list names: it may have cleared it away since."""
    try:
        read_attached(reference, access, listed)
    except NoSuchImage:
        return False
    return True


def _bill(
    image: LockedImage,
    reference: str,
    subject: Subject,
    image_id: str,
    engine: Engine,
    declaration: Declaration,
    on_note: Note,
) -> Bill:
    from cudaforge.publisher.bill import Bill, locked_components, os_components

    status = _package_database(engine, image_id, declaration)
    if not status:
        on_note(f"{image.name}: no database of OS packages is in the image: its bill has none of them")
    return Bill(
        name=image.name,
        reference=reference,
        digest=subject.digest,
        platform=image.platforms[0],
        components=(*locked_components(image), *os_components(status, os=image.os)),
    )


def _package_database(engine: Engine, image_id: str, declaration: Declaration) -> str:
    """dpkg's database in the image; empty where there is none."""
    with (
        known_run(engine, state_directory(declaration) / "runs") as run_id,
        engine.opened_image(image_id, run_id=run_id) as files,
    ):
        for path in _DATABASES:
            content = _capped(files.archive(path))
            if content:
                return "\n\n".join(_texts(content))
    return ""


def _capped(chunks: Iterator[bytes]) -> bytes:
    found = bytearray()
    for chunk in chunks:
        found += chunk
        if len(found) > _LARGEST_DATABASE:
            return b""
    return bytes(found)


def _texts(content: bytes) -> Iterator[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None and not member.name.endswith(".md5sums"):
                yield file.read().decode("utf-8", "replace")
