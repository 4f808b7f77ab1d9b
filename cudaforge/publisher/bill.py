"""What is in an image, as a bill of materials: the closure as locked, the OS packages as they really are.

Source of the package URLs: purl-spec, types `pypi` and `deb`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from packageurl import PackageURL

from cudaforge.lockfile.model import LockedImage
from cudaforge.records import record

_STANZA = re.compile(r"\n\s*\n")
_DISTRIBUTION = re.compile(r"(?P<name>[a-z]+)(?P<release>[0-9.]+)")


@record()
class Component:
    """One thing in an image."""

    kind: str
    """`pypi` or `deb`; `generic` for a Python of its own."""
    name: str
    version: str
    purl: str
    sha256: str | None = None
    """Of the file that it was installed from, where that is locked."""
    filename: str | None = None
    supplier: str | None = None


@record()
class Bill:
    """All that is known to be in one image of one platform."""

    name: str
    reference: str
    digest: str
    """Of the image's manifest: `sha256:...`."""
    platform: str
    components: tuple[Component, ...]


def locked_components(image: LockedImage) -> tuple[Component, ...]:
    """What the lock puts into an image: the wheels with their hashes, and a Python of its own."""
    return (*_python(image), *(_wheels(image)))


def os_components(status: str, *, os: str) -> tuple[Component, ...]:
    """The installed packages of dpkg's database. `os` is the release as the lock names it (`debian12`)."""
    components = []
    for stanza in _STANZA.split(status):
        fields = _fields(stanza)
        name, version = fields.get("package"), fields.get("version")
        # `status.d` of images without dpkg has no state: what is there is installed.
        is_installed = fields.get("status", "install ok installed").endswith(" installed")
        if not name or not version or not is_installed:
            continue
        purl = deb_purl(name, version, fields.get("architecture"), os=os)
        components.append(
            Component(kind="deb", name=name, version=version, purl=purl, supplier=fields.get("maintainer"))
        )
    return tuple(sorted(components, key=lambda one: one.purl))


def deb_purl(name: str, version: str, architecture: str | None, *, os: str) -> str:
    """The package URL of an OS package in a release as the lock names it."""
    found = _DISTRIBUTION.fullmatch(os)
    vendor = found["name"] if found else "debian"
    qualifiers = {"arch": architecture} if architecture is not None else {}
    if found:
        qualifiers["distro"] = f"{vendor}-{found['release']}"
    return PackageURL("deb", vendor, name, version, qualifiers=qualifiers).to_string()


def _wheels(image: LockedImage) -> Iterator[Component]:
    for wheel in sorted(image.closure.wheels, key=lambda one: one.package):
        qualifiers = {}
        if wheel.git is not None:
            qualifiers["vcs_url"] = f"git+{wheel.git.url}@{wheel.git.commit}"
        yield Component(
            kind="pypi",
            name=wheel.package,
            version=wheel.version,
            purl=PackageURL("pypi", None, wheel.package, wheel.version, qualifiers=qualifiers).to_string(),
            sha256=wheel.sha256 or None,
            filename=wheel.filename,
        )


def _python(image: LockedImage) -> Iterator[Component]:
    python = image.standalone
    archive = python.find_archive(image.platforms[0]) if python is not None and image.platforms else None
    if python is not None:
        yield Component(
            kind="generic",
            name="python",
            version=python.version,
            purl=PackageURL("generic", None, "python", python.version).to_string(),
            sha256=archive.sha256 if archive is not None else None,
        )


def _fields(stanza: str) -> Mapping[str, str]:
    return dict(_pairs(stanza.splitlines()))


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        key, colon, value = line.partition(":")
        if colon and key and not key[0].isspace():
            yield key.lower(), value.strip()
