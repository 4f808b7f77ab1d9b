"""Bills of materials as documents: SPDX 2.3 and CycloneDX 1.6, both as JSON.

The documents are made by the libraries that the two projects keep (spdx-tools, cyclonedx-python-lib), which
check them against their specifications; the import costs half a second, paid by those who ask for one.
"""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from cudaforge.publisher.bill import Bill, Component
from cudaforge.records import record

if TYPE_CHECKING:
    from cyclonedx.model.component import Component as CycloneComponent
    from spdx_tools.spdx.model.actor import Actor
    from spdx_tools.spdx.model.package import Package

TOOL = "cudaforge"
_BAD_ID = re.compile(r"[^A-Za-z0-9.-]+")
_NAMESPACE = uuid.UUID("6f2b9c1e-7c35-5b58-9a33-0f3f3b6f7b42")
"""For names of documents: the same image gives the same."""


@record()
class Form:
    """One kind of document."""

    media_type: str
    write: Callable[[Bill, str, datetime], bytes]


def sbom_document(bill: Bill, form: str, *, version: str, moment: datetime) -> bytes:
    """The bill as a document of one of FORMS. `version` is cudaforge's, `moment` when it is made (UTC)."""
    return FORMS[form].write(bill, version, moment)


def _write_spdx(bill: Bill, version: str, moment: datetime) -> bytes:
    from spdx_tools.spdx.model.actor import Actor, ActorType
    from spdx_tools.spdx.model.document import CreationInfo, Document
    from spdx_tools.spdx.model.relationship import Relationship, RelationshipType
    from spdx_tools.spdx.writer.json.json_writer import write_document_to_stream

    creation = CreationInfo(
        spdx_version="SPDX-2.3",
        spdx_id="SPDXRef-DOCUMENT",
        name=bill.name,
        document_namespace=f"urn:uuid:{_document_id(bill, 'spdx')}",
        creators=[Actor(ActorType.TOOL, f"{TOOL}-{version}")],
        created=moment.replace(tzinfo=None, microsecond=0),
    )
    image = _spdx_image(bill)
    parts = [_spdx_part(number, one) for number, one in enumerate(bill.components)]
    relations = [Relationship("SPDXRef-DOCUMENT", RelationshipType.DESCRIBES, image.spdx_id)]
    relations += [Relationship(image.spdx_id, RelationshipType.CONTAINS, part.spdx_id) for part in parts]
    text = io.StringIO()
    document = Document(creation, packages=[image, *parts], relationships=relations)
    write_document_to_stream(document, text, validate=True)
    return _compact(text.getvalue())


def _spdx_image(bill: Bill) -> Package:
    from spdx_tools.spdx.model.checksum import Checksum, ChecksumAlgorithm
    from spdx_tools.spdx.model.package import (
        ExternalPackageRef,
        ExternalPackageRefCategory,
        Package,
        PackagePurpose,
    )
    from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion

    return Package(
        spdx_id="SPDXRef-image",
        name=bill.reference,
        version=bill.digest,
        download_location=SpdxNoAssertion(),
        files_analyzed=False,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, bill.digest.partition(":")[2])],
        primary_package_purpose=PackagePurpose.CONTAINER,
        external_references=[
            ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", image_purl(bill))
        ],
    )


def _spdx_part(number: int, one: Component) -> Package:
    from spdx_tools.spdx.model.checksum import Checksum, ChecksumAlgorithm
    from spdx_tools.spdx.model.package import ExternalPackageRef, ExternalPackageRefCategory, Package
    from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion

    return Package(
        spdx_id=f"SPDXRef-{one.kind}-{_BAD_ID.sub('-', one.name)}-{number}",
        name=one.name,
        version=one.version,
        download_location=SpdxNoAssertion(),
        file_name=one.filename,
        files_analyzed=False,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, one.sha256)] if one.sha256 else [],
        supplier=_spdx_actor(one.supplier) if one.supplier else None,
        external_references=[
            ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", one.purl)
        ],
    )


def _spdx_actor(maintainer: str) -> Actor:
    from spdx_tools.spdx.model.actor import Actor, ActorType

    name, bracket, rest = maintainer.partition("<")
    return Actor(ActorType.ORGANIZATION, name.strip() or maintainer, rest.rstrip("> ") if bracket else None)


def _write_cyclonedx(bill: Bill, version: str, moment: datetime) -> bytes:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component as CycloneComponent
    from cyclonedx.model.component import ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    image = CycloneComponent(
        name=bill.reference,
        version=bill.digest,
        type=ComponentType.CONTAINER,
        bom_ref="image",
        purl=PackageURL.from_string(image_purl(bill)),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=bill.digest.partition(":")[2])],
    )
    tool = CycloneComponent(name=TOOL, version=version, type=ComponentType.APPLICATION, bom_ref="tool")
    metadata = BomMetaData(component=image, timestamp=moment.replace(microsecond=0))
    metadata.tools.components.add(tool)
    bom = Bom(
        serial_number=uuid.UUID(_document_id(bill, "cyclonedx")),
        metadata=metadata,
        components=list(_cyclonedx_parts(bill)),
    )
    bom.register_dependency(image, bom.components)
    return _compact(JsonV1Dot6(bom).output_as_string())


def _cyclonedx_parts(bill: Bill) -> Iterator[CycloneComponent]:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component as CycloneComponent
    from cyclonedx.model.component import ComponentType
    from cyclonedx.model.contact import OrganizationalEntity
    from packageurl import PackageURL

    for one in bill.components:
        yield CycloneComponent(
            name=one.name,
            version=one.version,
            type=ComponentType.LIBRARY,
            bom_ref=one.purl,
            purl=PackageURL.from_string(one.purl),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one.sha256)] if one.sha256 else None,
            supplier=OrganizationalEntity(name=one.supplier) if one.supplier else None,
        )


def image_purl(bill: Bill) -> str:
    """The image itself as a package URL of type `oci` (purl-spec)."""
    from packageurl import PackageURL

    repository = bill.reference.rpartition(":")[0] or bill.reference
    qualifiers = {"repository_url": repository, "arch": "-".join(bill.platform.split("/")[1:])}
    return PackageURL(
        "oci", None, repository.rpartition("/")[2], bill.digest, qualifiers=qualifiers
    ).to_string()


def _document_id(bill: Bill, form: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{form} {bill.digest}"))


def _compact(text: str) -> bytes:
    return json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True).encode()


FORMS: Mapping[str, Form] = {
    "spdx": Form(media_type="application/spdx+json", write=_write_spdx),
    "cyclonedx": Form(media_type="application/vnd.cyclonedx+json", write=_write_cyclonedx),
}
