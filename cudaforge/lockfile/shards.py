"""Dividing the images of a lock among jobs that run side by side."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from cudaforge.lockfile.model import LockedImage

_UNKNOWN_WHEEL = 20_000_000
"""Bytes of a wheel whose size no index tells: about the mean of a GPU image's."""
_EVERY_IMAGE = 500_000_000
"""What starting, the base and the proof cost, as bytes of wheels that take as long."""


def predicted_bytes(image: LockedImage) -> int:
    """What an image costs to build and prove, in bytes of wheels to fetch and install. An estimate for
    dividing work, not a size."""
    wheels = image.closure.wheels
    return _EVERY_IMAGE + sum(_UNKNOWN_WHEEL if wheel.size is None else wheel.size for wheel in wheels)


def divide(images: Sequence[LockedImage], count: int) -> tuple[tuple[LockedImage, ...], ...]:
    """The images in `count` shards of about equal cost: each image in exactly one, in the lock's order.

    The same images always give the same shards: the costliest goes first, each into the shard that has
    least so far (Graham 1969, "Bounds on multiprocessing timing anomalies": at most 4/3 of the best).
    """
    shards: list[list[int]] = [[] for _ in range(count)]
    loads = [(0, number) for number in range(count)]
    costs = [predicted_bytes(image) for image in images]
    for index in sorted(range(len(images)), key=lambda index: (-costs[index], images[index].name)):
        load, number = heapq.heappop(loads)
        shards[number].append(index)
        heapq.heappush(loads, (load + costs[index], number))
    return tuple(tuple(images[index] for index in sorted(shard)) for shard in shards)
