"""The lines by which apt reads a snapshot of an OS archive."""

from __future__ import annotations

from cudaforge.lockfile.model import LockedSnapshot


def snapshot_lines(snapshot: LockedSnapshot, *, address: str | None = None) -> tuple[str, ...]:
    """The snapshot as lines of a `sources.list`: signed by the keys of the base, whatever its age.

    `address` is that of a site for the service; without one it is the public one.
    """
    options = f"check-valid-until=no signed-by={snapshot.keyring}"
    return tuple(f"deb [{options}] {address or snapshot.url}/{archive}" for archive in snapshot.archives)
