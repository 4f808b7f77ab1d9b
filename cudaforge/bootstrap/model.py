"""What a bootstrapped base is made of, and what it becomes."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from cudaforge.display import show
from cudaforge.errors import InputError, Problem
from cudaforge.records import record, values_of

FIELDS = {
    "name": re.compile(r"[a-z0-9][a-z0-9+.-]+"),
    "version": re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~-]*"),
    "architecture": re.compile(r"[a-z0-9-]+"),
    "filename": re.compile(r"(?!.*\.\./)[A-Za-z0-9][A-Za-z0-9._+~:%/@-]*\.deb"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
}
"""What the values of a package can be, by field."""
_CODENAME = re.compile(r"[a-z][a-z0-9-]*")

# Debian's names of architectures that have another name in OCI images; the others keep theirs.
_OCI_ARCHITECTURES = {"i386": "386", "ppc64el": "ppc64le", "armhf": "arm"}


@record()
class BootstrapPackage:
    """One .deb of the archive."""

    name: str
    version: str
    architecture: str
    """`amd64`, `all`."""
    filename: str
    """Path below the archive's root."""
    sha256: str
    size: int


@record()
class BootstrapPlan:
    """All that decides the bytes of a bootstrapped base; packages are sorted by name."""

    codename: str
    architecture: str
    packages: tuple[BootstrapPackage, ...]


@record()
class BootstrapImage:
    """A base in an OCI image layout directory."""

    layout: Path
    digest: str
    """Of its manifest: `sha256:...`."""
    size: int
    """Bytes of all its blobs."""

    @property
    def build_context(self) -> str:
        """What buildx takes behind `--build-context NAME=`."""
        return f"oci-layout://{self.layout}@{self.digest}"


def oci_architecture(architecture: str) -> str:
    """The OCI name of one of Debian's architectures."""
    return _OCI_ARCHITECTURES.get(architecture, architecture)


def plan_key(plan: BootstrapPlan) -> str:
    """A name for what the plan says, the same wherever and whenever it is computed."""
    text = json.dumps(values_of(plan), default=values_of, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def check_request(*, codename: str, architecture: str, packages: tuple[str, ...]) -> None:
    """Raise InputError for names that no archive can have."""
    problems = []
    if not _CODENAME.fullmatch(codename):
        problems.append(Problem(what=f"{show(codename)} is no codename of an OS release"))
    if not FIELDS["architecture"].fullmatch(architecture):
        problems.append(Problem(what=f"{show(architecture)} is no architecture"))
    problems += [
        Problem(what=f"{show(name)} is no name of an OS package", remedy="a-z, 0-9 and + - . are allowed")
        for name in packages
        if not FIELDS["name"].fullmatch(name)
    ]
    if not packages:
        problems.append(Problem(what="a bootstrapped base needs at least one OS package"))
    if problems:
        raise InputError(problems)


def check_plan(plan: BootstrapPlan) -> None:
    """Raise InputError for a plan that did not come from an archive: locks can be edited by hand."""
    check_request(
        codename=plan.codename,
        architecture=plan.architecture,
        packages=tuple(package.name for package in plan.packages),
    )
    wrong = [
        Problem(what=f"OS package {show(package.name)} has a malformed {field}: {getattr(package, field)!r}")
        for package in plan.packages
        for field, pattern in FIELDS.items()
        if not pattern.fullmatch(getattr(package, field))
    ]
    if wrong:
        raise InputError(wrong)
