"""The most that an image may weigh."""

from __future__ import annotations

from cudaforge.lockfile.model import LockedImage

EXCESS_REMEDY = "raise max_size, or choose a smaller flavor or fewer packages"


def find_excess(image: LockedImage, size: int) -> str | None:
    """What is wrong with an image whose unpacked layers have `size` bytes; None where it may have them."""
    if image.max_size is None or size <= image.max_size:
        return None
    return f"the image has {size:,} bytes, more than max_size allows ({image.max_size:,})"
