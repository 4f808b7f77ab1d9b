"""Handing a bootstrapped base to a builder, whichever image store the engine has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from cudaforge.bootstrap import BootstrapImage, is_loaded_base, loaded_reference, write_archive
from cudaforge.engine import Engine, NamedBuilder
from cudaforge.lockfile.model import LockedImage

BaseProvider = Callable[[LockedImage], BootstrapImage]
LOAD_SECONDS = 600.0
_TAKEN_IN = "localhost/cudaforge-base-"
_SHORT = 16
"""So many digits of a base's digest are in its name."""


def taken_in_reference(digest: str) -> str:
    """The name under which Podman has the base with this digest, which came as an OCI image layout."""
    return f"{_TAKEN_IN}{digest.rpartition(':')[2][:_SHORT]}"


def is_own_base(reference: str, digests: Sequence[str]) -> bool:
    """Whether it is the name of a base that an engine was handed. `digests` are those of the image."""
    if is_loaded_base(reference):
        return True
    name = reference.removesuffix(":latest")
    return any(name == taken_in_reference(digest) for digest in digests)


class BaseFinder(Protocol):
    """Hands bootstrapped bases to builds."""

    def find_context(self, image: LockedImage, scratch: Path) -> str:
        """What the named context of this image's bootstrapped base is."""


class BaseContexts:
    """The bases of one run for one builder; each is made, and loaded, once."""

    def __init__(self, named: NamedBuilder, provide: BaseProvider) -> None:
        self._engine: Engine = named.engine
        self._is_own = named.is_own
        self._provide = provide
        # Images of one run mostly share their base: the first makes it, the others find it made.
        self._lock = threading.Lock()

    def find_context(self, image: LockedImage, scratch: Path) -> str:
        """What the named context of this image's bootstrapped base is."""
        with self._lock:
            base = self._provide(image)
            if not self._is_own or self._engine.is_podman or self._engine.has_containerd_store:
                return base.build_context
            # "unknown scheme oci-layout" is what the older store answers.
            return f"docker-image://{self._load(base, scratch)}"

    def _load(self, base: BootstrapImage, scratch: Path) -> str:
        reference = loaded_reference(base)
        if self._engine.find_image(reference) is None:
            archive = scratch / "base.tar"
            write_archive(base, archive)
            self._engine.load_image(archive, timeout=LOAD_SECONDS)
            archive.unlink()
        return reference
