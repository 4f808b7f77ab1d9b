"""Which OS archive the steps of a build read: the base's own, one of this site's, or files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from cudaforge.bootstrap import CollectedDeb, SnapshotSite, find_archive_access, write_repository
from cudaforge.builder.failures import FailureKind
from cudaforge.builder.protocol import BuildEnd
from cudaforge.builder.scratch import write_private
from cudaforge.lockfile.model import LockedImage
from cudaforge.packages.addresses import is_loopback
from cudaforge.packages.site import Site
from cudaforge.records import made, record, replace
from cudaforge.renderer import dump_apt_config
from cudaforge.renderer.context import find_missing_packages
from cudaforge.renderer.model import (
    APT_CONFIG_SECRET,
    APT_SOURCES_SECRET,
    DEBS_CONTEXT,
    DEBS_PATH,
    SNAPSHOT_SECRET,
)
from cudaforge.renderer.snapshot import snapshot_lines

_ADDRESS = re.compile(r"https?://[^\s\"';]+")


@record()
class OsArchive:
    """What steps are given besides what the base and the Dockerfile know: texts of secrets, and contexts."""

    secrets: Mapping[str, str] = made(default_factory=dict)
    contexts: Mapping[str, str] = made(default_factory=dict)

    @property
    def needs_host_network(self) -> bool:
        """Whether an address is one of the engine's own machine."""
        addresses = _ADDRESS.findall("\n".join(self.secrets.values()))
        return any(is_loopback(address) for address in addresses)


def site_archive(image: LockedImage, site: Site, dockerfile: str) -> OsArchive:
    """The archive that this site has for the image: nothing where that of base and Dockerfile is to serve.

    A bootstrapped base has no sources of its own. Raises SurroundingsError where this host has none for it.
    """
    secrets: dict[str, str] = {}
    snapshot = image.snapshot
    if snapshot is not None and (mirror := site.find_snapshot_mirror(snapshot.service)):
        lines = snapshot_lines(snapshot, address=mirror)
        secrets[SNAPSHOT_SECRET] = "".join(f"{line}\n" for line in lines)
    if image.base.is_bootstrap and f"id={APT_SOURCES_SECRET}," in dockerfile:
        access = find_archive_access(image.base.codename)
        secrets |= _apt_secrets(access.sources, access.config)
    return OsArchive(secrets=secrets)


def vendored_archive(image: LockedImage, debs: Mapping[CollectedDeb, Path], directory: Path) -> OsArchive:
    """An archive of these files alone, made in `directory`, which is not there yet; nothing where apt has
    nothing to install. Raises SurroundingsError."""
    if not find_missing_packages(image):
        return OsArchive()
    line = write_repository(debs, directory, seen_as=DEBS_PATH)
    secrets = _apt_secrets(line, "") if image.snapshot is None else {SNAPSHOT_SECRET: line}
    return OsArchive(secrets=secrets, contexts={DEBS_CONTEXT: str(directory)})


def blame_snapshot(end: BuildEnd, image: LockedImage, site: Site) -> BuildEnd:
    """How a build ended, with the snapshot service named where it was that which a step could not read."""
    failure, snapshot = end.failure, image.snapshot
    if failure is None or failure.kind is not FailureKind.NETWORK or snapshot is None:
        return end
    address = site.snapshot_address(snapshot.service, snapshot.url)
    service = SnapshotSite(name=snapshot.service, address=address)
    if not any(f"{service.address.rstrip('/')}/" in line for line in end.last_lines):
        return end
    reason = f"OS packages cannot be had from {service}"
    return replace(end, failure=replace(failure, reason=reason, remedy=service.remedy))


def write_archive_secrets(archive: OsArchive, private: Path) -> Mapping[str, Path]:
    """The secrets as new files in `private`."""
    written = {}
    for name, text in archive.secrets.items():
        written[name] = private / f"{name}.txt"
        write_private(written[name], text.encode())
    return written


def _apt_secrets(sources: str, config: str) -> Mapping[str, str]:
    return {APT_SOURCES_SECRET: sources, APT_CONFIG_SECRET: dump_apt_config(config)}
