"""Reading .deb files: control data, and the files they bring, without installing anything.

In Python, not by `dpkg -x`, so that owners, setuid bits and hard links arrive in the image whoever
runs this, under whatever umask.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from cudaforge.bootstrap.tree import Entry, Kind, Stored
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.records import record

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
}
_DECOMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".bz2": bz2.decompress,
    ".zst": zstd.decompress,
}
_BROKEN = (
    *(KeyError, ValueError, EOFError),
    *(tarfile.TarError, lzma.LZMAError, gzip.BadGzipFile, zstd.ZstdError),
)


@record()
class Deb:
    """A .deb, read. The contents of its files stay on disk."""

    control: Mapping[str, bytes]
    """The control files by name: `control`, `postinst`, `md5sums`, ..."""
    entries: tuple[Entry, ...]


def read_deb(content: bytes, *, name: str, scratch: Path) -> Deb:
    """Read a .deb; its data is unpacked into a file below `scratch`, to which the entries refer.

    Raises SurroundingsError for a file that is no .deb.
    """
    try:
        members = dict(parse_ar(content))
        control = _decompress(members, "control.tar", scratch / f"{name}.control")
        data = _decompress(members, "data.tar", scratch / f"{name}.data")
        return Deb(control=_read_control(control), entries=tuple(_read_entries(data)))
    except _BROKEN as error:
        raise _unreadable(name, error) from error


def read_control(path: Path) -> str:
    """The control data of a .deb, without reading the rest of it.

    Raises SurroundingsError for a file that is no .deb.
    """
    try:
        with path.open("rb") as file:
            name, packed = _find_member(file, "control.tar")
        unpacked = _DECOMPRESSORS[name.removeprefix("control.tar")](packed)
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as tar:
            for member in tar:
                file_in = tar.extractfile(member) if _clean(member.name) == "control" else None
                if file_in is not None:
                    return file_in.read().decode("utf-8", "surrogateescape")
        raise ValueError("there is no control file in it")
    except (OSError, *_BROKEN) as error:
        raise _unreadable(path.name, error) from error


def _find_member(file: BinaryIO, stem: str) -> tuple[str, bytes]:
    """Name and content of a member of an ar archive, known by the start of its name."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("not an ar archive")
    while len(header := file.read(_HEADER_BYTES)) == _HEADER_BYTES:
        name, size = _member_name(header), int(header[48:58])
        if name == stem or name.startswith(f"{stem}."):
            content = file.read(size)
            if len(content) != size:
                raise ValueError("the ar archive is cut off")
            return name, content
        file.seek(size + size % 2, os.SEEK_CUR)
    raise ValueError(f"there is no {stem} in it")


def _member_name(header: bytes) -> str:
    return header[:16].decode("ascii").strip().rstrip("/")


def _unreadable(name: str, error: Exception) -> SurroundingsError:
    return SurroundingsError(Problem(what=f"the package {name} cannot be read: {error}"))


def parse_ar(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """The members of an ar archive. Raises ValueError for anything else."""
    if not archive.startswith(_MAGIC):
        raise ValueError("not an ar archive")
    position = len(_MAGIC)
    while position + _HEADER_BYTES <= len(archive):
        header = archive[position : position + _HEADER_BYTES]
        start, size = position + _HEADER_BYTES, int(header[48:58])
        if start + size > len(archive):
            raise ValueError("the ar archive is cut off")
        yield _member_name(header), archive[start : start + size]
        position = start + size + size % 2


def _decompress(members: Mapping[str, bytes], stem: str, into: Path) -> Path:
    name = next((name for name in members if name == stem or name.startswith(f"{stem}.")), None)
    if name is None:
        raise ValueError(f"there is no {stem} in it")
    suffix = name.removeprefix(stem)
    into.write_bytes(_DECOMPRESSORS[suffix](members[name]))
    return into


def _read_control(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive, "r:") as tar:
        files = ((member, tar.extractfile(member)) for member in tar if member.isreg())
        return {_clean(member.name): file.read() for member, file in files if file is not None}


def _read_entries(archive: Path) -> Iterator[Entry]:
    with tarfile.open(archive, "r:", encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            path = _clean(member.name)
            if path:
                yield _read_entry(member, path, archive)


def _read_entry(member: tarfile.TarInfo, path: str, archive: Path) -> Entry:
    kind = _KINDS.get(member.type)
    if kind is None:
        raise ValueError(f"{path} is neither file, directory nor link")
    stored = Stored(file=archive, offset=member.offset_data, size=member.size)
    return Entry(
        path=path,
        kind=kind,
        mode=member.mode & 0o7777,
        uid=member.uid,
        gid=member.gid,
        mtime=int(member.mtime),
        target=_clean(member.linkname) if kind is Kind.HARDLINK else member.linkname,
        content=stored if kind is Kind.FILE else b"",
    )


def _clean(name: str) -> str:
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ValueError(f"{name} leaves the package")
    return "/".join(parts)
