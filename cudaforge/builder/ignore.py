"""The project's own ignore file; BuildKit does not read it where a Dockerfile has one of its own."""

from __future__ import annotations

from pathlib import Path

from cudaforge.errors import InputError, Location, Problem
from cudaforge.records import replace
from cudaforge.renderer import RenderedImage, extend_ignore

OWN_IGNORE = ".dockerignore"
LARGEST_IGNORE = 1024 * 1024


def read_own_ignore(root: Path) -> str:
    """Its text; empty where there is none. Raises InputError for one that cannot be used."""
    path = root / OWN_IGNORE
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            content = file.read(LARGEST_IGNORE + 1)
        if len(content) <= LARGEST_IGNORE:
            return content.decode("utf-8")
        complaint = f"it is larger than {LARGEST_IGNORE} bytes"
    except UnicodeDecodeError as error:
        complaint = f"it is not UTF-8 at byte {error.start}"
    except OSError as error:
        complaint = error.strerror or "it cannot be read"
    raise InputError(
        Problem(
            what=f"the project's .dockerignore cannot be used: {complaint}",
            where=Location(file=str(path)),
            remedy="mend or remove it",
        )
    )


def with_own_ignore(rendered: RenderedImage, own: str) -> RenderedImage:
    """What is rendered, with an ignore file that leaves out what the project's own does, too."""
    return replace(rendered, ignore=extend_ignore(rendered.ignore, own)) if own else rendered
