"""What GPUs are called: by people, by `nvidia-smi`, by vGPU profiles and by clouds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from cudaforge.matrix.model import Gpu
from cudaforge.versions import Version

_CAPABILITY = re.compile(r"(?:(?:sm|compute)_(?P<digits>\d{2,3})|(?P<dotted>\d{1,2}\.\d))[af]?", re.ASCII)
_FILLERS = frozenset({"nvidia", "graphics", "gpu", "generation"})
_BRAND = frozenset({"geforce", "tesla", "quadro", "grid"})
# What nvidia-smi, vGPU profiles (40C) and clouds add to a product's name and what does not change its compute
# capability.
_BOARD = re.compile(
    r"sxm\d?|pcie|nvl\d*|fhhl|dgxs?|hgx|lc|ac|ls|active|mega|mig|me|\d+gb?|\d+gib|\d+[abcq]|hbm\d?e?|oem"
    r"|with|max|q|design"
)
_SERIES = frozenset({"architecture", "family", "series"})


def parse_capability(text: str) -> Version | None:
    """The compute capability that a text names (`sm_90`, `compute_120`, `9.0`, `sm_90a`), or None."""
    match = _CAPABILITY.fullmatch(text.strip().lower())
    if match is None:
        return None
    digits = match["digits"]
    return Version(match["dotted"] or f"{digits[:-1]}.{digits[-1]}")


def sm(capability: Version) -> str:
    """A compute capability as compilers write it for machine code: `sm_90`."""
    return f"sm_{_digits(capability)}"


def compute(capability: Version) -> str:
    """A compute capability as compilers write it for PTX: `compute_90`."""
    return f"compute_{_digits(capability)}"


def _digits(capability: Version) -> str:
    return "".join(str(part) for part in capability.release)


class GpuNames:
    """The products of a table by everything that they may be called."""

    def __init__(self, gpus: Sequence[Gpu]) -> None:
        self._gpus = gpus

    def find(self, text: str) -> tuple[Gpu, ...]:
        """The products that a text may mean: all of a compute capability, all but the embedded ones of a
        family, or those of a name. Empty when nothing is known by it; several where it is ambiguous."""
        capability = parse_capability(text)
        if capability is not None:
            return tuple(gpu for gpu in self._gpus if gpu.capability == capability)
        named = _words(text)
        words = [word for word in named if word not in _BRAND]
        for wanted in (words, [word for word in words if not _BOARD.fullmatch(word)]):
            # Without spaces, as many write it: `rtx4090`.
            found = self._names.get("".join(wanted), ())
            if found:
                # With its brand, a name may be one product's alone: Quadro RTX 6000, RTX 6000.
                alone = [gpu for gpu in found if _BRAND.intersection(named).intersection(_words(gpu.name))]
                return tuple(alone) or found
        return self._families.get(" ".join(word for word in words if word not in _SERIES), ())

    @cached_property
    def _names(self) -> dict[str, tuple[Gpu, ...]]:
        names: dict[str, tuple[Gpu, ...]] = {}
        for gpu in self._gpus:
            for name in dict.fromkeys(map(_joined, (gpu.name, *gpu.aliases))):
                names[name] = (*names.get(name, ()), gpu)
        return names

    @cached_property
    def _families(self) -> dict[str, tuple[Gpu, ...]]:
        families: dict[str, tuple[Gpu, ...]] = {}
        for gpu in self._gpus:
            if gpu.family is None or gpu.kind == "embedded":
                continue
            words = gpu.family.lower().split()
            for name in dict.fromkeys((" ".join(words), words[0])):
                families[name] = (*families.get(name, ()), gpu)
        return families


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in _FILLERS]


def _joined(name: str) -> str:
    return "".join(word for word in _words(name) if word not in _BRAND)
