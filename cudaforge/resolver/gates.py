"""The gate of a base image, `NVIDIA_REQUIRE_CUDA`: which hosts may start it.

Read as the container toolkit reads it. Source: NVIDIA/libnvidia-container, src/cli/dsl.c (spaces separate
alternatives, commas join conditions) and src/cli/configure.c (evaluated for each GPU).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from cudaforge.matrix.model import CudaRelease, DriverBranch
from cudaforge.records import record
from cudaforge.resolver.candidates import Environment
from cudaforge.resolver.drivers import native_cuda
from cudaforge.versions import InvalidVersion, Version

_CONDITION = re.compile(r"(?P<name>[A-Za-z]+)(?P<operator>>=|<=|!=|=|>|<)(?P<value>[^,\s]+)")
# What the container toolkit may call a GPU of each kind: by the name that the driver gives, which before
# 470 was `tesla` for all of the data centre, and `unknown` where the toolkit is older than the name.
_BRANDS: Mapping[str, frozenset[str]] = {
    "datacenter": frozenset(("tesla", "nvidia", "unknown")),
    "workstation": frozenset(("quadro", "quadrortx", "nvidiartx", "unknown")),
    "consumer": frozenset(("geforce", "titan")),
    "laptop": frozenset(("geforce", "quadro", "quadrortx", "nvidiartx", "unknown")),
}
_FIRST_OF_NAMES = 470
_BEFORE_NAMES = frozenset(("tesla",))
_NEVER = "invalid"


@record(kw_only=False)
class Condition:
    """One comparison of a gate: `driver>=535`."""

    name: str
    operator: str
    value: str


Gate = tuple[tuple[Condition, ...], ...]
"""Alternatives, each a set of conditions that hold together."""


def parse_gate(text: str) -> Gate:
    """The alternatives of an `NVIDIA_REQUIRE_CUDA` value: spaces separate them, commas join conditions.
    What is no condition never holds."""
    return tuple(
        tuple(_condition(part) for part in alternative.split(",") if part) for alternative in text.split()
    )


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        return Condition(_NEVER, "=", text)
    return Condition(match["name"].lower(), match["operator"], match["value"])


GateKey = tuple[str | None, tuple[int, ...], tuple[str, ...], frozenset[str]]
"""What tells one base's gate from another's: text, branches, brands, and the platforms of these."""


def gate_key(one: Environment) -> GateKey:
    """The gate of an environment."""
    return one.gate, one.gate_branches, one.gate_brands, one.compat_platforms


def gate_on(
    platforms: Iterable[str],
    text: str | None,
    branches: Iterable[int],
    brands: Iterable[str],
    of: frozenset[str],
) -> Gate | None:
    """The gate on all of the platforms, with an alternative for each brand on each branch where they are
    `of` those; None where there is none."""
    if not text:
        return None
    more = [
        (
            Condition("brand", "=", brand),
            Condition("driver", ">=", str(branch)),
            Condition("driver", "<", str(branch + 1)),
        )
        for branch in branches
        for brand in brands
    ]
    return (*parse_gate(text), *(more if of.issuperset(platforms) else ()))


def gate_passes(
    gate: Gate, *, driver: Version, kinds: frozenset[str], branches: Sequence[DriverBranch]
) -> bool:
    """Whether a host with that driver may start the image with GPUs of each of those kinds.

    The facts do not tell a GPU's brand: all that its kind may have have to pass.
    """
    cuda = native_cuda(driver, branches)

    def passes(brand: str | None) -> bool:
        return any(
            all(_holds(one, driver=driver, cuda=cuda, brand=brand) for one in alternative)
            for alternative in gate
        )

    return passes(None) or (bool(kinds) and all(map(passes, _brands(kinds, driver))))


def _brands(kinds: Iterable[str], driver: Version) -> frozenset[str | None]:
    found: set[str | None] = set()
    for kind in kinds:
        is_named_later = kind == "datacenter" and driver.major < _FIRST_OF_NAMES
        found |= _BEFORE_NAMES if is_named_later else _BRANDS.get(kind, frozenset((None,)))
    return frozenset(found)


def _holds(condition: Condition, *, driver: Version, cuda: Version | None, brand: str | None) -> bool:
    if condition.name == "brand":
        is_same = brand is not None and condition.value.lower() == brand
        return (condition.operator == "=" and is_same) or (
            condition.operator == "!=" and brand is not None and not is_same
        )
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


def gate_cuda(gate: Gate) -> Version | None:
    """The CUDA that the gate asks of any driver, whatever the GPU's brand."""
    for alternative in gate:
        if len(alternative) == 1 and alternative[0].name == "cuda" and alternative[0].operator == ">=":
            return Version(alternative[0].value)
    return None


def gate_floor(
    gate: Gate,
    releases: Iterable[CudaRelease],
    *,
    kinds: frozenset[str] = frozenset(),
    branches: Sequence[DriverBranch] = (),
    last_branch: int | None = None,
) -> Version | None:
    """The oldest driver from which on all branches, up to the last, pass the gate; None where nothing
    says."""
    wanted = gate_cuda(gate)
    if wanted is None:
        return None
    drivers = [
        row.driver for row in releases if row.driver is not None and row.version.minor() >= wanted.minor()
    ]
    floor = min(drivers, default=None)
    if floor is None:
        return None
    newest = floor.major - 1 if last_branch is None else min(floor.major - 1, last_branch)
    for row in sorted(branches, key=lambda one: -one.branch):
        oldest = Version(str(row.branch))
        if row.branch <= newest:
            if not gate_passes(gate, driver=oldest, kinds=kinds, branches=branches):
                break
            floor = oldest
    return floor
