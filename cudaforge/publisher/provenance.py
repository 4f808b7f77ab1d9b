"""Where an image comes from: SLSA provenance v1 in an in-toto statement (slsa.dev/spec/v1.0/provenance).

Everything in it is of the lock. No path, name or address of the machine that built is in it, and no value of
an environment variable or step; indexes are there by name, as in the lock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from cudaforge.lockfile.model import LockedImage
from cudaforge.publisher.bill import Bill, deb_purl

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
MEDIA_TYPE = "application/vnd.in-toto+json"
BUILD_TYPE = "urn:cudaforge:build:v1"
_BUILDER = "urn:cudaforge:builder:"


def provenance_document(
    image: LockedImage, bill: Bill, *, versions: Mapping[str, str], revision: str | None
) -> bytes:
    """The statement about one image of one platform. `versions` are the builder's programs; `revision` is
    the project's commit, where it is one."""
    algorithm, _, value = bill.digest.partition(":")
    builder = f"{_BUILDER}{'podman' if 'podman' in versions else 'buildkit'}"
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "image": image.name,
                "platform": bill.platform,
                "lockEntry": image.digest,
                **({"revision": revision} if revision else {}),
            },
            "internalParameters": {},
            "resolvedDependencies": list(_dependencies(image, bill)),
        },
        "runDetails": {"builder": {"id": builder, "version": dict(versions)}, "metadata": {}},
    }
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": bill.reference, "digest": {algorithm: value}}],
        "predicateType": PREDICATE,
        "predicate": predicate,
    }
    return json.dumps(statement, separators=(",", ":"), sort_keys=True).encode()


def _dependencies(image: LockedImage, bill: Bill) -> Iterator[dict[str, object]]:
    base: dict[str, object] = {"uri": image.base.reference, "annotations": {"role": "base"}}
    if image.base.digest:
        algorithm, _, value = image.base.digest.partition(":")
        base["digest"] = {algorithm: value}
    yield base
    for package in image.base.packages:
        yield {
            "uri": deb_purl(package.name, package.version, package.architecture, os=image.os),
            "digest": {"sha256": package.sha256},
        }
    indexes = {wheel.package: wheel.index for wheel in image.closure.wheels}
    for one in bill.components:
        if one.sha256 is None and one.kind != "pypi":
            continue  # what the OS archive gave: the bill of materials has it, the lock has no hash of it
        entry: dict[str, object] = {"uri": one.purl, "name": one.filename or one.name}
        if one.sha256 is not None:
            entry["digest"] = {"sha256": one.sha256}
        if one.kind == "pypi":
            entry["annotations"] = {"index": indexes[one.name]}
        yield entry
