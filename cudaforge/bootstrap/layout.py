"""Writing a tree as an OCI image layout with one layer, the same bytes for the same tree."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from cudaforge.bootstrap.model import BootstrapImage
from cudaforge.bootstrap.tree import Entry, Kind, Stored
from cudaforge.records import record

_MEDIA = "application/vnd.oci.image"
_LAYOUT = {"imageLayoutVersion": "1.0.0"}
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CHUNK = 1 << 20
_BLOCK = 512
_RECORD = 20 * _BLOCK
_TYPES = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARDLINK: tarfile.LNKTYPE,
}


@record()
class _Descriptor:
    media_type: str
    digest: str
    size: int

    def dump(self) -> dict[str, object]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def write_layout(directory: Path, entries: Sequence[Entry], *, architecture: str) -> str:
    """Write the image into an empty directory and return its manifest's digest.

    The layer is not compressed: what a compressor makes differs between its versions, and the
    engine unpacks the layer on the same machine.
    """
    created = max((entry.mtime for entry in entries), default=0)
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layer = _write_blob(blobs, f"{_MEDIA}.layer.v1.tar", tar_stream(entries))
    config = _write_json(blobs, f"{_MEDIA}.config.v1+json", _config(layer, architecture, created))
    manifest = _write_json(
        blobs,
        f"{_MEDIA}.manifest.v1+json",
        {
            "schemaVersion": 2,
            "mediaType": f"{_MEDIA}.manifest.v1+json",
            "config": config.dump(),
            "layers": [layer.dump()],
        },
    )
    platform = {"platform": {"architecture": architecture, "os": "linux"}}
    index = {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.index.v1+json",
        "manifests": [{**manifest.dump(), **platform}],
    }
    (directory / "oci-layout").write_bytes(_json(_LAYOUT))
    (directory / "index.json").write_bytes(_json(index))
    return manifest.digest


def find_image(directory: Path) -> BootstrapImage | None:
    """The image that `write_layout` or an engine put there, or None where one of its files is missing or cut
    off. Of an index of several platforms those count that are there at all."""
    try:
        index = json.loads((directory / "index.json").read_bytes())
        digest = index["manifests"][0]["digest"]
        parts = [index["manifests"][0], *_parts(directory, digest)]
        complete = all(_blob(directory, part["digest"]).stat().st_size == part["size"] for part in parts)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    size = sum(part["size"] for part in parts)
    return BootstrapImage(layout=directory, digest=digest, size=size) if complete else None


def _parts(directory: Path, digest: str) -> list[dict[str, Any]]:
    document = json.loads(_blob(directory, digest).read_bytes())
    if "manifests" not in document:
        return [document["config"], *document["layers"]]
    there = [one for one in document["manifests"] if _blob(directory, one["digest"]).is_file()]
    if not there:
        raise LookupError(digest)
    return [part for one in there for part in (one, *_parts(directory, one["digest"]))]


def tar_stream(entries: Sequence[Entry]) -> Iterator[bytes]:
    """The entries as an uncompressed tar archive, in pieces."""
    written = 0
    for entry in entries:
        for piece in _member(entry):
            written += len(piece)
            yield piece
    yield bytes(2 * _BLOCK + -(written + 2 * _BLOCK) % _RECORD)


def _member(entry: Entry) -> Iterator[bytes]:
    info = tarfile.TarInfo(entry.path)
    info.type, info.linkname = _TYPES[entry.kind], entry.target
    info.mode, info.uid, info.gid, info.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
    info.size = _size(entry) if entry.kind is Kind.FILE else 0
    yield info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    if info.size:
        yield from _content(entry)
        yield bytes(-info.size % _BLOCK)


def _size(entry: Entry) -> int:
    return entry.content.size if isinstance(entry.content, Stored) else len(entry.content)


def _content(entry: Entry) -> Iterator[bytes]:
    if isinstance(entry.content, bytes):
        yield entry.content
        return
    left = entry.content.size
    with entry.content.file.open("rb") as file:
        file.seek(entry.content.offset)
        while left:
            piece = file.read(min(left, _CHUNK))
            if not piece:
                raise OSError(f"{entry.content.file} became shorter while it was read")
            left -= len(piece)
            yield piece


def _config(layer: _Descriptor, architecture: str, created: int) -> dict[str, object]:
    stamp = datetime.fromtimestamp(created, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "architecture": architecture,
        "os": "linux",
        "created": stamp,
        "config": {"Env": [_PATH], "Cmd": ["/bin/bash"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        "history": [{"created": stamp, "created_by": "cudaforge bootstrap"}],
    }


def _write_json(blobs: Path, media_type: str, value: object) -> _Descriptor:
    return _write_blob(blobs, media_type, iter([_json(value)]))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _write_blob(blobs: Path, media_type: str, pieces: Iterator[bytes]) -> _Descriptor:
    hashed, size = hashlib.sha256(), 0
    unnamed = blobs / ".new"
    with unnamed.open("wb") as file:
        for piece in pieces:
            _write_all(file, piece)
            hashed.update(piece)
            size += len(piece)
        file.flush()
        os.fsync(file.fileno())
    unnamed.rename(blobs / hashed.hexdigest())
    return _Descriptor(media_type=media_type, digest=f"sha256:{hashed.hexdigest()}", size=size)


def _write_all(file: BinaryIO, piece: bytes) -> None:
    if file.write(piece) != len(piece):
        raise OSError(f"{file.name}: a write was cut short")


def _blob(directory: Path, digest: str) -> Path:
    return directory / "blobs" / "sha256" / digest.removeprefix("sha256:")
