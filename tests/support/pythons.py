"""An archive like those of python-build-standalone, made out of the Python that runs the tests."""

from __future__ import annotations

import io
import platform
import sys
import tarfile
from pathlib import Path

from cudaforge.files import hash_file

VERSION = platform.python_version()
_MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
_LEFT_OUT = ("test", "site-packages", "__pycache__", "idlelib", "tkinter", "lib2to3")
FACTS = """\
schema = 1

[sources]
here = {{ strength = "measured", checked = "2026-11-28", text = "made by the test" }}

[[standalone_pythons]]
version = "{version}"
release = "here"
glibc = "2.17"
feed = "python-build-standalone"
files = {{ "{platform}" = "{path}" }}
sha256 = {{ "{platform}" = "{sha256}" }}
source = "here"
"""


def is_relocatable() -> bool:
    """Whether the Python that runs is one directory tree of its own, and not spread over the system's."""
    prefix = Path(sys.base_prefix).resolve()
    return prefix not in (Path("/usr"), Path("/usr/local")) and (prefix / "bin" / f"python{_MINOR}").is_file()


def make_archive(directory: Path) -> Path:
    """The archive below a directory, at the path that FACTS are given for it."""
    prefix = Path(sys.base_prefix).resolve()
    path = directory / "here" / f"cpython-{VERSION}+here-install_only_stripped.tar.gz"
    path.parent.mkdir(parents=True)

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = member.name.split("/")
        return None if any(part in _LEFT_OUT or part.startswith("config-") for part in parts) else member

    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        _add(archive, f"python/bin/python{_MINOR}", _relocated(prefix / "bin" / f"python{_MINOR}", prefix))
        archive.add(prefix / "lib" / f"python{_MINOR}", f"python/lib/python{_MINOR}", filter=kept)
        for library in sorted((prefix / "lib").glob("libpython*.so*")):
            archive.add(library, f"python/lib/{library.name}")
    return path


def _relocated(program: Path, prefix: Path) -> bytes:
    """The program, looking for its library beside itself: a text in it says where, and may be shorter."""
    content = program.read_bytes()
    for place in {prefix, Path(sys.base_prefix)}:
        absolute = f"{place}/lib".encode() + b"\0"
        content = content.replace(absolute, b"$ORIGIN/../lib".ljust(len(absolute), b"\0"))
    return content


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o755
    archive.addfile(member, io.BytesIO(content))


def facts_of(archive: Path, directory: Path, *, platform: str) -> str:
    """The overlay that knows of the archive."""
    return FACTS.format(
        version=VERSION,
        platform=platform,
        path=archive.relative_to(directory).as_posix(),
        sha256=hash_file(archive),
    )
