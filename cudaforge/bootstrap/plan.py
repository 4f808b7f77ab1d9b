"""Resolving a base: which packages of the host's OS archive it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cudaforge.bootstrap import apt
from cudaforge.bootstrap.cache import disk_errors, hold_lock
from cudaforge.bootstrap.deadline import Deadline, start_deadline
from cudaforge.bootstrap.host import find_sources, load_reaching_config
from cudaforge.bootstrap.model import BootstrapPlan, check_request
from cudaforge.bootstrap.sources import Source

PLAN_SECONDS = 300.0


def keep_lists(state: apt.AptState, deadline: Deadline) -> None:
    """Work with the package lists of an earlier plan: for `--offline`, in place of `refresh_lists`."""


def plan_bootstrap(
    *,
    codename: str,
    architecture: str,
    packages: Sequence[str],
    cache: Path,
    refresh: Callable[[apt.AptState, Deadline], None] = apt.refresh_lists,
    sources: tuple[Source, ...] | None = None,
    timeout: float = PLAN_SECONDS,
) -> BootstrapPlan:
    """The packages and all they depend on, with exact versions and hashes, from the host's archives, or from
    `sources`.

    Raises InputError for names that the archive does not have, SurroundingsError where there is no
    apt, no archive, no trusted signature, no space, or no answer in time.
    """
    check_request(codename=codename, architecture=architecture, packages=tuple(packages))
    asked = find_sources(codename) if sources is None else sources
    deadline = start_deadline("asking the OS archive", timeout)
    # apt removes the lists of what it is not asked for.
    directory = cache / "apt" / f"{codename}-{architecture}{'' if sources is None else '-dated'}"
    with disk_errors(directory), hold_lock(directory, deadline):
        state = apt.prepare_state(
            directory, sources=asked, architecture=architecture, reaching=load_reaching_config()
        )
        refresh(state, deadline)
        resolved = apt.resolve_packages(state, packages, deadline)
    return BootstrapPlan(codename=codename, architecture=architecture, packages=resolved)
