"""The machines of platforms: what uv, wheels and environment markers call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cudaforge.display import show
from cudaforge.packages.model import LockedWheel

ARCHITECTURES: Mapping[str, str] = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
"""Platform to machine, as the kernel and wheels name it."""


def wheels_for(wheels: Sequence[LockedWheel], platform: str) -> tuple[LockedWheel, ...]:
    """What of a closure is installed on one of the image's platforms."""
    return tuple(wheel for wheel in wheels if not wheel.platforms or platform in wheel.platforms)


def machine_marker(platforms: Sequence[str]) -> str:
    """The environment marker (PEP 508) of the machines of platforms."""
    return " or ".join(f"platform_machine == '{ARCHITECTURES[platform]}'" for platform in platforms)


def platforms_of_marker(marker: str) -> tuple[str, ...]:
    """The platforms that `machine_marker` made it of. Raises ValueError for a marker of another form."""
    platforms = tuple(one for one in sorted(ARCHITECTURES) if machine_marker((one,)) in marker)
    if machine_marker(platforms) != marker:
        raise ValueError(f"{show(marker)} is no marker of platforms")
    return platforms
