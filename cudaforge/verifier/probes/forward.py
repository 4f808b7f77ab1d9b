"""A small network with fixed weights and what it answers, computed with Python's numbers alone.

What a framework computes has to be what this computes. Its gradient is in `cudaforge.verifier.reference`,
which no image sees.
The same numbers on every machine and Python, since `random.Random` keeps its sequence.
"""

import math
import random
from typing import List, NamedTuple

SIDE = 12
FILTERS = 4
KERNEL = 3
CLASSES = 10
COUNT = 4
LABELS = tuple(range(COUNT))
"""What the images are said to show, where a gradient is asked for."""
_MAP = SIDE - KERNEL + 1
POOLED = _MAP // 2


class Network(NamedTuple):
    """Convolution, relu, max pooling 2x2, dense layer, softmax; all tensors flat, in rows.

    `pixels` holds COUNT images of 1 x SIDE x SIDE, `kernels` FILTERS of 1 x KERNEL x KERNEL, `matrix`
    (FILTERS * POOLED * POOLED) x CLASSES.
    """

    pixels: List[float]
    kernels: List[float]
    matrix: List[float]
    bias: List[float]


def make_network(seed: int) -> Network:
    """The weights and the batch."""
    source = random.Random(seed)  # noqa: S311 -- reproducible on purpose

    def numbers(count: int, width: float) -> List[float]:
        return [width * (2.0 * source.random() - 1.0) for _ in range(count)]

    return Network(
        pixels=numbers(COUNT * SIDE * SIDE, 1.0),
        kernels=numbers(FILTERS * KERNEL * KERNEL, 1.0),
        matrix=numbers(FILTERS * POOLED * POOLED * CLASSES, 0.3),
        bias=numbers(CLASSES, 0.3),
    )


def answer(network: Network) -> List[float]:
    """What the network says of the batch: COUNT rows of CLASSES probabilities."""
    rows: List[float] = []
    for image in range(COUNT):
        rows.extend(softmax(scores(network, features(network, image))))
    return rows


def features(network: Network, image: int) -> List[float]:
    """What pooling leaves of one image: FILTERS planes of POOLED x POOLED."""
    pixels = network.pixels[image * SIDE * SIDE : (image + 1) * SIDE * SIDE]
    pooled = []
    for filtered in range(FILTERS):
        kernel = network.kernels[filtered * KERNEL * KERNEL : (filtered + 1) * KERNEL * KERNEL]
        plane = [[convolve(pixels, kernel, row, column) for column in range(_MAP)] for row in range(_MAP)]
        for row in range(0, 2 * POOLED, 2):
            for column in range(0, 2 * POOLED, 2):
                window = (*plane[row][column : column + 2], *plane[row + 1][column : column + 2])
                pooled.append(max(0.0, *window))
    return pooled


def convolve(pixels: List[float], kernel: List[float], row: int, column: int) -> float:
    """One element of the map of one image under one kernel."""
    return sum(
        kernel[down * KERNEL + across] * pixels[(row + down) * SIDE + column + across]
        for down in range(KERNEL)
        for across in range(KERNEL)
    )


def scores(network: Network, pooled: List[float]) -> List[float]:
    """The dense layer's answer to the features of one image."""
    return [
        network.bias[label]
        + sum(feature * network.matrix[position * CLASSES + label] for position, feature in enumerate(pooled))
        for label in range(CLASSES)
    ]


def softmax(values: List[float]) -> List[float]:
    """Probabilities for the scores of one image."""
    highest = max(values)
    powers = [math.exp(value - highest) for value in values]
    total = sum(powers)
    return [power / total for power in powers]
