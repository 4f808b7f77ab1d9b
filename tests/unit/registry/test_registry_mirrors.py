"""Mirror maps."""

from __future__ import annotations

import pytest

from cudaforge.errors import InputError
from cudaforge.registry import mirrored

DIGEST = "sha256:" + "0" * 64
MIRRORS = {
    "docker.io": "localhost:5000/hub",
    "docker.io/nvidia": "nvidia.example",
    "ghcr.io": "mirror.example:8443",
    "Quay.IO": "q.example/x",
}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("python:3.12", "localhost:5000/hub/library/python:3.12"),
        ("docker.io/library/python", "localhost:5000/hub/library/python:latest"),
        ("index.docker.io/a/b:1", "localhost:5000/hub/a/b:1"),
        ("nvidia/cuda:12.8.1-base-ubuntu22.04", "nvidia.example/cuda:12.8.1-base-ubuntu22.04"),
        ("nvidianot/cuda:1", "localhost:5000/hub/nvidianot/cuda:1"),
        (f"python:3.12@{DIGEST}", f"localhost:5000/hub/library/python:3.12@{DIGEST}"),
        (f"ghcr.io/a/b@{DIGEST}", f"mirror.example:8443/a/b@{DIGEST}"),
        ("quay.io/a", "q.example/x/a:latest"),
        ("other.example/a", "other.example/a"),
        ("localhost:5000/hub/a", "localhost:5000/hub/a"),
    ],
)
def test_mirrored(reference: str, expected: str) -> None:
    assert mirrored(reference, MIRRORS) == expected


def test_without_mirrors_a_reference_stays_as_it_was_written() -> None:
    assert mirrored("python:3.12", {}) == "python:3.12"


def test_bad_references_are_refused() -> None:
    with pytest.raises(InputError, match="no image reference"):
        mirrored("Python:3.12", MIRRORS)
    with pytest.raises(InputError, match="no image reference"):
        mirrored("python", {"docker.io": "bad host/x"})
