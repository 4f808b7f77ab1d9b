"""Pinning base images: bootstrapped ones by their packages, others by what their registry says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from functools import partial
from pathlib import Path

from cudaforge.bootstrap import (
    BootstrapImage,
    BootstrapPackage,
    BootstrapPlan,
    PackagesGone,
    SnapshotSite,
    assemble_bootstrap,
    dated_sources,
    keep_lists,
    plan_bootstrap,
    refuse_missing,
)
from cudaforge.bootstrap.apt import refresh_lists
from cudaforge.bootstrap.deadline import Deadline
from cudaforge.bootstrap.download import fetch_missing
from cudaforge.bootstrap.sources import Source
from cudaforge.errors import CudaforgeError, InputError, NegativeAnswer, Problem
from cudaforge.lockfile.compose import BaseRequest
from cudaforge.lockfile.model import LockedBase, LockedImage, LockedSnapshot, OsPackage
from cudaforge.once import Once
from cudaforge.packages.site import Site
from cudaforge.pipeline.host import cache_directory
from cudaforge.records import replace, values_of
from cudaforge.renderer.snapshot import snapshot_lines

_BOOTSTRAP = "bootstrap:"
_ARCHITECTURES = {"linux/amd64": "amd64", "linux/arm64": "arm64"}


class BasePins:
    """Pins each base once per run, keeping what an earlier lock says of it, `gone` ones (by digest) apart.
    Safe between threads."""

    def __init__(
        self,
        *,
        previous: Iterable[LockedBase] = (),
        gone: Collection[str] = (),
        find_base: Callable[[BaseRequest], LockedBase],
        make_base: Callable[[BaseRequest], LockedBase],
    ) -> None:
        self._previous: dict[Hashable, LockedBase] = {}
        self._gone = gone
        for base in previous:
            if self._is_kept(base):
                key = (base.reference, bool(base.manifests), _architecture_of(base), base.snapshot)
                self._previous.setdefault(key, base)
        self._once: Once[LockedBase] = Once()
        self._making = threading.Lock()
        self._find_base = find_base
        self._make_base = make_base

    def pin(self, request: BaseRequest, *, own: LockedBase | None = None) -> LockedBase:
        """The base of an image, with its digest: the image's `own` of the earlier lock if that still fits,
        else what other images have. A base that cannot be had is asked for once, too.

        Raises NotAsked for one that nobody has asked for before `close`.
        """
        if own is not None and self._is_kept(own) and _is_for(own, request):
            return own
        # A registry's digest is of all platforms; what is made here is of one.
        is_made = request.reference.startswith(_BOOTSTRAP)
        made_for = _only_architecture(request) if is_made else ""
        key = (request.reference, len(request.platforms) > 1, made_for, _timestamp(request))
        known = self._previous.get(key)
        if known is not None and _has_all(known, request):
            return known
        several = request.platforms if len(request.platforms) > 1 else ()
        ask = partial(self._once.find, request, partial(self._find, request))
        try:
            return self._once.find((key, several, request.bootstrap_packages), ask)
        except CudaforgeError:
            # What fails for one platform may be there for another.
            return ask()

    def close(self) -> None:
        """Ask for nothing new from now on."""
        self._once.close()

    def _is_kept(self, base: LockedBase) -> bool:
        return base.digest is not None and base.digest not in self._gone

    def _find(self, request: BaseRequest) -> LockedBase:
        if not request.reference.startswith(_BOOTSTRAP):
            return self._find_base(request)
        with self._making:
            return self._make_base(request)


def bootstrapped_base(request: BaseRequest, *, site: Site, offline: bool) -> LockedBase:
    """A base made from the OS archive as it is now, or from a snapshot of it, with the digest that it comes
    out with."""
    plan = _plan(request, site, offline=offline)
    image = _assemble(plan, request.snapshot, site, offline=offline)
    return replace(_planned(request, plan), digest=image.digest)


def find_gone(images: Iterable[LockedImage], *, site: Site) -> Mapping[str, str]:
    """The bases, by digest, whose packages the OS archive has no longer, and which, in words.

    They are made, where the cache has them not: that is what tells. An archive that cannot be asked, or that
    makes other bytes of them, tells nothing here.
    """
    gone: dict[str, str] = {}
    asked: set[str | None] = set()
    for image in images:
        base = image.base
        if not base.packages or base.snapshot is not None or base.digest in asked:
            continue
        asked.add(base.digest)
        try:
            assemble_locked_base(image, site=site)
        except PackagesGone as error:
            gone[str(base.digest)] = error.problems[0].what
        except CudaforgeError:
            continue
    return gone


def planned_base(
    request: BaseRequest, *, previous: Iterable[LockedBase], site: Site, offline: bool
) -> LockedBase:
    """What a base made from the OS archive would consist of now. It is not made: its digest is known only
    where it is of the same packages as one of the previous bases."""
    planned = _planned(request, _plan(request, site, offline=offline))
    for base in previous:
        if replace(base, digest=None) == planned:
            return base
    return planned


def _planned(request: BaseRequest, plan: BootstrapPlan) -> LockedBase:
    return LockedBase(
        reference=request.reference,
        digest=None,
        codename=request.codename,
        packages=tuple(OsPackage(**values_of(package)) for package in plan.packages),
        snapshot=_timestamp(request),
    )


def _plan(request: BaseRequest, site: Site, *, offline: bool) -> BootstrapPlan:
    return plan_bootstrap(
        codename=request.codename,
        architecture=_only_architecture(request),
        packages=request.bootstrap_packages,
        cache=cache_directory(),
        refresh=keep_lists if offline else refresh_lists,
        sources=_sources(request.snapshot, site),
    )


def _assemble(
    plan: BootstrapPlan, snapshot: LockedSnapshot | None, site: Site, *, offline: bool
) -> BootstrapImage:
    """The base, of the packages of that archive where the cache lacks them."""

    def fetch(plan: BootstrapPlan, cache: Path, deadline: Deadline) -> None:
        fetch_missing(plan, cache, deadline, sources=_sources(snapshot, site))

    return assemble_bootstrap(plan, cache=cache_directory(), fetch=refuse_missing if offline else fetch)


def _sources(snapshot: LockedSnapshot | None, site: Site) -> tuple[Source, ...] | None:
    """The snapshot as this site has it; None for the archives of this host."""
    if snapshot is None:
        return None
    address = site.snapshot_address(snapshot.service, snapshot.url)
    service = SnapshotSite(name=snapshot.service, address=address)
    return dated_sources(snapshot_lines(snapshot, address=service.address), service=service)


def _timestamp(request: BaseRequest) -> str | None:
    return request.snapshot.timestamp if request.snapshot is not None else None


def assemble_locked_base(image: LockedImage, *, site: Site, offline: bool = False) -> BootstrapImage:
    """The bootstrapped base of an image, from the cache or made again from its very packages.

    Raises SurroundingsError where the archive does not have them any more, NegativeAnswer where they make
    other bytes than the lock says.
    """
    base = image.base
    plan = BootstrapPlan(
        codename=base.codename,
        architecture=_architecture(image.platforms[0]),
        packages=tuple(BootstrapPackage(**values_of(package)) for package in base.packages),
    )
    made = _assemble(plan, image.snapshot, site, offline=offline)
    if made.digest != base.digest:
        raise NegativeAnswer(
            Problem(
                what=f"{base.reference} comes out as {made.digest}, not as the locked {base.digest}",
                because=("another version of cudaforge made the lock",),
                remedy="cudaforge upgrade",
            )
        )
    return made


def _is_for(base: LockedBase, request: BaseRequest) -> bool:
    return base.reference == request.reference and _has_all(base, request)


def _has_all(base: LockedBase, request: BaseRequest) -> bool:
    if base.snapshot != _timestamp(request):
        return False
    if base.packages and _architecture_of(base) != _only_architecture(request):
        return False
    names = {package.name for package in base.packages}
    platforms = {one.platform for one in base.manifests}
    several = request.platforms if len(request.platforms) > 1 else ()
    return names.issuperset(request.bootstrap_packages) and platforms == set(several)


def _only_architecture(request: BaseRequest) -> str:
    if len(request.platforms) > 1:
        raise NegativeAnswer(
            Problem(
                what=f"{request.reference} cannot be bootstrapped for {' and '.join(request.platforms)} "
                "at once",
                because=("a bootstrapped base is made of the packages of one architecture",),
                remedy="name a base of a registry, or make one image for each platform: a matrix with the "
                "axis `platforms`",
            )
        )
    return _architecture(request.platforms[0])


def _architecture_of(base: LockedBase) -> str:
    """What a base that was made here is for; empty for those of registries."""
    return next((one.architecture for one in base.packages if one.architecture != "all"), "")


def _architecture(platform: str) -> str:
    if platform not in _ARCHITECTURES:
        raise InputError(
            Problem(
                what=f"no base can be bootstrapped for {platform}",
                remedy="use one of " + ", ".join(_ARCHITECTURES),
            )
        )
    return _ARCHITECTURES[platform]
