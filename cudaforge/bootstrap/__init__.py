"""Debian and Ubuntu bases from the host's package archive, for sites that reach no image registry.

`plan_bootstrap` decides which packages, `assemble_bootstrap` makes the image, and BuildKit takes it as
a named build context: `FROM base` with `--build-context base=oci-layout://DIRECTORY@DIGEST`. An engine
with Docker's older image store cannot read that; it takes `docker load` of what `write_archive` wrote, and
`--build-context base=docker-image://REFERENCE`.
"""

from cudaforge.bootstrap.archive import is_loaded_base, loaded_reference, write_archive
from cudaforge.bootstrap.assemble import assemble_bootstrap
from cudaforge.bootstrap.download import PackagesGone, refuse_missing
from cudaforge.bootstrap.host import ArchiveAccess, dated_sources, find_archive_access, find_host_codename
from cudaforge.bootstrap.layout import find_image
from cudaforge.bootstrap.model import BootstrapImage, BootstrapPackage, BootstrapPlan
from cudaforge.bootstrap.plan import keep_lists, plan_bootstrap
from cudaforge.bootstrap.repository import CollectedDeb, describe_deb, is_sound, write_repository
from cudaforge.bootstrap.sources import SnapshotSite

__all__ = [
    "ArchiveAccess",
    "BootstrapImage",
    "BootstrapPackage",
    "BootstrapPlan",
    "CollectedDeb",
    "PackagesGone",
    "SnapshotSite",
    "assemble_bootstrap",
    "dated_sources",
    "describe_deb",
    "find_archive_access",
    "find_host_codename",
    "find_image",
    "is_loaded_base",
    "is_sound",
    "keep_lists",
    "loaded_reference",
    "plan_bootstrap",
    "refuse_missing",
    "write_archive",
    "write_repository",
]
