"""What cudaforge left on a machine, as text and JSON."""

from __future__ import annotations

from cudaforge.display import visible
from cudaforge.doctor.leftovers import Cleaned, Kind, Leftover
from cudaforge.units import bytes_text

_NAMES = {
    Kind.CONTAINER: "containers",
    Kind.IMAGE: "images",
    Kind.BASE: "base images, which builds were handed and make again",
    Kind.CACHE: "build cache",
    Kind.FILE: "files",
}
_MOST = 20
"""So many names of one kind are shown."""


def describe_leftovers(cleaned: Cleaned, *, is_done: bool) -> str:
    """What was removed, or would be, and how many bytes that is."""
    lines = []
    for kind in Kind:
        items = [item for item in cleaned.items if item.kind is kind and not item.is_kept]
        if items:
            size = f", {bytes_text(_bytes(items))}" if kind is not Kind.CONTAINER else ""
            lines.append(f"{_NAMES[kind]}: {len(items)}{size}")
            lines += [f"  {shorten(item.name)}" for item in items[:_MOST]]
            lines += [f"  and {len(items) - _MOST} more"] if len(items) > _MOST else []
    kept = [item for item in cleaned.items if item.is_kept]
    lines += [f"stays, since something uses it: {shorten(item.name, 48)}" for item in kept]
    if any(item.kind is Kind.CACHE for item in kept):
        # An engine keeps a step as long as it has a later one, whose record does not say whose it is.
        lines.append("next  docker builder prune --all removes the build cache of everybody on this engine")
    gone = [item for item in cleaned.items if not item.is_kept]
    if not gone:
        lines.append("nothing to remove")
    elif is_done:
        lines.append(f"{bytes_text(cleaned.freed)} freed")
    else:
        lines.append(f"up to {bytes_text(_bytes(gone))} would be freed: others may share layers")
    return visible("\n".join(lines))


def leftovers_json(cleaned: Cleaned) -> dict[str, object]:
    """The JSON form."""
    return {
        "freed": cleaned.freed,
        "items": [
            {"kind": item.kind.value, "name": item.name, "bytes": item.bytes, "kept": item.is_kept}
            for item in cleaned.items
        ],
    }


def shorten(name: str, limit: int = 76) -> str:
    """The name in one line; of one that is too long the end, which tells paths apart."""
    return name if len(name) <= limit else "..." + name[-(limit - 3) :]


def _bytes(items: list[Leftover]) -> int:
    return sum(item.bytes for item in items)
