"""Looking at this host for a project: what is to be built here, and the image that is asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cudaforge.declaration.model import Declaration
from cudaforge.display import show
from cudaforge.doctor import Expected, Finding, Host, State, diagnose, look, this_host
from cudaforge.engine import connect
from cudaforge.errors import InputError, Location, NegativeAnswer, Problem
from cudaforge.lockfile.model import LockedImage
from cudaforge.lockfile.store import read_lock
from cudaforge.matrix import load_matrix
from cudaforge.packages.site import Site
from cudaforge.pipeline.decide import load, load_current_lock, matrix_of
from cudaforge.pipeline.host import lock_path
from cudaforge.pipeline.outside import find_site, site_at
from cudaforge.pipeline.sizes import expected_answers
from cudaforge.references import InvalidReference, parse_reference
from cudaforge.registry import docker_config_path


def examine(file: Path, name: str | None, *, host: Host | None = None) -> tuple[Finding, ...]:
    """What is wrong with this host: for the images of a declaration, for one locked image of it, or for none
    where there is no declaration.

    Raises InputError for a declaration that is wrong and an image that is not in the lock, NegativeAnswer for
    a lock that is missing or stale.
    """
    declaration = load(file) if file.exists() or name is not None else None
    image = _find_image(declaration, name) if declaration is not None and name is not None else None
    matrix = matrix_of(declaration) if declaration is not None else load_matrix()

    def site() -> Site:
        return site_at(file) if declaration is None else find_site(declaration)

    chosen = host or this_host()
    return diagnose(
        look(
            chosen,
            connect=lambda: connect(environment=chosen.environ),
            find_site=site,
            matrix=matrix,
            docker_config=docker_config_path(chosen.environ, _home(chosen.environ)),
            expected=_expected(declaration, image) if declaration is not None else (),
            registries=_registries(declaration) if declaration is not None else (),
            image=image,
        )
    )


def is_healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing is a problem."""
    return all(finding.state is not State.PROBLEM for finding in findings)


def _find_image(declaration: Declaration, name: str) -> LockedImage:
    lock = load_current_lock(declaration)
    found = [image for image in lock.images if image.name == name]
    if found:
        return found[0]
    points = [image.name for image in lock.images if image.image == name]
    known = ", ".join(points or [image.name for image in lock.images])
    what = f"{show(name)} is several images" if points else f"there is no image {show(name)}"
    raise InputError(Problem(what=what, where=Location(file="command line"), remedy=f"name one: {known}"))


def _expected(declaration: Declaration, image: LockedImage | None) -> tuple[Expected, ...]:
    """What is to be built, as heavy as the resolver thinks it is, with what is locked kept."""
    locked = _locked(declaration)
    return tuple(
        Expected(
            name=name,
            # One that is not locked was never built.
            reference=locked[name].tags[0] if name in locked else name,
            compressed=answer.size.compressed,
            installed=answer.size.installed,
            is_lower_bound=answer.size.is_lower_bound,
            has_cuda=answer.cuda is not None,
        )
        for name, answer in expected_answers(declaration, locked).items()
        if image is None or image.name == name
    )


def _locked(declaration: Declaration) -> Mapping[str, LockedImage]:
    """What is locked, by name; nothing where there is no lock that can be used."""
    try:
        return {one.name: one for one in read_lock(lock_path(declaration)).images}
    except NegativeAnswer:
        return {}


def _registries(declaration: Declaration) -> tuple[str, ...]:
    """Where the images are to be pushed."""
    if not declaration.registry:
        return ()
    try:
        found = parse_reference(f"{declaration.registry}/{declaration.project}").registry
    except InvalidReference:
        return ()
    return (found,)


def _home(environ: Mapping[str, str]) -> Path | None:
    home = environ.get("HOME")
    return Path(home) if home else None
