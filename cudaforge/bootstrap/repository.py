"""A local archive of .deb files, from which apt inside a build installs without a network."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from cudaforge.bootstrap.cache import disk_errors
from cudaforge.bootstrap.deb import read_control
from cudaforge.bootstrap.model import FIELDS
from cudaforge.bootstrap.sources import parse_stanzas
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.files import hash_file
from cudaforge.records import record

# What an index says of a file beyond what its package says of itself.
_OF_THE_INDEX = frozenset({"filename", "size", "md5sum", "sha1", "sha256", "sha512"})
_POOL = "pool"
_KEY_LENGTH = 16
_DIRECTORY_MODE = 0o755
_FILE_MODE = 0o644
"""apt reads as a user of its own, and engines keep the modes of what they are given."""


@record()
class CollectedDeb:
    """One .deb that was collected, as its own control data and its bytes have it."""

    name: str
    version: str
    architecture: str
    """`amd64`, `all`."""
    sha256: str
    size: int


def describe_deb(path: Path) -> CollectedDeb:
    """What a file is. Raises SurroundingsError where it is no .deb, or has a name that none can have."""
    fields = _parse_control(read_control(path), path.name)
    found = CollectedDeb(
        name=fields.get("package", ""),
        version=fields.get("version", ""),
        architecture=fields.get("architecture", ""),
        sha256=hash_file(path),
        size=path.stat().st_size,
    )
    if not is_sound(found):
        raise SurroundingsError(
            Problem(what=f"the package {path.name} cannot be used: its name or version is malformed")
        )
    return found


def is_sound(deb: CollectedDeb) -> bool:
    """Whether every value is one that a package can have: what was written down may have been edited."""
    names = ("name", "version", "architecture", "sha256")
    return deb.size > 0 and all(FIELDS[name].fullmatch(getattr(deb, name)) for name in names)


def write_repository(debs: Mapping[CollectedDeb, Path], directory: Path, *, seen_as: str) -> str:
    """Put the files into `directory` with an index of them, and say by which line of a `sources.list` apt
    takes them, where it sees the directory as `seen_as`.

    The line trusts the index: nothing signs it, so whoever calls has to know the files by their hashes. They
    are hashed here once more, in the place that apt reads them from. Raises SurroundingsError.
    """
    pool = directory / _POOL
    ordered = sorted(debs, key=lambda deb: (deb.name, deb.version, deb.architecture, deb.sha256))
    with disk_errors(directory):
        pool.mkdir(parents=True)
        stanzas = [_add(deb, debs[deb], pool) for deb in ordered]
        index = "\n".join(stanzas).encode("utf-8", "surrogateescape")
        key = hashlib.sha256(index).hexdigest()
        # apt keeps what it has read under the path: another index needs another one.
        suite = directory / key[:_KEY_LENGTH]
        suite.mkdir()
        (suite / "Packages").write_bytes(index)
        (suite / "Release").write_text(_release(suite.name, key, len(index), ordered), encoding="utf-8")
        for path in (directory, pool, suite):
            path.chmod(_DIRECTORY_MODE)
        for path in suite.iterdir():
            path.chmod(_FILE_MODE)
    return f"deb [trusted=yes] file:{seen_as} {suite.name}/\n"


def _add(deb: CollectedDeb, source: Path, pool: Path) -> str:
    """The stanza of a file that is put into the pool, where nobody else's name for it counts."""
    target = pool / f"{deb.sha256}.deb"
    if not target.exists():
        _link(source, target)
    if hash_file(target) != deb.sha256:
        raise SurroundingsError(Problem(what=f"{source} changed while it was used", remedy="try again"))
    own = _without_index_fields(read_control(target))
    return f"{own}\nFilename: {_POOL}/{target.name}\nSize: {deb.size}\nSHA256: {deb.sha256}\n"


def _without_index_fields(control: str) -> str:
    kept: list[str] = []
    is_kept = True
    for line in control.split("\n"):  # as apt counts lines
        if not line.startswith((" ", "\t")):
            is_kept = line.partition(":")[0].lower() not in _OF_THE_INDEX
        if is_kept and line.strip():
            kept.append(line)
    return "\n".join(kept)


def _parse_control(control: str, name: str) -> Mapping[str, str]:
    stanzas = list(parse_stanzas(control))
    if len(stanzas) != 1:
        raise SurroundingsError(Problem(what=f"the package {name} cannot be read: it describes itself oddly"))
    return stanzas[0]


def _release(suite: str, sha256: str, size: int, debs: Iterable[CollectedDeb]) -> str:
    architectures = " ".join(sorted({deb.architecture for deb in debs} - {"all"}))
    return (
        f"Suite: {suite}\nDate: Thu, 01 Jan 1970 00:00:00 UTC\nArchitectures: {architectures}\n"
        f"SHA256:\n {sha256} {size} Packages\n"
    )


def _link(source: Path, target: Path) -> None:
    try:
        if not source.stat().st_mode & stat.S_IROTH:
            raise PermissionError
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
        target.chmod(_FILE_MODE)
