"""Expected sizes as text."""

from __future__ import annotations

import pytest

from cudaforge.report.sizes import explain_size, size_text
from cudaforge.resolver.model import Bytes, Duplicate, Size, SizePart

MB, GB = 10**6, 10**9
BASE = SizePart(kind="base", name="python:3.12-slim", bytes=Bytes(compressed=45 * MB, installed=124 * MB))
WHEELS = SizePart(kind="wheels", name="torchy 2", bytes=Bytes(compressed=3 * GB, installed=None))
PACKAGES = SizePart(kind="packages", name="einops", bytes=Bytes())


def size(*parts: SizePart, known: bool = False, duplicate: Duplicate | None = None) -> Size:
    return Size(compressed=3_300 * MB, installed=6_200 * MB, known=known, parts=parts, duplicate=duplicate)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (size(BASE, known=True), "download 3.3 GB, on disk 6.2 GB"),
        (size(BASE, PACKAGES), "download at least 3.3 GB, on disk at least 6.2 GB"),
        (size(BASE), "download about 3.3 GB, on disk about 6.2 GB"),
        (
            Size(compressed=3 * GB, installed=None, known=False, parts=(WHEELS,)),
            "download at least 3.0 GB, on disk not known",
        ),
        (
            size(BASE, SizePart(kind="wheels", name="torchy 2+cu12", bytes=Bytes())),
            "not known: nobody has weighed torchy 2+cu12",
        ),
        (Size(compressed=None, installed=None, known=False), None),
    ],
)
def test_what_is_not_known_is_said(given: Size, text: str | None) -> None:
    assert size_text(given) == text


def test_an_explanation_has_a_line_for_each_part() -> None:
    copy = Duplicate(compressed=2 * GB, installed=3 * GB, known=False)
    text = explain_size(size(BASE, WHEELS, PACKAGES, duplicate=copy))
    assert [line.strip() for line in text.splitlines()] == [
        "size = download at least 3.3 GB, on disk at least 6.2 GB",
        "base python:3.12-slim: download 45 MB, on disk 124 MB",
        "wheels torchy 2: download 3.0 GB, on disk not known",
        "packages einops: not known",
        "of these a second copy of CUDA: download 2.0 GB, on disk 3.0 GB (as large",
        "as the other copy)",
    ]
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_copy_of_unknown_size_has_no_number() -> None:
    text = explain_size(size(BASE, duplicate=Duplicate(compressed=None, installed=None, known=False)))
    assert text.endswith("of these a second copy of CUDA: not known")
