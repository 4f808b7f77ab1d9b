"""The data that every framework trains on, and the numbers in which NVIDIA writes versions."""

import pytest

from cudaforge.verifier.probes.libraries import decode_cudnn, decode_nccl
from cudaforge.verifier.probes.samples import CLASSES, SIDE, make_samples


def test_samples_are_the_same_everywhere():
    samples = make_samples(20)
    assert samples == make_samples(20)
    assert samples != make_samples(21)
    assert [samples.labels[:5], [round(pixel, 6) for pixel in samples.pixels[:3]]] == [
        [2, 6, 4, 9, 5],
        [0.272041, 0.01555, 0.058019],
    ]


def test_samples_can_be_learned():
    samples = make_samples(1)
    size = SIDE * SIDE
    assert len(samples.pixels) == samples.size * size
    assert all(0.0 <= pixel <= 1.0 for pixel in samples.pixels)
    assert sorted(set(samples.labels)) == list(range(CLASSES))
    brightest = {}
    for index, label in enumerate(samples.labels):
        image = samples.pixels[index * size : (index + 1) * size]
        rows = [sum(image[row * SIDE : (row + 1) * SIDE]) for row in range(SIDE)]
        brightest.setdefault(label, set()).update(sorted(range(SIDE), key=rows.__getitem__)[-3:])
    assert all(len(rows) == 3 for rows in brightest.values())
    assert len({min(rows) for rows in brightest.values()}) == CLASSES


@pytest.mark.parametrize(
    ("number", "version"), [(8204, "8.2.4"), (8907, "8.9.7"), (90100, "9.1.0"), (91002, "9.10.2")]
)
def test_cudnn_s_number(number: int, version: str):
    assert decode_cudnn(number) == version


@pytest.mark.parametrize(("number", "version"), [(2708, "2.7.8"), (21005, "2.10.5"), (22703, "2.27.3")])
def test_nccl_s_number(number: int, version: str):
    assert decode_nccl(number) == version
