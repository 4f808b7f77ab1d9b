"""What a difference means for those who run the image: whether something is lost, gained, or only moved."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from itertools import zip_longest

from cudaforge.declaration.model import Flavor
from cudaforge.matrix.gpu_names import sm
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record
from cudaforge.resolver.coverage import runs
from cudaforge.resolver.tables import tables_of
from cudaforge.versions import Version, find_version

Value = str | int | bool | tuple[str, ...] | None


class Effect(str, Enum):
    """The kinds of difference, in the order in which people are told of them."""

    LOSS = "loss"
    """What ran before may not run any more."""
    GAIN = "gain"
    """More runs than before."""
    MOVE = "move"
    """Anything else."""


_ARCHITECTURE = re.compile(r"sm_(?P<major>\d{1,2})(?P<minor>\d)")
_KINDS = {"datacenter": 0, "consumer": 1}
"""Whose names people know an architecture by."""
_MAKER = "NVIDIA "


@record()
class KnownGpus:
    """What the facts say of compute capabilities, for the words about code that comes and goes."""

    names: Mapping[str, tuple[str, ...]]
    """Products by `sm_90`: the first of each kind, that of the data centre before all; then the others."""
    embedded: frozenset[Version]
    """Capabilities of embedded GPUs, whose code is their own."""


def known_gpus(matrix: Matrix) -> KnownGpus:
    """The GPUs of the facts."""
    kinds: dict[str, dict[str, list[str]]] = {}
    for gpu in sorted(matrix.gpus, key=lambda one: _KINDS.get(one.kind, len(_KINDS))):
        name = gpu.name.removeprefix(_MAKER)
        kinds.setdefault(sm(gpu.capability), {}).setdefault(gpu.kind, []).append(name)
    return KnownGpus(
        names={
            architecture: tuple(name for row in zip_longest(*products.values()) for name in row if name)
            for architecture, products in kinds.items()
        },
        embedded=tables_of(matrix, has_cuda_images=False).embedded_capabilities,
    )


def effect_of(field: str, old: Value, new: Value, *, code: Sequence[str], gpus: KnownGpus) -> Effect:
    """The effect of a change of a locked image's field; `code` is what the image has cubins for now."""
    if field == "architectures" and new is None and _still_runs(str(old), code, gpus):
        return Effect.MOVE
    if field.startswith("frameworks.") and field.count(".") == 1:
        return _framework(old, new)
    judge = _JUDGES.get(field)
    return Effect.MOVE if judge is None else judge(old, new)


def _still_runs(architecture: str, code: Sequence[str], gpus: KnownGpus) -> bool:
    """Whether the cubins that are left run on it."""
    wanted = _capability(architecture)
    left = [one for one in map(_capability, code) if one is not None]
    if wanted is None:
        return False
    return runs(left, wanted, is_embedded=wanted in gpus.embedded, embedded=gpus.embedded)


def _capability(architecture: str) -> Version | None:
    match = _ARCHITECTURE.fullmatch(architecture)
    return Version(f"{match['major']}.{match['minor']}") if match else None


def _is_there(old: Value, new: Value) -> Effect:
    """What an image has or has not."""
    had, has = bool(old), bool(new)
    if had == has:
        return Effect.MOVE
    return Effect.GAIN if has else Effect.LOSS


def _floor(old: Value, new: Value) -> Effect:
    """What hosts must have at least. An image that needs no driver says so by its CUDA."""
    was, now = find_version(str(old)), find_version(str(new))
    if was is None or now is None or was == now:
        return Effect.MOVE
    return Effect.LOSS if now > was else Effect.GAIN


def _framework(old: Value, new: Value) -> Effect:
    """Programs follow their framework to a newer release, and not back."""
    return _library(old, new, line=lambda _: None)


def _major(old: Value, new: Value) -> Effect:
    """Compiled programs load the libraries of their major."""
    return _library(old, new, line=lambda version: version.major)


def _minor(old: Value, new: Value) -> Effect:
    """Compiled modules are made for one minor version of Python."""
    return _library(old, new, line=lambda version: version.minor())


def _library(old: Value, new: Value, *, line: Callable[[Version], object]) -> Effect:
    if old is None or new is None:
        return _is_there(old, new)
    was, now = find_version(str(old)), find_version(str(new))
    if was is None or now is None:
        return Effect.MOVE
    return Effect.MOVE if now >= was and line(now) == line(was) else Effect.LOSS


def _system(old: Value, new: Value) -> Effect:
    """What was compiled or installed for one OS may not be there in another."""
    return Effect.MOVE if old == new else Effect.LOSS


def _flavor(old: Value, new: Value) -> Effect:
    order = [flavor.value for flavor in (Flavor.BASE, Flavor.RUNTIME, Flavor.DEVEL)]
    if old not in order or new not in order:
        return Effect.MOVE
    return Effect.GAIN if order.index(str(new)) > order.index(str(old)) else Effect.LOSS


_JUDGES: Mapping[str, Callable[[Value, Value], Effect]] = {
    "architectures": _is_there,
    "ptx": _is_there,
    "platforms": _is_there,
    "forward_compat": _is_there,
    "driver_floor": _floor,
    "cuda": _major,
    "cudnn": _major,
    "toolkit": _major,
    "python": _minor,
    "os": _system,
    "flavor": _flavor,
}
"""Fields that say where an image runs and what runs in it."""
