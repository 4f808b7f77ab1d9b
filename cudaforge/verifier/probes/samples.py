"""Synthetic data that a model can learn: ten classes, each with a bright bar at its own height.

The same numbers on every machine and Python, since `random.Random` keeps its sequence.
"""

import random
from typing import List, NamedTuple

SIDE = 28
CLASSES = 10
_COUNT = 80
_BAR = 3
_BRIGHT = 0.7


class Samples(NamedTuple):
    """One batch: `pixels` holds `size` images of 28 x 28, row by row."""

    size: int
    pixels: List[float]
    labels: List[int]


def make_samples(seed: int) -> Samples:
    """The batch that every step trains on."""
    source = random.Random(seed)  # noqa: S311 -- reproducible on purpose
    labels = [index % CLASSES for index in range(_COUNT)]
    source.shuffle(labels)
    pixels = []
    for label in labels:
        first = 1 + label * (SIDE - _BAR) // CLASSES
        for row in range(SIDE):
            bright = _BRIGHT if first <= row < first + _BAR else 0.0
            pixels.extend([bright + (1.0 - _BRIGHT) * source.random() for _ in range(SIDE)])
    return Samples(_COUNT, pixels, labels)
