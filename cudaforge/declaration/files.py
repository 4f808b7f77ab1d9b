"""Files of the project that a declaration names: are they there, and inside the project?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cudaforge.declaration.inside import check_inside
from cudaforge.declaration.kinds import bad
from cudaforge.declaration.source import read_text
from cudaforge.display import show, show_path

_WILDCARDS = re.compile(r"[*?]")


def check_copy_source(root: Path, source: str) -> None:
    """Raise BadValue unless `source` is there and, all links followed, inside the project."""
    if _WILDCARDS.search(source):
        if not matching(root, source):
            bad(f"{show(source)} matches no file of the project", "name a file or directory")
        bad(f"patterns such as {show(source)} are not supported yet", "name the directory, or each file")
    check_inside(root, source)


def matching(root: Path, pattern: str) -> Sequence[Path]:
    """What a pattern matches in a directory, sorted; nothing where it is no pattern at all."""
    try:
        return sorted(root.glob(pattern))
    except (ValueError, NotImplementedError, OSError):  # a name too long, or "a**b" before Python 3.13
        return ()


def overlay_digest(root: Path, path: str) -> str:
    """SHA-256 of an overlay's bytes. Raises BadValue or InputError if it cannot be read."""
    real = check_inside(root, path)
    import hashlib  # OpenSSL loads with it

    return hashlib.sha256(read_text(real, show_path(path)).encode()).hexdigest()


def check_ca_bundle(root: Path, path: str) -> Path:
    """The CA bundle, absolute. Raises BadValue if there is no such file."""
    found = root / path
    if not found.is_file():
        bad(f"there is no file {show(path)}", "a PEM file, named absolutely or relative to the project")
    return found
