"""What is attached to an image in its registry, read back and shown.

What was read may be written by anybody who may push there: each document is taken for what it says only after
its digest was checked, and shown escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from cudaforge.display import visible
from cudaforge.records import record
from cudaforge.report.tables import table
from cudaforge.verifier.evidence import Fact

_SPDX, _CYCLONEDX = "application/spdx+json", "application/vnd.cyclonedx+json"
_IN_TOTO = "application/vnd.in-toto+json"
_PROVENANCE = "https://slsa.dev/provenance/"
_VERDICT = "https://in-toto.io/attestation/test-result/"


@record()
class Shown:
    """One attached document."""

    kind: str
    """`sbom`, `provenance`, `verdict`, or its media type."""
    subject: str
    digest: str
    summary: str
    content: object
    """The document, parsed; None for what is no JSON."""
    speaks_of_subject: bool
    """Whether the document names the digest that it is attached to."""
    is_gone: bool = False
    """Whether the registry lists it, and has it no longer."""


def read_document(*, subject: str, digest: str, media_type: str, content: bytes | None) -> Shown:
    """What a document is, and what it says in one line; without content it is gone."""
    if content is None:
        return Shown(
            kind=media_type or "unknown",
            subject=subject,
            digest=digest,
            summary="listed, and not there any more: push or attach it again",
            content=None,
            speaks_of_subject=False,
            is_gone=True,
        )
    try:
        values: object = json.loads(content)
    except (ValueError, RecursionError):
        values = None
    fact = Fact(values)
    match media_type:
        case type_ if type_ == _SPDX:
            kind, named = "sbom", _named_by_spdx(fact)
            summary = f"SPDX, {max(0, len(_list(fact['packages'])) - 1)} packages"
        case type_ if type_ == _CYCLONEDX:
            kind = "sbom"
            named = _hash_named(fact["metadata"]["component"]["hashes"], "alg", "content")
            summary = f"CycloneDX, {len(_list(fact['components']))} packages"
        case type_ if type_ == _IN_TOTO:
            kind, summary = _statement(fact)
            named = next((one["digest"]["sha256"].text for one in fact["subject"]), None)
        case _:
            kind, summary, named = media_type or "unknown", f"{len(content)} bytes", subject.partition(":")[2]
    return Shown(
        kind=kind,
        subject=subject,
        digest=digest,
        summary=summary,
        content=values,
        speaks_of_subject=named == subject.partition(":")[2],
    )


def describe_attached(reference: str, found: Sequence[Shown]) -> str:
    """A table of all of them."""
    if not found:
        return visible(f"nothing is attached to {reference}")
    rows = [
        (
            one.kind,
            one.summary if one.speaks_of_subject or one.is_gone else f"of ANOTHER image: {one.summary}",
            one.digest,
        )
        for one in found
    ]
    subjects = ", ".join(dict.fromkeys(one.subject for one in found))
    return visible(f"attached to {reference} ({subjects})\n\n{table(('what', 'says', 'digest'), rows)}")


def attached_to_json(one: Shown) -> Mapping[str, object]:
    """One document for a JSON document, whole."""
    return {
        "kind": one.kind,
        "subject": one.subject,
        "digest": one.digest,
        "summary": one.summary,
        "speaks_of_subject": one.speaks_of_subject,
        "gone": one.is_gone,
        "content": one.content,
    }


def _statement(fact: Fact) -> tuple[str, str]:
    predicate = fact["predicateType"].text or ""
    inner = fact["predicate"]
    if predicate.startswith(_PROVENANCE):
        definition = inner["buildDefinition"]
        image = definition["externalParameters"]["image"].text or "?"
        entry = definition["externalParameters"]["lockEntry"].text or "?"
        count = len(_list(definition["resolvedDependencies"]))
        return "provenance", f"{image}, of lock entry {entry[:19]}, from {count} dependencies"
    if predicate.startswith(_VERDICT):
        passed = len(_list(inner["passedTests"]))
        failed = len(_list(inner["failedTests"]))
        return "verdict", f"{inner['result'].text or '?'}: {passed} checks passed, {failed} did not"
    return predicate or _IN_TOTO, "an in-toto statement"


def _named_by_spdx(fact: Fact) -> str | None:
    for package in fact["packages"]:
        if package["SPDXID"].text == "SPDXRef-image":
            return _hash_named(package["checksums"], "algorithm", "checksumValue")
    return None


def _hash_named(hashes: Fact, name: str, value: str) -> str | None:
    for one in hashes:
        if (one[name].text or "").replace("-", "") == "SHA256":
            return one[value].text
    return None


def _list(fact: Fact) -> list[object]:
    return fact.value if isinstance(fact.value, list) else []
