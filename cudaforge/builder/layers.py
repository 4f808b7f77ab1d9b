"""What differs between two archives of one image: layer by layer, file by file."""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from cudaforge.errors import Problem, SurroundingsError
from cudaforge.records import record

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LARGEST_DOCUMENT = 16 * 1024 * 1024
_DEEPEST_INDEX = 4
_CHUNK = 1 << 20
_UNKNOWN = "unknown"


@record()
class ArchivedImage:
    """The one image of an OCI archive, or of what `docker save` wrote."""

    path: Path
    digest: str
    """Of its manifest."""
    config_digest: str
    config: Mapping[str, Any]
    layers: tuple[Mapping[str, Any], ...]
    """Descriptors, the lowest layer first."""

    @property
    def steps(self) -> tuple[str, ...]:
        """What made each layer, as the image's history tells."""
        history = self.config.get("history") or ()
        return tuple(str(one.get("created_by", "")) for one in history if not one.get("empty_layer"))


@record()
class _Entry:
    """What a layer says of one path."""

    kind: str
    mode: int
    owner: tuple[int, int]
    time: float
    size: int
    link: str
    content: str


def read_archived(path: Path) -> ArchivedImage:
    """The image of an archive. Raises SurroundingsError for a file that is none."""
    try:
        with tarfile.open(path, "r:") as archive:
            descriptor = _find_manifest(archive, _load(archive, "index.json"))
            manifest = _load(archive, _blob(descriptor["digest"]))
            return ArchivedImage(
                path=path,
                digest=str(descriptor["digest"]),
                config_digest=str(manifest["config"]["digest"]),
                config=_load(archive, _blob(manifest["config"]["digest"])),
                layers=tuple(manifest["layers"]),
            )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, tarfile.TarError) as error:
        raise _unreadable(path, error) from None


def compare_archived(first: ArchivedImage, second: ArchivedImage) -> tuple[str, ...]:
    """Every difference in words, `first` before `second`: of files, by layer, then of the configuration.

    Empty for equal images. Raises SurroundingsError for an archive that cannot be read.
    """
    found = list(_compare_layers(first, second))
    found += _compare_configs(first.config, second.config)
    if not found and first.digest != second.digest:
        found.append("the same files and settings, compressed or described in another way")
    return tuple(found)


def _compare_layers(first: ArchivedImage, second: ArchivedImage) -> Iterator[str]:
    if len(first.layers) != len(second.layers):
        yield f"number of layers: {len(first.layers)}, then {len(second.layers)}"
    steps = first.steps
    for number, pair in enumerate(zip(first.layers, second.layers, strict=False)):
        if pair[0]["digest"] == pair[1]["digest"]:
            continue
        before, after = _read_layer(first, pair[0]), _read_layer(second, pair[1])
        step = f" ({steps[number][:60]})" if number < len(steps) else ""
        for difference in _compare_entries(before, after):
            yield f"layer {number + 1}{step}: {difference}"


def _compare_entries(first: Mapping[str, _Entry], second: Mapping[str, _Entry]) -> Iterator[str]:
    for path in sorted({*first, *second}):
        before, after = first.get(path), second.get(path)
        if before is None or after is None:
            yield f"/{path}: only in the {'second' if before is None else 'first'}"
        elif before != after:
            yield f"/{path}: {', '.join(_words(before, after))}"
    if list(first) != list(second) and set(first) == set(second):
        yield "the files are in another order"


def _words(before: _Entry, after: _Entry) -> Iterator[str]:
    for name in ("kind", "mode", "owner", "time", "size", "link"):
        one, other = getattr(before, name), getattr(after, name)
        if one != other:
            yield f"{name} {_shown(name, one)}, then {_shown(name, other)}"
    if before.content != after.content and before.size == after.size:
        yield "other content"


def _shown(name: str, value: object) -> str:
    return f"{value:o}" if name == "mode" else str(value)


def _compare_configs(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in sorted({*first, *second}):
        before, after = first.get(key), second.get(key)
        if key == "rootfs" or before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _compare_configs(before, after, f"{prefix}{key}.")
        else:
            yield f"configuration: {prefix}{key} differs"


def _read_layer(image: ArchivedImage, descriptor: Mapping[str, Any]) -> Mapping[str, _Entry]:
    """The layer's entries by path, in its order."""
    entries: dict[str, _Entry] = {}
    media_type = str(descriptor.get("mediaType"))
    try:
        with (
            tarfile.open(image.path, "r:") as archive,
            _unpacked(_open(archive, _blob(descriptor["digest"])), media_type) as packed,
            tarfile.open(fileobj=packed, mode="r|", errorlevel=0) as layer,
        ):
            for member in layer:
                layer.members = []  # type: ignore[attr-defined]  # else it keeps every name; typeshed leaves it out
                entries[member.name.removeprefix("./").rstrip("/")] = _entry(layer, member)
    except (OSError, EOFError, ValueError, LookupError, tarfile.TarError, zstd.ZstdError) as error:
        raise _unreadable(image.path, error) from None
    return entries


def _entry(layer: tarfile.TarFile, member: tarfile.TarInfo) -> _Entry:
    content = layer.extractfile(member) if member.isreg() else None
    return _Entry(
        kind=member.type.decode("ascii", "replace"),
        mode=member.mode,
        owner=(member.uid, member.gid),
        time=member.mtime,
        size=member.size,
        link=member.linkname,
        content=_hash(content) if content is not None else "",
    )


def _hash(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _unpacked(blob: IO[bytes], media_type: str) -> IO[bytes]:
    if media_type.endswith("+zstd"):
        return zstd.ZstdFile(blob)  # type: ignore[return-value]  # it reads as one
    if media_type.endswith(("+gzip", ".gzip")):
        import gzip

        return gzip.GzipFile(fileobj=blob)  # type: ignore[return-value]  # it reads as one
    return blob


def _find_manifest(archive: tarfile.TarFile, index: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(_DEEPEST_INDEX):
        listed: Mapping[str, Any] = next(
            one
            for one in index["manifests"]
            if (one.get("platform") or {}).get("architecture") != _UNKNOWN  # attestations
        )
        if not str(listed.get("mediaType", "")).endswith((".index.v1+json", ".manifest.list.v2+json")):
            return listed
        index = _load(archive, _blob(listed["digest"]))
    raise ValueError("its index has too many levels")


def _load(archive: tarfile.TarFile, name: str) -> Any:  # noqa: ANN401 -- JSON
    content = _open(archive, name).read(_LARGEST_DOCUMENT + 1)
    if len(content) > _LARGEST_DOCUMENT:
        raise ValueError(f"{name} is too large")
    return json.loads(content)


def _open(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file")
    return file


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _unreadable(path: Path, error: Exception) -> SurroundingsError:
    return SurroundingsError(
        Problem(
            what=f"{path.name}, written by the engine, cannot be read as an image",
            because=(f"{type(error).__name__}: {error}",),
            remedy="see that there is space on the disk, and try again",
        )
    )
