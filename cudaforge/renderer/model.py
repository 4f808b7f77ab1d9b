"""What rendering gives: texts, and the names of what a build has to bring along."""

from __future__ import annotations

from cudaforge.lockfile.model import LockedImage
from cudaforge.records import record

BASE_CONTEXT = "cudaforge-base"
"""Named context that stands for a bootstrapped base."""
UV_CONTEXT = "cudaforge-uv"
"""Named context whose file `uv` installs the closure; below `platform_path`."""
WHEELS_CONTEXT = "cudaforge-wheels"
"""Named context with the wheels that a site has as files alone; always mounted, often empty."""
PYTHON_CONTEXT = "cudaforge-python"
"""Named context whose file PYTHON_ARCHIVE is the standalone Python of an image that has one; below
`platform_path`."""
PYTHON_ARCHIVE = "python.tar.gz"
DEBS_CONTEXT = "cudaforge-debs"
"""Optional: named context with an archive of OS packages, for a build without a network. Dockerfiles that
install some have an empty stage of that name."""
BUILT_CONTEXT = "cudaforge-built"
"""Optional: named context with the directory `wheels` of what is built from its source, for a build without a
network. Dockerfiles that build some have a stage of that name."""
DEBS_PATH = "/run/cudaforge/debs"
"""Where a step sees it."""

CLOSURE_SECRET = "cudaforge-closure"  # noqa: S105 -- an id, not a password
"""Required: the closure with its addresses filled in."""
SITE_SECRET = "cudaforge-site"  # noqa: S105 -- an id, not a password
"""Optional: shell file of `export NAME='value'` lines."""
CA_SECRET = "cudaforge-ca"  # noqa: S105 -- an id, not a password
"""Optional: CA bundle of the site."""

APT_SOURCES_SECRET = "cudaforge-apt-sources"  # noqa: S105 -- an id, not a password
"""Optional: a `sources.list` that stands in for the base's own; a bootstrapped base has none."""
APT_CONFIG_SECRET = "cudaforge-apt-config"  # noqa: S105 -- an id, not a password
"""Optional, together with APT_SOURCES_SECRET: what `dump_apt_config` gives."""
APT_SOURCES_PATH = "/run/cudaforge/apt.list"

SNAPSHOT_SECRET = "cudaforge-apt-snapshot"  # noqa: S105 -- an id, not a password
"""Optional: a `sources.list` that stands in for the public snapshot of the OS archive."""

LABEL_PREFIX = "io.cudaforge."
ENTRY_LABEL = "io.cudaforge.lock.entry"
"""Label with the digest of the lock entry that an image was made from."""


@record()
class RenderedFile:
    """One file to write. `path` is relative to the output directory."""

    path: str
    text: str


@record()
class RenderedImage:
    """The Dockerfile of one image and the build inputs that it names."""

    name: str
    dockerfile: str
    ignore: str
    """Text of `<Dockerfile>.dockerignore`."""
    contexts: tuple[str, ...]
    """Named build contexts that it mounts or starts from, besides the project itself."""
    secrets: tuple[str, ...]
    """Ids of the BuildKit secrets that it mounts: CLOSURE_SECRET and the user's are required."""


@record()
class Written:
    """What `write_rendered` did, as paths relative to the output directory."""

    written: tuple[str, ...]
    """New or changed."""
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]
    """Files of an earlier render that the lock no longer has."""


def platform_path(image: LockedImage, platform: str) -> str:
    """Where a context has what only one platform takes: `arm64`; the context itself where the image has one
    platform. As BuildKit's TARGETARCH says it."""
    return platform.rpartition("/")[2] if len(image.platforms) > 1 else "."
