"""Which GPUs a build's code runs on."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from cudaforge.matrix.model import CudnnRelease, FrameworkBuild
from cudaforge.resolver.candidates import BuildCandidate
from cudaforge.versions import Version


class Coverage(Enum):
    """How a build's code reaches one compute capability."""

    CUBIN = "cubin"
    COMPILED = "compiled"
    """At run time, by the compiler of the CUDA toolkit that is loaded."""
    PTX = "ptx"
    """By the driver, which has to be as new as the toolkit."""
    NONE = "none"


def is_seen(build: BuildCandidate) -> bool:
    """Whether it is known which GPUs the build has code for: without, none is a yes."""
    return all(row.cubins is not None or row.compiler is not None for row in build.rows)


def runs(
    code: Iterable[Version], capability: Version, *, is_embedded: bool, embedded: frozenset[Version]
) -> bool:
    """Whether one of the cubins runs on the capability: the same major and an equal or higher minor.

    Code for embedded GPUs runs on exactly its own, and they run no other.
    """
    for one in code:
        if one == capability:
            return True
        is_apart = is_embedded or one in embedded
        if not is_apart and one.major == capability.major and one <= capability:
            return True
    return False


def coverage(
    row: FrameworkBuild, capability: Version, *, is_embedded: bool, embedded: frozenset[Version]
) -> Coverage:
    """How the build's code runs on the capability."""
    if row.cubins is None:
        return Coverage.COMPILED if row.compiler is not None else Coverage.NONE
    if runs(row.cubins, capability, is_embedded=is_embedded, embedded=embedded):
        return Coverage.CUBIN
    if any(one <= capability for one in row.ptx):
        return Coverage.PTX
    return Coverage.NONE


def cudnn_covers(row: CudnnRelease, major: str, capability: Version) -> bool:
    """Whether the capability is in the range that cuDNN supports with this CUDA major, as far as one is
    known. Its newest kernels run on the rest of their major, too."""
    least, most = row.capability_min.get(major), row.capability_max.get(major)
    if least is not None and capability < least:
        return False
    return most is None or capability <= most or capability.major == most.major
