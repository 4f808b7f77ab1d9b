"""Small .deb files, made on the spot."""

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence

from cudaforge.bootstrap.deb import Deb
from cudaforge.bootstrap.tree import Entry, Kind

CONTROL = (
    "Package: {name}\nVersion: 1.0\nArchitecture: amd64\nMulti-Arch: {multi}\nDescription: test\n more\n"
)


def make_deb(*, data: Sequence[tuple[tarfile.TarInfo, bytes]], control: Mapping[str, bytes]) -> bytes:
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": gzip.compress(
            make_tar([(_info(f"./{name}"), text) for name, text in control.items()]), mtime=0
        ),
        "data.tar.gz": gzip.compress(make_tar(data), mtime=0),
    }
    archive = b"!<arch>\n"
    for name, content in parts.items():
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        archive += header + content + b"\n" * (len(content) % 2)
    return archive


def make_tar(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _info(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


def package(name: str, *, files: Mapping[str, bytes] | None = None, multi: str = "no", **control: str) -> Deb:
    """A package as `read_deb` gives it, with its files in memory."""
    scripts = {key: text.encode() for key, text in control.items()}
    entries = tuple(Entry(path=path, kind=Kind.FILE, content=text) for path, text in (files or {}).items())
    return Deb(
        control={"control": CONTROL.format(name=name, multi=multi).encode(), **scripts}, entries=entries
    )
