"""Measuring what is installed in an image, from its files alone."""

from __future__ import annotations

import csv
import io
import re
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from typing import IO, Protocol

from cudaforge.errors import Problem, SurroundingsError
from cudaforge.measurer.collector import LIBRARY, Collector, Naming
from cudaforge.measurer.metadata import Metadata, parse_metadata
from cudaforge.measurer.model import Measured
from cudaforge.measurer.readable import Malformed, OpenFile
from cudaforge.measurer.tags import naming_of
from cudaforge.measurer.tells import TELLERS
from cudaforge.records import record, replace

_INFO = re.compile(
    r"(?P<info>(?P<root>.*/(?:site|dist)-packages)/[^/]+\.dist-info)/(?P<file>METADATA|RECORD|WHEEL)",
    re.DOTALL,
)
_PYTHON = re.compile(r"/python(3\.\d+t?)/")
_TAG = re.compile(r"Tag:[ \t]*(\S+)")
_LARGEST_TEXT = 32 * 1024 * 1024
_LARGEST_LIBRARY = 16 * 1024**3
_COPIED = 1024 * 1024


class ImageFiles(Protocol):
    """An image, as tar streams: `cudaforge.engine.ImageFilesystem` is one."""

    def export(self) -> Iterator[bytes]:
        """All of it."""

    def archive(self, path: str) -> Iterator[bytes]:
        """A file, or a directory with all that is in it; nothing where there is none."""


@record()
class _Installed:
    """One package, as its .dist-info says."""

    root: str
    metadata: Metadata
    beside: tuple[str, ...]
    naming: Naming
    tops: tuple[str, ...]
    """What it has of libraries and files that tell, by the first part of their paths."""


def measure_image(
    files: ImageFiles, name: str, packages: Collection[str], *, platform: str
) -> tuple[Measured, ...]:
    """Those of some packages (normalised names) that are installed in an image and hold binaries.

    Platform and Python are those of the image where the package itself names none. Nothing of the image
    is run, and no more than one of its libraries is kept on this disk at a time. Raises SurroundingsError
    where the engine sends what is no archive.
    """
    try:
        return tuple(_measure(files, one) for one in _installed(files, name, packages, platform))
    except (tarfile.TarError, EOFError) as error:
        raise SurroundingsError(
            Problem(what=f"the engine sent broken content of {name} ({type(error).__name__})")
        ) from None


def _installed(files: ImageFiles, name: str, packages: Collection[str], platform: str) -> list[_Installed]:
    texts: dict[str, dict[str, str]] = {}
    roots: dict[str, str] = {}
    for path, member, content in _members(files.export()):
        match = _INFO.fullmatch(f"/{path}")
        if match is not None and member.size <= _LARGEST_TEXT:
            texts.setdefault(match["info"], {})[match["file"]] = content.read().decode("utf-8", "replace")
            roots[match["info"]] = match["root"]
    described = {info: _metadata(known.get("METADATA", "")) for info, known in texts.items()}
    wanted = {info: one for info, one in described.items() if one is not None and one.name in packages}
    found = []
    for info, metadata in sorted(wanted.items(), key=lambda item: item[0]):
        beside = sorted({one.name for other, one in wanted.items() if roots[other] == roots[info]})
        found.append(_described(name, roots[info], platform, metadata, texts[info], tuple(beside)))
    return [one for one in found if one is not None]


def _metadata(text: str) -> Metadata | None:
    try:
        return parse_metadata(text)
    except Malformed:
        return None


def _described(
    name: str,
    root: str,
    platform: str,
    metadata: Metadata,
    texts: dict[str, str],
    beside: tuple[str, ...],
) -> _Installed | None:
    """None where it holds nothing that could be read, or does not say what it holds."""
    naming = naming_of(f"{name}: {root}", _TAG.findall(texts.get("WHEEL", "")), size=None)
    tops = {top for top in _tops(texts.get("RECORD", "")) if top not in ("", ".", "..")}
    if not tops:
        return None
    python = _PYTHON.search(root)
    naming = replace(
        naming,
        platforms=naming.platforms or (platform,),
        pythons=naming.pythons or ((python[1],) if python else ()),
    )
    return _Installed(root=root, metadata=metadata, beside=beside, naming=naming, tops=tuple(sorted(tops)))


def _tops(listing: str) -> Iterator[str]:
    try:
        for row in csv.reader(io.StringIO(listing)):
            if row and (row[0] in TELLERS or LIBRARY.fullmatch(row[0])):
                yield row[0].partition("/")[0]
    except csv.Error:
        return


def _measure(files: ImageFiles, package: _Installed) -> Measured:
    collector = Collector()
    for top in package.tops:
        for path, member, content in _members(files.archive(f"{package.root}/{top}")):
            if path in TELLERS and member.size <= _LARGEST_TEXT:
                collector.add_text(path, content.read().decode("utf-8", "replace"))
            elif LIBRARY.fullmatch(path):
                _add_library(collector, path, member, content)
    return replace(collector.finish(package.metadata, package.naming), installed=package.beside)


def _add_library(collector: Collector, path: str, member: tarfile.TarInfo, content: IO[bytes]) -> None:
    if member.size > _LARGEST_LIBRARY:
        collector.skip_library(path, member.size)
        return
    with tempfile.TemporaryFile(prefix="cudaforge-") as copy:
        while chunk := content.read(_COPIED):
            copy.write(chunk)
        collector.add_library(path, OpenFile(copy))


def _members(chunks: Iterator[bytes]) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes]]]:
    """The plain files of a tar stream, with their paths."""
    stream = _Stream(chunks)
    if stream.is_empty:
        return
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # else it keeps every name; typeshed leaves it out
            content = archive.extractfile(member) if member.isreg() else None
            if content is not None:
                yield member.name.removeprefix("./"), member, content


class _Stream(io.RawIOBase):
    """Chunks as a file that is read once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = next(chunks, b"")

    @property
    def is_empty(self) -> bool:
        return not self._held

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, missing = [], size if size >= 0 else 1 << 62
        while missing > 0:
            if not self._held:
                self._held = next(self._chunks, b"")
                if not self._held:
                    break
            parts.append(self._held[:missing])
            self._held = self._held[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)
