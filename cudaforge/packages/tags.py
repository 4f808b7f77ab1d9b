"""What the tags of wheels mean, and which of several wheels of one version is the best for an image's
Python and C library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from cudaforge.errors import Problem, SurroundingsError
from cudaforge.packages.machines import ARCHITECTURES

_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST_GLIBC = 5
_WITHOUT_FLAG = (3, 8)
"""The first Python whose ABI has no `m` in its name."""
_CPYTHON = re.compile(r"cp(3)(\d+)(t?)")
_LINUX = re.compile(r"(?:many)?linux.*_(x86_64|aarch64)")
_MANYLINUX = re.compile(r"manylinux_2_(\d{1,3})_.*")
_PLATFORMS = {machine: platform for platform, machine in ARCHITECTURES.items()}


def wheel_platform(tag: str) -> str | None:
    """`linux/amd64` for the platform tag of a wheel, `any` where it fits all, None where it is for another
    system."""
    if tag == "any":
        return tag
    match = _LINUX.fullmatch(tag)
    return _PLATFORMS[match[1]] if match else None


def wheel_platforms(filename: str) -> frozenset[str]:
    """The platforms that a wheel is for, as `wheel_platform` names them."""
    from packaging.utils import parse_wheel_filename

    found = (wheel_platform(tag.platform) for tag in parse_wheel_filename(filename)[3])
    return frozenset(name for name in found if name is not None)


def wheel_python(interpreter: str, abi: str) -> str | None:
    """The one Python 3 that a wheel is for, `3.13t`; None for those that are for several (abi3, py3)."""
    match = _CPYTHON.fullmatch(abi)
    if match is None:
        # Old ABIs end in flags: cp37m.
        match = _CPYTHON.fullmatch(abi.rstrip("mu")) if abi.startswith("cp") else None
    return f"{match[1]}.{match[2]}{match[3]}" if match and interpreter.startswith("cp") else None


def tag_glibc(tag: str) -> str | None:
    """The oldest glibc that a platform tag claims to load on; None where it claims nothing."""
    match = _MANYLINUX.fullmatch(tag)
    if match:
        return f"2.{match[1]}"
    return next((f"2.{minor}" for minor, name in _LEGACY.items() if tag.startswith(f"{name}_")), None)


def best_wheel(filenames: Iterable[str], *, python: str, platform: str, glibc: str) -> str:
    """The file name that an installer in the image would choose.

    Raises SurroundingsError where none loads there.
    """
    from packaging.utils import parse_wheel_filename

    names = sorted(filenames)
    ranks = _ranks(python, platform, glibc)
    ranked = [
        (min(known), name)
        for name in names
        if (known := [ranks[tag] for tag in map(str, parse_wheel_filename(name)[3]) if tag in ranks])
    ]
    if not ranked:
        raise SurroundingsError(
            Problem(what=f"none of {', '.join(names)} loads on Python {python}, {platform}, glibc {glibc}")
        )
    return min(ranked)[1]


@lru_cache
def _ranks(python: str, platform: str, glibc: str) -> dict[str, int]:
    from packaging import tags

    version = tuple(int(part) for part in python.split(".")[:2])
    interpreter = f"cp{version[0]}{version[1]}"
    abis = [interpreter] if version >= _WITHOUT_FLAG else [f"{interpreter}m"]
    platforms = tuple(_platforms(ARCHITECTURES[platform], int(glibc.split(".")[1])))
    ordered = (
        *tags.cpython_tags(version, abis, platforms),
        *tags.compatible_tags(version, interpreter, platforms),
    )
    return {str(tag): rank for rank, tag in reversed(tuple(enumerate(ordered)))}


def _platforms(architecture: str, glibc: int) -> Iterator[str]:
    for minor in range(glibc, _OLDEST_GLIBC - 1, -1):
        yield f"manylinux_2_{minor}_{architecture}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{architecture}"
    yield f"linux_{architecture}"
