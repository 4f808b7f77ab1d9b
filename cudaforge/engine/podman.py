"""Podman: the program that works on the images of its service."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cudaforge import process
from cudaforge.engine.errors import PodmanUnusable
from cudaforge.engine.locate import EngineAddress
from cudaforge.engine.model import ImageFacts
from cudaforge.engine.needs import dotted
from cudaforge.engine.words import words_of
from cudaforge.errors import Problem
from cudaforge.records import record, replace

PROGRAM = "podman"
OLDEST_PODMAN = (4, 3)
"""The oldest that builds were tried with: Debian 12's."""
INFO_SECONDS = 60.0
EMULATORS = Path("/proc/sys/fs/binfmt_misc")
"""Where the kernel lists what it hands programs of other machines to."""
_HANDLERS = {"linux/amd64": "qemu-x86_64", "linux/arm64": "qemu-aarch64"}
# A variable of Podman's could make the program ask a service.
_LOCAL = (PROGRAM, "--remote=false")
_TEMPORARY = "/var/tmp"  # noqa: S108 -- nothing is written to that name itself
_NO_HOST = "localhost/"
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


@record()
class Store:
    """Where a Podman keeps images, and for whom."""

    root: str
    run_root: str
    driver: str
    is_rootless: bool

    @property
    def options(self) -> tuple[str, ...]:
        """The options that make the program work on this store."""
        return ("--root", self.root, "--runroot", self.run_root, "--storage-driver", self.driver)


@record()
class LocalPodman:
    """This machine's Podman on the images of a service."""

    words: tuple[str, ...]
    """Begin a command line."""
    containers: Path
    """Has a directory for each container, those of builds, too."""
    temporary: Path
    """Where builds write what they need for a while, and keep the caches of their steps."""


def short_names(image: ImageFacts) -> ImageFacts:
    """The image with its names as they were given: Podman puts a host before those that have none."""
    return replace(image, tags=tuple(tag.removeprefix(_NO_HOST) for tag in image.tags))


def remote_words(address: EngineAddress) -> tuple[str, ...]:
    """The words that begin a command line which the service carries out."""
    return (PROGRAM, "--url", address.host)


def find_local(address: EngineAddress, version: str) -> LocalPodman:
    """This machine's Podman on the images of its service, which is of this version.

    Builds are not left to the service: its client copies their secrets into the project for it.
    Raises PodmanUnusable where the program, or the service's store, is out of reach.
    """
    if not address.is_local:
        raise PodmanUnusable(
            Problem(
                what=f"images are built by the Podman of this machine, and {address.host} may be another",
                remedy="run cudaforge there, or set DOCKER_HOST to Podman's socket: unix://PATH",
            )
        )
    _check_version(version)
    try:
        told = _info(remote_words(address))
        theirs = parse_info(told.stdout)
        # Without options; it prints nothing where that does not work here.
        own = _info(_LOCAL).stdout
        ours = parse_info(own)
    except process.ProgramNotFound:
        raise PodmanUnusable(
            Problem(what="the program podman is not installed", remedy="install podman")
        ) from None
    if theirs is None:
        raise PodmanUnusable(
            Problem(
                what=f"the Podman service at {address.host} does not say where it keeps images",
                because=tuple(told.stderr.strip().splitlines()[-1:]),
                remedy=f"look at it: podman --url {address.host} info",
            )
        )
    if theirs.is_rootless != (os.geteuid() != 0):
        whose = "another user" if theirs.is_rootless else "root"
        raise PodmanUnusable(
            Problem(
                what=f"the Podman service at {address.host} is {whose}'s, and so are its images",
                remedy=f"use your own: {words_of(is_podman=True).install}",
            )
        )
    return LocalPodman(
        words=(*_LOCAL, *(() if ours == theirs else theirs.options)),
        containers=Path(theirs.root) / f"{theirs.driver}-containers",
        temporary=_temporary(own),
    )


def find_platforms(architecture: str, *, emulators: Path = EMULATORS) -> frozenset[str]:
    """The platforms whose programs a Podman of this machine runs, itself or emulated: `linux/arm64`."""
    emulated = (name for name, handler in _HANDLERS.items() if (emulators / handler).exists())
    return frozenset({f"linux/{architecture}", *emulated})


def _check_version(version: str) -> None:
    found = _VERSION.match(version)
    if found is not None and (int(found[1]), int(found[2])) < OLDEST_PODMAN:
        oldest = dotted(OLDEST_PODMAN)
        raise PodmanUnusable(
            Problem(
                what=f"the Podman service is of release {version}, and builds need {oldest} or newer",
                remedy="upgrade Podman, or build with Docker",
            )
        )


def parse_info(text: str) -> Store | None:
    """The store in what `podman info --format json` printed; None where it does not say."""
    try:
        document: Mapping[str, Any] = json.loads(text)
        store = document["store"]
        return Store(
            root=str(store["graphRoot"]),
            run_root=str(store["runRoot"]),
            driver=str(store["graphDriverName"]),
            is_rootless=document["host"]["security"]["rootless"] is True,
        )
    except (ValueError, LookupError, TypeError):
        return None


def _temporary(text: str) -> Path:
    """Where a program that prints this as its `info` writes; where it does not say, what it takes then."""
    try:
        said = json.loads(text)["store"]["imageCopyTmpDir"]
    except (ValueError, LookupError, TypeError):
        said = None
    usual = os.environ.get("TMPDIR") or _TEMPORARY
    return Path(said if isinstance(said, str) and said.startswith("/") else usual)


def _info(words: tuple[str, ...]) -> process.Completed:
    return process.run((*words, "info", "--format", "json"), timeout=INFO_SECONDS)
