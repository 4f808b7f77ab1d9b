"""What the deciding stages are given from outside: this site's indexes and registries."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from cudaforge import process
from cudaforge.declaration.model import Declaration
from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem, SurroundingsError
from cudaforge.lockfile.compose import BaseRequest
from cudaforge.lockfile.model import Lock, LockedBase, PlatformManifest
from cudaforge.packages.site import DeclaredNetwork, Site, read_site
from cudaforge.pipeline.decide import Note, load, located, matrix_of
from cudaforge.records import record, replace
from cudaforge.registry import Access, docker_config_path, docker_credentials, resolve_digest

_DIGEST_SECONDS = 60.0
_HELPER_SECONDS = 30.0
_WAY_OUT = "--allow-unpinned goes on without a digest"


def find_site(declaration: Declaration, *, offline: bool = False) -> Site:
    """The site that this machine and the declaration's `[network]` describe.

    Raises InputError for addresses of indexes and snapshot services that nothing is known of.
    """
    network = declaration.network
    _check_names(declaration)
    return read_site(
        DeclaredNetwork(
            ca_bundle=network.ca_bundle,
            http_proxy=network.http_proxy,
            https_proxy=network.https_proxy,
            no_proxy=network.no_proxy,
            index=network.index,
            extra_indexes=network.extra_indexes,
            find_links=network.find_links,
            indexes=network.indexes,
            python_mirror=network.python_mirror,
            os_snapshots=network.os_snapshots,
            registries=declaration.registries,
            file=str(declaration.path),
            root=declaration.root,
        ),
        environ=os.environ,
        offline=offline,
    )


def _check_names(declaration: Declaration) -> None:
    """An address under a name that nobody looks for would be no more than ignored."""
    network = declaration.network
    if not network.indexes and not network.os_snapshots:
        return
    matrix = matrix_of(declaration)
    tables: tuple[tuple[str, Mapping[str, str], Sequence[str]], ...] = (
        ("indexes", network.indexes, tuple(matrix.indexes)),
        ("os_snapshots", network.os_snapshots, tuple(one.name for one in matrix.snapshots)),
    )
    problems = [
        Problem(
            what=f"the facts name no {show(name)} whose address [network.{table}] could give",
            where=Location(file=str(declaration.path), key=f"network.{table}.{name}"),
            remedy=f"{_meant(name, known)}known: {', '.join(known)}",
        )
        for table, addresses, known in tables
        for name in addresses
        if name not in known
    ]
    if problems:
        with located(declaration):
            raise InputError(problems)


def _meant(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}? " if near else ""


def site_at(file: Path, *, offline: bool = False) -> Site:
    """The site of this machine, with what a declaration says of it where there is one."""
    if file.exists():
        return find_site(load(file), offline=offline)
    declared = DeclaredNetwork(indexes={}, registries={}, root=Path())
    return read_site(declared, environ=os.environ, offline=offline)


def find_indexes(declaration: Declaration, lock: Lock) -> Mapping[str, str]:
    """The public addresses of the indexes that the lock names, as far as the matrix knows them."""
    known = matrix_of(declaration).indexes
    named = {wheel.index for image in lock.images for wheel in image.closure.wheels}
    return {name: known[name].url for name in sorted(named & known.keys())}


def find_feeds(declaration: Declaration, lock: Lock) -> Mapping[str, str]:
    """The public addresses of the feeds that the lock's standalone Pythons come from, as far as the matrix
    knows them."""
    named = {image.standalone.feed for image in lock.images if image.standalone is not None}
    known = matrix_of(declaration).feeds if named else ()
    return {feed.name: feed.url for feed in known if feed.name in named}


def registry_access(site: Site, *, timeout: float) -> Access:
    """How a site reaches image registries; `timeout` is the total time of one question in seconds."""
    from cudaforge.engine import words_of_host

    words = words_of_host()
    proxies = {
        scheme: site.proxies[variable]
        for scheme, variable in (("https", "HTTPS_PROXY"), ("http", "HTTP_PROXY"))
        if variable in site.proxies
    }
    return Access(
        mirrors=site.registries,
        timeout=timeout,
        ca_bundle=site.ca_bundle,
        credentials=docker_credentials(
            docker_config_path(os.environ, _home()), run_helper=_run_credential_helper
        ),
        proxies=proxies,
        no_proxy=site.proxies.get("NO_PROXY"),
        login_command=words.login,
        push_command=words.push,
    )


@record()
class DigestSource:
    """Asks registries which digest a base image has now."""

    site: Site
    allow_unpinned: bool
    on_note: Note

    def find(self, request: BaseRequest) -> LockedBase:
        """The base with its digest; without one only where the registry does not answer and that is allowed.

        Raises SurroundingsError where it does not answer, NegativeAnswer where there is no such image, or
        none for one of the platforms.
        """
        try:
            return self._ask(request)
        except SurroundingsError as error:
            if not self.allow_unpinned:
                raise _with_way_out(error) from None
            self.on_note(f"{request.reference} is not pinned: {error.problems[0].what}")
            return LockedBase(reference=request.reference, digest=None, codename=request.codename)

    def _ask(self, request: BaseRequest) -> LockedBase:
        if self.site.offline:
            raise SurroundingsError(_offline(request.reference))
        access = registry_access(self.site, timeout=_DIGEST_SECONDS)
        found = resolve_digest(request.reference, access, platforms=request.platforms)
        has_several = len(request.platforms) > 1
        return LockedBase(
            reference=request.reference,
            digest=found.digest,
            codename=request.codename,
            manifests=tuple(
                PlatformManifest(platform=platform, digest=digest)
                for platform, digest in (sorted(found.platform_digests.items()) if has_several else ())
            ),
        )


def _with_way_out(error: SurroundingsError) -> SurroundingsError:
    """The error with what a lock may do where no registry answers."""
    return SurroundingsError(
        replace(problem, remedy="; ".join(filter(None, (problem.remedy, _WAY_OUT))))
        for problem in error.problems
    )


def _offline(reference: str) -> Problem:
    return Problem(
        what=f"the digest of {reference} is not known, and --offline asks no registry",
        remedy="lock once without --offline",
    )


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None


def _run_credential_helper(argv: Sequence[str], server: str) -> str | None:
    """What a Docker credential helper says of a server; None where it is missing or knows nothing."""
    try:
        done = process.run(argv, timeout=_HELPER_SECONDS, stdin=server)
    except process.ProgramNotFound:
        return None
    return done.stdout if done.returncode == 0 else None
