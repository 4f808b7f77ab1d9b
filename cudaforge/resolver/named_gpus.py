"""What the names of GPUs mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from cudaforge.matrix.gpu_names import parse_capability
from cudaforge.matrix.model import Gpu
from cudaforge.matrix.tables import Matrix
from cudaforge.versions import Version


class NamedGpus:
    """What a name means: every product that it may be, and what is true of all of them."""

    def __init__(self, gpus: tuple[Gpu, ...], capability: Version | None) -> None:
        self.gpus = gpus
        self.capability = capability
        """Set where a compute capability was named instead of a product."""
        self.capabilities = self._capabilities()
        """Compute capabilities to run on, each with whether the GPU is an embedded one."""
        self.kinds = frozenset(gpu.kind for gpu in gpus)
        """The kinds of product that they may be: `datacenter`, `consumer`, ..."""
        self.platforms = self._platforms()
        """Platforms of the machines that any of them is built into; empty where one is a card for any."""
        self.last_branch = self._last_branch()
        """The last driver branch that supports all of them."""
        self.first_driver = self._first_driver()
        """The oldest driver that knows all of them; of a bare capability, any product with it."""

    def apart_from(self, platform: str) -> str | None:
        """The platform of the machines that they are built into, where none of these is of that one."""
        return min(self.platforms) if self.platforms and platform not in self.platforms else None

    def _capabilities(self) -> tuple[tuple[Version, bool], ...]:
        return tuple(sorted({(gpu.capability, gpu.kind == "embedded") for gpu in self.gpus}))

    def _platforms(self) -> frozenset[str]:
        machines = [gpu.platforms for gpu in self.gpus]
        return frozenset().union(*machines) if all(machines) else frozenset()

    def _last_branch(self) -> int | None:
        branches = [gpu.last_branch for gpu in self.gpus if gpu.last_branch is not None]
        if self.capability is not None and len(branches) < len(self.gpus):
            return None
        return min(branches, default=None)

    def _first_driver(self) -> Version | None:
        drivers = [gpu.first_driver for gpu in self.gpus if gpu.first_driver is not None]
        pick: Callable[[Iterable[Version]], Version] = min if self.capability is not None else max
        return pick(drivers) if drivers else None


@lru_cache(maxsize=4096)
def named_gpus(matrix: Matrix, text: str) -> NamedGpus:
    """What a text names; it has no `capabilities` where nobody knows the name, or no known product has the
    capability."""
    return NamedGpus(matrix.find_gpus(text), parse_capability(text))
