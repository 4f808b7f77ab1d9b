"""Bills of materials and provenance: right by their specifications, complete, and without secrets."""

import json
from datetime import datetime, timezone

import pytest

from cudaforge.publisher.bill import Bill, locked_components, os_components
from cudaforge.publisher.provenance import provenance_document
from cudaforge.publisher.sbom import FORMS, sbom_document
from cudaforge.records import replace
from cudaforge.report.attached import read_document
from tests.support.locks import CPU_IMAGE, GPU_IMAGE, SOURCES, STANDALONE_IMAGE

DIGEST = "sha256:" + "a" * 64
MOMENT = datetime(2026, 11, 28, 12, 0, tzinfo=timezone.utc)
STATUS = """\
Package: libstdc++6
Status: install ok installed
Architecture: amd64
Version: 1:12.2.0-14+deb12u1
Maintainer: Debian GCC Maintainers <debian-gcc@lists.debian.org>
Description: a library
 Version: not this one

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: tzdata
Architecture: all
Version: 2026b
"""
IMAGE = replace(
    GPU_IMAGE,
    closure=replace(GPU_IMAGE.closure, wheels=(*GPU_IMAGE.closure.wheels, *SOURCES)),
    env={"TOKEN_LIKE": "value-4711"},
    run=("echo step-4712",),
)


def bill(image=IMAGE) -> Bill:
    return Bill(
        name=image.name,
        reference="ghcr.io/acme/vision:train",
        digest=DIGEST,
        platform="linux/amd64",
        components=(*locked_components(image), *os_components(STATUS, os="debian12")),
    )


def test_os_packages_are_those_that_are_installed():
    found = os_components(STATUS, os="debian12")
    assert [one.purl for one in found] == [
        "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12",
        "pkg:deb/debian/tzdata@2026b?arch=all&distro=debian-12",
    ]
    assert found[0].supplier == "Debian GCC Maintainers <debian-gcc@lists.debian.org>"
    assert os_components("", os="debian12") == ()


def test_locked_packages_have_the_hashes_of_the_lock():
    found = {one.name: one for one in locked_components(IMAGE)}
    assert found["torch"].sha256 == "4" * 64
    assert found["docopt"].sha256 == "5" * 64
    assert found["my-ops"].sha256 is None
    assert "6" * 40 in found["my-ops"].purl
    (python,) = [one for one in locked_components(STANDALONE_IMAGE) if one.name == "python"]
    assert (python.version, python.sha256) == ("3.11.17", "8" * 64)


def test_spdx_is_valid_and_complete():
    from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    document = json.loads(sbom_document(bill(), "spdx", version="1.0", moment=MOMENT))
    assert validate_full_spdx_document(JsonLikeDictParser().parse(document)) == []
    assert document["creationInfo"]["created"] == "2026-11-28T12:00:00Z"
    names = {one["name"] for one in document["packages"]}
    assert names == {"ghcr.io/acme/vision:train", "torch", "docopt", "my-ops", "libstdc++6", "tzdata"}
    contained = [
        one for one in document["relationships"] if one["relationshipType"] == "CONTAINS"
    ] or document["packages"][0].get("hasFiles", [])
    assert len(contained) == 5


def test_cyclonedx_is_valid_and_complete():
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = sbom_document(bill(), "cyclonedx", version="1.0", moment=MOMENT)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.decode()) is None
    document = json.loads(text)
    assert document["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert {one["name"] for one in document["components"]} == {
        "torch",
        "docopt",
        "my-ops",
        "libstdc++6",
        "tzdata",
    }
    assert len(document["components"]) == 5


@pytest.mark.parametrize("form", list(FORMS))
def test_the_same_image_gives_the_same_document(form: str):
    first, second = (sbom_document(bill(), form, version="1.0", moment=MOMENT) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("form", list(FORMS))
def test_a_document_read_back_names_its_image(form: str):
    content = sbom_document(bill(), form, version="1.0", moment=MOMENT)
    shown = read_document(
        subject=DIGEST, digest="sha256:x", media_type=FORMS[form].media_type, content=content
    )
    assert (shown.kind, shown.speaks_of_subject) == ("sbom", True)
    assert "5 packages" in shown.summary
    other = read_document(
        subject="sha256:" + "b" * 64, digest="", media_type=FORMS[form].media_type, content=content
    )
    assert not other.speaks_of_subject


def test_provenance_names_what_was_built_from_what():
    content = provenance_document(IMAGE, bill(), versions={"cudaforge": "1.0"}, revision="c" * 40)
    document = json.loads(content)
    assert document["subject"] == [{"name": "ghcr.io/acme/vision:train", "digest": {"sha256": "a" * 64}}]
    definition = document["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {
        "image": IMAGE.name,
        "platform": "linux/amd64",
        "lockEntry": IMAGE.digest,
        "revision": "c" * 40,
    }
    base, *others = definition["resolvedDependencies"]
    assert base["digest"] == {"sha256": "3" * 64}
    assert [one["annotations"]["index"] for one in others] == ["default", "default", "pytorch-cu128"]
    shown = read_document(
        subject=DIGEST, digest="", media_type="application/vnd.in-toto+json", content=content
    )
    assert (shown.kind, shown.speaks_of_subject) == ("provenance", True)


def test_the_packages_of_a_made_base_are_dependencies():
    document = json.loads(provenance_document(CPU_IMAGE, bill(CPU_IMAGE), versions={}, revision=None))
    found = document["predicate"]["buildDefinition"]["resolvedDependencies"]
    purl = "pkg:deb/debian/python3.11@3.11.2-6?arch=amd64&distro=debian-12"
    assert {"uri": purl, "digest": {"sha256": "5" * 64}} in found


def test_provenance_has_no_value_of_a_variable_and_no_step():
    told = provenance_document(IMAGE, bill(), versions={}, revision=None).decode()
    assert "4711" not in told
    assert "4712" not in told
    assert "http" not in told.replace("https://in-toto.io/", "").replace("https://slsa.dev/", "").replace(
        "https://git.example.org/", ""
    ).replace("git%2Bhttps:%2F%2Fgit.example.org", "")


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"{}", b'{"packages": 3}', b"[" * 100_000])
@pytest.mark.parametrize(
    "media_type", ["application/spdx+json", "application/vnd.cyclonedx+json", "application/vnd.in-toto+json"]
)
def test_what_anybody_may_have_attached_is_read_with_distrust(content: bytes, media_type: str):
    shown = read_document(subject=DIGEST, digest="", media_type=media_type, content=content)
    assert not shown.speaks_of_subject
