"""The gradient of the probe's small network, computed outside the image with Python's numbers alone.

By the chain rule, layer by layer from the last: of softmax with cross-entropy the gradient is the
probabilities less one at the label; max pooling hands a gradient to the largest of its four elements; relu
hands on what was positive.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from functools import lru_cache

from cudaforge.records import record
from cudaforge.verifier.evidence import SEED
from cudaforge.verifier.probes import forward
from cudaforge.verifier.probes.forward import (
    CLASSES,
    COUNT,
    FILTERS,
    KERNEL,
    LABELS,
    POOLED,
    SIDE,
    Network,
)

_STAND_OFF = 5e-4
"""Five hundred times what 32 bits round away of values up to nine."""


@record()
class Reference:
    """What a framework has to find for the network: flat, in rows, as the network's own tensors are."""

    outputs: tuple[float, ...]
    """COUNT rows of CLASSES probabilities."""
    loss: float
    """The mean cross-entropy over the batch."""
    gradients: Mapping[str, tuple[float, ...]]
    """Of the loss, by `kernels`, `matrix` and `bias`."""


@lru_cache(maxsize=64)
def find_reference(challenge: int = SEED) -> Reference:
    """The reference for the network of this seed."""
    return differentiate(forward.make_network(challenge))


def draw_challenge() -> int:
    """The seed of a network that nobody has seen before, so that no answer can have been prepared.

    Max pooling and relu are not smooth: only networks that stand off from there are taken, so that no
    rounding of 32 bits decides what the gradient is.
    """
    while True:
        challenge = secrets.randbits(32)
        if _distance(forward.make_network(challenge)) > _STAND_OFF:
            return challenge


def _distance(network: Network) -> float:
    """How far the closest two of the values lie apart between which pooling and relu choose."""
    size = KERNEL * KERNEL
    least = math.inf
    for image in range(COUNT):
        pixels = network.pixels[image * SIDE * SIDE : (image + 1) * SIDE * SIDE]
        for filtered in range(FILTERS):
            kernel = network.kernels[filtered * size : (filtered + 1) * size]
            for place in range(POOLED * POOLED):
                top, left = 2 * (place // POOLED), 2 * (place % POOLED)
                window = [
                    forward.convolve(pixels, kernel, top + down, left + across)
                    for down in (0, 1)
                    for across in (0, 1)
                ]
                second, first = sorted([0.0, *window])[-2:]
                least = min(least, first - second)
    return least


def differentiate(network: Network) -> Reference:
    """Outputs, loss and gradients of a network."""
    kernels, matrix, bias = [0.0] * len(network.kernels), [0.0] * len(network.matrix), [0.0] * CLASSES
    outputs: list[float] = []
    loss = 0.0
    for image, label in zip(range(COUNT), LABELS, strict=True):
        features = forward.features(network, image)
        answer = forward.softmax(forward.scores(network, features))
        outputs += answer
        loss -= math.log(answer[label]) / COUNT
        of_scores = [(chance - (index == label)) / COUNT for index, chance in enumerate(answer)]
        for index, slope in enumerate(of_scores):
            bias[index] += slope
        of_features = []
        for position, feature in enumerate(features):
            row = network.matrix[position * CLASSES : (position + 1) * CLASSES]
            of_features.append(sum(slope * weight for slope, weight in zip(of_scores, row, strict=True)))
            for index, slope in enumerate(of_scores):
                matrix[position * CLASSES + index] += slope * feature
        _add_kernels(kernels, network, image, of_features)
    gradients = {"kernels": tuple(kernels), "matrix": tuple(matrix), "bias": tuple(bias)}
    return Reference(outputs=tuple(outputs), loss=loss, gradients=gradients)


def _add_kernels(kernels: list[float], network: Network, image: int, of_features: list[float]) -> None:
    """Add what one image has to say about the kernels."""
    pixels = network.pixels[image * SIDE * SIDE : (image + 1) * SIDE * SIDE]
    size = KERNEL * KERNEL
    for position, slope in enumerate(of_features):
        filtered, place = divmod(position, POOLED * POOLED)
        kernel = network.kernels[filtered * size : (filtered + 1) * size]
        top, left = 2 * (place // POOLED), 2 * (place % POOLED)
        highest, row, column = max(
            (forward.convolve(pixels, kernel, row, column), row, column)
            for row in (top, top + 1)
            for column in (left, left + 1)
        )
        if highest > 0:
            for index in range(size):
                down, across = divmod(index, KERNEL)
                pixel = pixels[(row + down) * SIDE + column + across]
                kernels[filtered * size + index] += slope * pixel
