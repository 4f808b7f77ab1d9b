"""Numbers as people read them."""

from __future__ import annotations

import time


def utc_now() -> str:
    """The time, ISO 8601 in UTC to the second: times compare as their texts do."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def bytes_text(count: int | None) -> str:
    """Bytes for people: `1.2 GB` (decimal, as registries and engines count)."""
    if count is None:
        return "?"
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 -- decimal units
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
