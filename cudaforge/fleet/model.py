"""What a fleet gets: images, who is served by which, and whom none can serve."""

from __future__ import annotations

from collections.abc import Sequence

from cudaforge.declaration.model import FleetNode
from cudaforge.records import record
from cudaforge.resolver import Conflict, Resolution
from cudaforge.versions import Version


@record()
class NodeGroup:
    """Nodes with the same GPUs and driver."""

    gpus: tuple[str, ...]
    driver: str | None
    nodes: tuple[FleetNode, ...]

    @property
    def count(self) -> int:
        """How many machines they are."""
        return sum(node.count for node in self.nodes)


@record()
class ServedGroup:
    """Nodes that an image serves, and the oldest driver that they could have with it."""

    group: NodeGroup
    driver_floor: Version | None
    binding: str | None
    """What sets it, as in `CudaNumbers`."""


@record()
class FleetImage:
    """One image of the set, and the nodes that get it."""

    resolution: Resolution
    groups: tuple[ServedGroup, ...]


@record()
class Unserved:
    """Nodes that no image can serve, and why. The repairs were resolved again for these nodes alone."""

    groups: tuple[NodeGroup, ...]
    conflict: Conflict


@record()
class FleetAnswer:
    """What one image of a declaration becomes on a fleet."""

    name: str
    images: tuple[FleetImage, ...]
    unserved: tuple[Unserved, ...]
    is_smallest: bool
    """Whether it is proven that no smaller set serves as many."""


def machines(groups: Sequence[NodeGroup]) -> int:
    """How many machines are in all of the groups."""
    return sum(group.count for group in groups)
