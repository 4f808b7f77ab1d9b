"""Fetching the wheels of a lock into a directory, each under its SHA-256."""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit

from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.files import copy_atomically, hash_file, write_error
from cudaforge.packages.addresses import credentials_of, host_of
from cudaforge.packages.fetch import Place, find_places
from cudaforge.packages.model import LockedWheel
from cudaforge.packages.site import Site

WHEEL_SECONDS = 3600.0
"""What one wheel may take, retries included."""
_PART = 64 * 1024 * 1024
_LARGEST_AT_ONCE = 512 * 1024 * 1024
"""What a server may send that does not serve parts of files."""
_OK, _PARTIAL = 200, 206
_TOTAL = re.compile(r"bytes \d{1,18}-\d{1,18}/(\d{1,18})")


def wheel_file(directory: Path, wheel: LockedWheel) -> Path:
    """Where a collected wheel lies."""
    return directory / "wheels" / wheel.sha256 / wheel.filename


def collect_wheels(
    wheels: Sequence[LockedWheel],
    directory: Path,
    *,
    python: str,
    indexes: Mapping[str, str],
    site: Site,
    own: Path,
    on_damaged: Callable[[Path], None] = lambda _: None,
) -> tuple[Place, ...]:
    """Put every wheel that is installed as it is into the directory, checked against the lock; what is there
    is kept. The places of what is built from a source, which is not fetched here, are returned. `on_damaged`
    is told of files that are there, are not the locked ones, and are fetched anew.

    Raises what finding a closure's places raises, and SurroundingsError where a download fails.
    """
    installed = [wheel for wheel in wheels if not wheel.is_built]
    missing = [wheel for wheel in installed if not _is_there(wheel, directory)]
    for path in (wheel_file(directory, wheel) for wheel in missing):
        if path.is_file():
            on_damaged(path)
    built = [wheel for wheel in wheels if wheel.is_built]
    places = find_places([*missing, *built], python=python, indexes=indexes, site=site, own=own)
    for place in places:
        if not place.wheel.is_built:
            _collect(place, wheel_file(directory, place.wheel), site)
    return tuple(place for place in places if place.wheel.is_built)


def _is_there(wheel: LockedWheel, directory: Path) -> bool:
    path = wheel_file(directory, wheel)
    return path.is_file() and hash_file(path) == wheel.sha256


def _collect(place: Place, target: Path, site: Site) -> None:
    if place.path is not None:
        if not copy_atomically(place.path, target, sha256=place.wheel.sha256):
            raise _other(place.wheel, str(place.path))
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name[:100]}.") as file:
            _download(place, file, site)
            file.flush()
            if hash_file(Path(file.name)) != place.wheel.sha256:
                raise _other(place.wheel, host_of(place.address))
            Path(file.name).chmod(0o644)
            target.unlink(missing_ok=True)
            target.hardlink_to(file.name)
    except OSError as error:
        raise write_error(target, error) from None


def _download(place: Place, file: IO[bytes], site: Site) -> None:
    """In parts, so that no wheel has to fit into memory."""
    from cudaforge.web import Client

    address, headers = _authorized(place.address)
    client = Client(
        timeout=WHEEL_SECONDS, run_timeout=WHEEL_SECONDS, ca_bundle=site.ca_bundle, proxies=site.proxies
    )
    start, total = 0, 1
    while start < total:
        wanted = {**headers, "Range": f"bytes={start}-{start + _PART - 1}"}
        answer = client.get(address, headers=wanted, max_body=_PART)
        if answer.status == _OK and start == 0:
            answer = client.get(address, headers=headers, max_body=_LARGEST_AT_ONCE)
            file.write(answer.body)
            return
        match = _TOTAL.fullmatch(answer.headers.get("content-range", ""))
        if answer.status != _PARTIAL or match is None or not answer.body:
            raise SurroundingsError(
                Problem(
                    what=f"{host_of(address)} does not give {place.wheel.filename}: status {answer.status}",
                    remedy="try again: what was fetched is kept",
                )
            )
        file.write(answer.body)
        start += len(answer.body)
        total = int(match[1])


def _authorized(address: str) -> tuple[str, dict[str, str]]:
    credentials = credentials_of(address)
    if credentials is None:
        return address, {}
    parts = urlsplit(address)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return plain, {"Authorization": "Basic " + base64.b64encode(unquote(credentials).encode()).decode()}


def _other(wheel: LockedWheel, where: str) -> NegativeAnswer:
    return NegativeAnswer(
        Problem(
            what=f"{wheel.filename} is another file here than the one that was locked",
            because=(f"locked: sha256 {wheel.sha256}", f"{where} has another one"),
            remedy="use the index that was locked from, or lock again: cudaforge upgrade",
        )
    )
