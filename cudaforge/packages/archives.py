"""Fetching the archives of standalone Pythons into the cache, where each lies under its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.files import hash_file, held_lock, write_bytes_atomically
from cudaforge.packages.addresses import host_of
from cudaforge.packages.model import LockedPython, PythonArchive
from cudaforge.packages.site import Site

DEADLINE = 900.0
"""Seconds that one download may take, retries included."""
LARGEST = 256 * 1024 * 1024
"""Bytes that an archive may have: several times of what they have."""
_FOUND = 200
_ABSENT = (404, 410)


def fetch_python(
    python: LockedPython | None,
    platform: str,
    *,
    site: Site,
    feeds: Mapping[str, str],
    cache: Path,
    deadline: float = DEADLINE,
    largest: int = LARGEST,
) -> Path:
    """The archive of a locked Python for a platform, from the cache or else from where this site has it.

    `feeds` has the public addresses of what the lock names. Raises NegativeAnswer where the file of that name
    is another one than the locked, SurroundingsError where the site does not give it.
    """
    archive = python.find_archive(platform) if python is not None else None
    if python is None or archive is None:
        raise NegativeAnswer(
            Problem(what=f"the lock has no archive of Python for {platform}", remedy="cudaforge lock")
        )
    path = cache / "pythons" / f"{archive.sha256}.tar.gz"
    with held_lock(path.with_name(f"{archive.sha256}.lock"), timeout=deadline, on_wait=_say_nothing):
        if _is_whole(path, archive):
            return path
        if site.offline:
            raise SurroundingsError(
                Problem(
                    what=f"{_name(archive)} is not in the cache, and nothing may be downloaded",
                    remedy="run once without --offline",
                )
            )
        address = _address(python, archive, site, feeds)
        content = _read(address, site, archive, deadline=deadline, largest=largest)
        _check(content, archive, address)
        write_bytes_atomically(path, content)
    return path


def _say_nothing(_: str) -> None:
    """Another build of this run may well be fetching it."""


def _is_whole(path: Path, archive: PythonArchive) -> bool:
    try:
        return hash_file(path) == archive.sha256
    except OSError:
        return False


def _address(python: LockedPython, archive: PythonArchive, site: Site, feeds: Mapping[str, str]) -> str:
    root = site.python_mirror or feeds.get(python.feed)
    if root is None:
        raise SurroundingsError(
            Problem(
                what=f"no address is known for {python.feed}, which Python {python.version} comes from",
                remedy="name a mirror of it: [network] python_mirror, or UV_PYTHON_INSTALL_MIRROR",
            )
        )
    return f"{root.rstrip('/')}/{quote(archive.path)}"


def _read(address: str, site: Site, archive: PythonArchive, *, deadline: float, largest: int) -> bytes:
    if address.startswith("file:"):
        return _read_file(Path(unquote(urlsplit(address).path)), archive, site, largest=largest)
    from cudaforge.web import Client, Unreachable

    client = Client(timeout=deadline, run_timeout=deadline, ca_bundle=site.ca_bundle, proxies=site.proxies)
    try:
        answer = client.get(address, max_body=largest)
    except Unreachable as error:
        raise _not_given(archive, site, *(problem.what for problem in error.problems)) from None
    if answer.status == _FOUND:
        return answer.body
    what = "does not have" if answer.status in _ABSENT else f"answered with status {answer.status} for"
    raise _not_given(archive, site, f"{host_of(address)} {what} {archive.path}")


def _read_file(path: Path, archive: PythonArchive, site: Site, *, largest: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise _not_given(archive, site, f"{path}: {error.strerror}") from None
    if len(content) > largest:
        raise _not_given(archive, site, f"{path} is larger than {largest} bytes")
    return content


def _not_given(archive: PythonArchive, site: Site, *because: str) -> SurroundingsError:
    mirror = site.origins.get("python_mirror")
    remedy = (
        f"see that the mirror that {mirror} names has it"
        if mirror is not None
        else "name a mirror that has it: [network] python_mirror, or UV_PYTHON_INSTALL_MIRROR"
    )
    return SurroundingsError(Problem(what=f"{_name(archive)} cannot be had", because=because, remedy=remedy))


def _check(content: bytes, archive: PythonArchive, address: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != archive.sha256:
        raise NegativeAnswer(
            Problem(
                what=f"{_name(archive)} is another file here than the one that was locked",
                because=(
                    f"locked: sha256 {archive.sha256}",
                    f"{host_of(address)} has: sha256 {found}",
                ),
                remedy="use a mirror that has the published file, or lock again: cudaforge upgrade",
            )
        )


def _name(archive: PythonArchive) -> str:
    return archive.path.rpartition("/")[2]
