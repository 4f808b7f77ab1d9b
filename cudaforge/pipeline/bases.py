"""Pinning base images: bootstrapped ones by their packages, others by what their registry says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from cudaforge.bootstrap import (
    BootstrapImage,
    BootstrapPackage,
    BootstrapPlan,
    assemble_bootstrap,
    keep_lists,
    plan_bootstrap,
    refuse_missing,
)
from cudaforge.bootstrap.apt import refresh_lists
from cudaforge.bootstrap.download import fetch_missing
from cudaforge.errors import InputError, NegativeAnswer, Problem
from cudaforge.lockfile.compose import BaseRequest
from cudaforge.lockfile.model import LockedBase, OsPackage
from cudaforge.pipeline.host import cache_directory
from cudaforge.records import values_of

_BOOTSTRAP = "bootstrap:"
_ARCHITECTURES = {"linux/amd64": "amd64", "linux/arm64": "arm64"}


class BasePins:
    """Pins each base once per run, keeping what an earlier lock says of it. Safe between threads."""

    def __init__(
        self,
        *,
        previous: Iterable[LockedBase],
        offline: bool,
        find_digest: Callable[[BaseRequest], str | None],
    ) -> None:
        self._known = {base.reference: base for base in previous if base.digest is not None}
        self._lock = threading.Lock()
        self._offline = offline
        self._find_digest = find_digest

    def pin(self, request: BaseRequest) -> LockedBase:
        """The base of an image, with its digest."""
        with self._lock:
            known = self._known.get(request.reference)
            if known is None or not _has_all(known, request):
                known = self._find(request)
                self._known[request.reference] = known
            return known

    def _find(self, request: BaseRequest) -> LockedBase:
        if request.reference.startswith(_BOOTSTRAP):
            return self._bootstrap(request)
        return LockedBase(
            reference=request.reference, digest=self._find_digest(request), codename=request.codename
        )

    def _bootstrap(self, request: BaseRequest) -> LockedBase:
        plan = plan_bootstrap(
            codename=request.codename,
            architecture=_architecture(request.platform),
            packages=request.bootstrap_packages,
            cache=cache_directory(),
            refresh=keep_lists if self._offline else refresh_lists,
        )
        image = assemble_bootstrap(
            plan, cache=cache_directory(), fetch=refuse_missing if self._offline else fetch_missing
        )
        return LockedBase(
            reference=request.reference,
            digest=image.digest,
            codename=request.codename,
            packages=tuple(OsPackage(**values_of(package)) for package in plan.packages),
        )


def assemble_locked_base(base: LockedBase, *, platform: str, offline: bool = False) -> BootstrapImage:
    """The bootstrapped base of a lock, from the cache or made again from its very packages.

    Raises SurroundingsError where the archive does not have them any more, NegativeAnswer where they make
    other bytes than the lock says.
    """
    plan = BootstrapPlan(
        codename=base.codename,
        architecture=_architecture(platform),
        packages=tuple(BootstrapPackage(**values_of(package)) for package in base.packages),
    )
    image = assemble_bootstrap(
        plan, cache=cache_directory(), fetch=refuse_missing if offline else fetch_missing
    )
    if image.digest != base.digest:
        raise NegativeAnswer(
            Problem(
                what=f"{base.reference} comes out as {image.digest}, not as the locked {base.digest}",
                because=("another version of cudaforge made the lock",),
                remedy="cudaforge lock --upgrade",
            )
        )
    return image


def _has_all(base: LockedBase, request: BaseRequest) -> bool:
    names = {package.name for package in base.packages}
    return names.issuperset(request.bootstrap_packages)


def _architecture(platform: str) -> str:
    if platform not in _ARCHITECTURES:
        raise InputError(
            Problem(
                what=f"no base can be bootstrapped for {platform}",
                remedy="use one of " + ", ".join(_ARCHITECTURES),
            )
        )
    return _ARCHITECTURES[platform]
