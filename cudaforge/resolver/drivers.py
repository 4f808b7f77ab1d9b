"""The driver: what CUDA, GPUs and the base image's gate ask of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cudaforge.matrix.model import CudaRelease, DriverBranch
from cudaforge.records import record
from cudaforge.versions import InvalidVersion, Version

_CONDITION = re.compile(r"(?P<name>[a-z]+)(?P<operator>>=|<=|!=|=|>|<)(?P<value>[^,\s]+)")
_DATA_CENTRE = "datacenter"
_DATA_CENTRE_BRANDS = frozenset(("tesla",))


@record(kw_only=False)
class Condition:
    """One comparison of a gate: `driver>=535`."""

    name: str
    operator: str
    value: str


Gate = tuple[tuple[Condition, ...], ...]
"""Alternatives, each a set of conditions that hold together."""


def parse_gate(text: str) -> Gate:
    """The alternatives of an `NVIDIA_REQUIRE_CUDA` value: spaces separate them, commas join conditions."""
    return tuple(
        tuple(
            Condition(match["name"], match["operator"], match["value"])
            for match in map(_CONDITION.fullmatch, alternative.split(","))
            if match is not None
        )
        for alternative in text.split()
    )


def gate_passes(
    gate: Gate, *, driver: Version, kinds: frozenset[str], branches: Sequence[DriverBranch]
) -> bool:
    """Whether a host with that driver and GPUs of those kinds may start the image.

    Alternatives for a brand count only where every GPU is a data-centre one.
    """
    is_data_centre = kinds == {_DATA_CENTRE}
    cuda = native_cuda(driver, branches)
    return any(
        all(_holds(one, driver=driver, cuda=cuda, is_data_centre=is_data_centre) for one in alternative)
        for alternative in gate
    )


def _holds(condition: Condition, *, driver: Version, cuda: Version | None, is_data_centre: bool) -> bool:
    if condition.name == "brand":
        return is_data_centre and condition.value in _DATA_CENTRE_BRANDS
    actual = {"driver": driver, "cuda": cuda}.get(condition.name)
    if actual is None:
        return False
    try:
        wanted = Version(condition.value)
    except InvalidVersion:
        return False
    compared = {
        ">=": actual >= wanted,
        "<=": actual <= wanted,
        ">": actual > wanted,
        "<": actual < wanted,
        "=": actual == wanted,
        "!=": actual != wanted,
    }
    return compared[condition.operator]


def native_cuda(driver: Version, branches: Sequence[DriverBranch]) -> Version | None:
    """The newest CUDA that the driver runs natively: that of the newest branch not above it."""
    known = [row for row in branches if row.branch <= driver.major]
    return known[-1].cuda if known else None


def gate_cuda(gate: Gate) -> Version | None:
    """The CUDA that the gate asks of any driver, whatever the GPU's brand."""
    for alternative in gate:
        if len(alternative) == 1 and alternative[0].name == "cuda" and alternative[0].operator == ">=":
            return Version(alternative[0].value)
    return None


def gate_floor(gate: Gate, releases: Iterable[CudaRelease]) -> Version | None:
    """The oldest driver that passes the gate on any GPU; None where no release says."""
    wanted = gate_cuda(gate)
    if wanted is None:
        return None
    drivers = [
        row.driver for row in releases if row.driver is not None and row.version.minor() >= wanted.minor()
    ]
    return min(drivers, default=None)


def cuda_floor(release: CudaRelease, *, needs_native: bool) -> Version | None:
    """The oldest driver for code of that CUDA: PTX needs the native one, cubins any of its major."""
    if needs_native or release.minor_driver is None:
        return release.driver
    return release.minor_driver
