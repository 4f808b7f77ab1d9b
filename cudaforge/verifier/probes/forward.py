"""A small network with fixed weights and what it answers, computed with Python's numbers alone.

For frameworks that run models and do not train them: what they compute has to be what this computes.
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
        rows.extend(_softmax(_scores(network, _features(network, image))))
    return rows


def _features(network: Network, image: int) -> List[float]:
    pixels = network.pixels[image * SIDE * SIDE : (image + 1) * SIDE * SIDE]
    features = []
    for filtered in range(FILTERS):
        kernel = network.kernels[filtered * KERNEL * KERNEL : (filtered + 1) * KERNEL * KERNEL]
        plane = [[_convolve(pixels, kernel, row, column) for column in range(_MAP)] for row in range(_MAP)]
        for row in range(0, 2 * POOLED, 2):
            for column in range(0, 2 * POOLED, 2):
                window = (*plane[row][column : column + 2], *plane[row + 1][column : column + 2])
                features.append(max(0.0, *window))
    return features


def _convolve(pixels: List[float], kernel: List[float], row: int, column: int) -> float:
    return sum(
        kernel[down * KERNEL + across] * pixels[(row + down) * SIDE + column + across]
        for down in range(KERNEL)
        for across in range(KERNEL)
    )


def _scores(network: Network, features: List[float]) -> List[float]:
    return [
        network.bias[label]
        + sum(
            feature * network.matrix[position * CLASSES + label] for position, feature in enumerate(features)
        )
        for label in range(CLASSES)
    ]


def _softmax(scores: List[float]) -> List[float]:
    highest = max(scores)
    powers = [math.exp(score - highest) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]
