"""Keeping the versions of an earlier closure where uv lets go of them though they would still do."""

from __future__ import annotations

from collections.abc import Callable

from cudaforge.errors import NegativeAnswer, SurroundingsError
from cudaforge.packages.model import ClosureRequest
from cudaforge.packages.question import Offer
from cudaforge.packages.uv import NoSolution
from cudaforge.records import replace

Ask = Callable[[ClosureRequest], tuple[Offer, ...] | NoSolution]


def find_keeping(request: ClosureRequest, ask: Ask) -> tuple[Offer, ...] | NoSolution:
    """What `ask` finds, in the versions of the earlier closure where all that were left can be had again.

    uv takes a preferred version from the first index that has it. Where that one has no file of it for the
    platform, uv gives the version up, though the next index has one.
    """
    found = ask(request)
    if isinstance(found, NoSolution) and request.preferred:
        found = ask(replace(request, preferred=()))
    if isinstance(found, NoSolution):
        return found
    earlier = {wheel.package: wheel.version for wheel in request.preferred}
    left = {one.package for one in found if earlier.get(one.package, one.version) != one.version}
    if not left:
        return found
    held = replace(
        request,
        preferred=tuple(wheel for wheel in request.preferred if wheel.package not in left),
        limits=(*request.limits, *(f"{package}=={earlier[package]}" for package in sorted(left))),
    )
    try:
        again = ask(held)
    except (SurroundingsError, NegativeAnswer):
        # An index, or an address, that only these versions would come from; there is an answer without them.
        return found
    return found if isinstance(again, NoSolution) else again
