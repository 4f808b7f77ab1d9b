"""What facts say of an image besides its lock entry: handed in, since this stage sees no matrix."""

from __future__ import annotations

from collections.abc import Mapping

from cudaforge.records import made, record


@record()
class Expected:
    """Where an image has to run, and what its drivers need. All of it may be empty: then less is judged."""

    gpus: Mapping[str, tuple[str, ...]] = made(default_factory=dict)
    """The GPUs that are asked for, by name, with their compute capabilities (`9.0`)."""
    driver: str | None = None
    """The oldest driver of the machines that it is for."""
    floor: str | None = None
    """The oldest driver that the image's CUDA runs on."""
    gpu_floors: Mapping[str, str] = made(default_factory=dict)
    """Architecture (`sm_120`) to the oldest driver that knows a GPU of it."""


@record()
class ForeignImage:
    """What is known of an image without a lock entry."""

    python: str
    notes: Mapping[str, str] = made(default_factory=dict)
    """Framework to what its facts are, or why there are none."""
    unknown: frozenset[str] = frozenset()
    """The frameworks that there are no facts of: little of them can be compared."""
