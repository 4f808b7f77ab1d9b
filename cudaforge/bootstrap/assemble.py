"""Turning a plan into a base image: the same plan gives the same bytes, on any host."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from cudaforge.bootstrap.cache import build_directory, disk_errors, hold_lock, scratch_directory
from cudaforge.bootstrap.configure import EXCLUDED, configure
from cudaforge.bootstrap.deadline import Deadline, start_deadline
from cudaforge.bootstrap.deb import Deb, read_deb
from cudaforge.bootstrap.download import fetch_missing, load_package
from cudaforge.bootstrap.dpkg import add_alternatives, add_database
from cudaforge.bootstrap.layout import find_image, write_layout
from cudaforge.bootstrap.model import (
    BootstrapImage,
    BootstrapPackage,
    BootstrapPlan,
    check_plan,
    oci_architecture,
    plan_key,
)
from cudaforge.bootstrap.tree import Tree, keep_entries
from cudaforge.errors import Problem, SurroundingsError

ASSEMBLE_SECONDS = 900.0
# Part of the cache's key, so that a newer cudaforge does not hand out what an older one made. Change it with
# anything that changes the image's bytes; locks made before then ask to be renewed.
RECIPE = 1


def assemble_bootstrap(
    plan: BootstrapPlan,
    *,
    cache: Path,
    fetch: Callable[[BootstrapPlan, Path, Deadline], None] = fetch_missing,
    timeout: float = ASSEMBLE_SECONDS,
) -> BootstrapImage:
    """The base that the plan describes, from the cache or made now.

    Raises InputError for a plan that no archive can have given, PackagesGone for packages that the archive
    has no longer, SurroundingsError for those that cannot be fetched, a full disk, or a host too slow for
    `timeout` seconds. Leaves nothing half-made.
    """
    check_plan(plan)
    place = cache / "bases" / f"{plan_key(plan)}-{RECIPE}"
    known = find_image(place)
    if known is not None:
        return known
    deadline = start_deadline("bootstrapping a base", timeout)
    with disk_errors(cache), hold_lock(place, deadline):
        known = find_image(place)
        if known is not None:
            return known
        fetch(plan, cache, deadline)
        unpacked = place.with_name(f".{place.name}.debs")
        with build_directory(place) as layout, scratch_directory(unpacked) as scratch:
            tree = build_tree(_read_debs(plan, cache, scratch), architecture=plan.architecture)
            write_layout(layout, tree.finished(), architecture=oci_architecture(plan.architecture))
    made = find_image(place)
    if made is None:
        raise SurroundingsError(Problem(what=f"the base in {place} vanished while it was being made"))
    return made


def build_tree(debs: tuple[Deb, ...], *, architecture: str) -> Tree:
    """The root file system that these packages make, installed and configured."""
    tree = Tree()
    for deb in debs:
        for entry in keep_entries(deb.entries, EXCLUDED):
            tree.add(entry)
    add_alternatives(tree, debs)
    add_database(tree, debs)
    configure(tree, architecture=architecture)
    return tree


def _read_debs(plan: BootstrapPlan, cache: Path, scratch: Path) -> tuple[Deb, ...]:
    def read(package: BootstrapPackage) -> Deb:
        content = load_package(cache, package)
        return read_deb(content, name=package.name, scratch=scratch)

    with _threads() as threads:
        return tuple(threads.map(read, plan.packages))


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    threads = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    try:
        yield threads
    finally:
        # After Ctrl-C the packages that wait their turn are not read any more.
        threads.shutdown(wait=True, cancel_futures=True)
