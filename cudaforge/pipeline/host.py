"""What this host is and where cudaforge keeps things on it."""

from __future__ import annotations

from pathlib import Path

from cudaforge.declaration.model import Declaration
from cudaforge.files import write_atomically

STATE_DIRECTORY = ".cudaforge"
LOCK_FILE = "cudaforge.lock"


def lock_path(declaration: Declaration) -> Path:
    """The lock of a declaration: beside it."""
    return declaration.root / LOCK_FILE


def state_directory(declaration: Declaration) -> Path:
    """Logs and results of this site, beside the declaration; nothing in it has to be kept."""
    return declaration.root / STATE_DIRECTORY


def open_state(declaration: Declaration) -> Path:
    """The directory of logs and results, made where it is not there, and kept out of git: inputs of builds in
    it may hold passwords. Raises SurroundingsError where it cannot be written."""
    state = state_directory(declaration)
    mark = state / ".gitignore"
    if not mark.exists():
        write_atomically(mark, "*\n")
    return state


def cache_directory() -> Path:
    """What cudaforge keeps between runs for all projects of this user."""
    from platformdirs import user_cache_path

    return user_cache_path("cudaforge")


def find_host_os() -> str | None:
    """The host's release as the matrix names it (`debian12`, `ubuntu22.04`); None where it does not say."""
    fields = {}
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition("=")
        fields[key] = value.strip().strip("\"'")
    return fields["ID"] + fields["VERSION_ID"] if {"ID", "VERSION_ID"} <= fields.keys() else None


def ignore(_: object) -> None:
    """Take a note or an event and show nothing."""
