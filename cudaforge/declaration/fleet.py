"""The fleet of a declaration: its keys, what it must say, and its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cudaforge.declaration import values
from cudaforge.declaration.fields import GPUS
from cudaforge.declaration.kinds import VERSION, Mistake, integer_kind, list_kind, map_kind, text_kind
from cudaforge.declaration.model import Fleet, FleetNode
from cudaforge.declaration.tables import Field, Values, any_field, table_kind

_COUNT_MAX = 1_000_000

NODE_GPUS = Field(name=GPUS.name, kind=GPUS.kind, doc="The GPUs of the machine, as images name them.")
NODE_DRIVER = Field(name="driver", kind=VERSION, doc="Its NVIDIA driver; any, unless said.")
NODE_COUNT = Field(name="count", kind=integer_kind(1, _COUNT_MAX), doc="How many machines are like it.")
NODE_FIELDS: tuple[Field[object], ...] = (
    any_field(NODE_GPUS),
    any_field(NODE_DRIVER),
    any_field(NODE_COUNT),
)
NODES = Field(
    name="nodes",
    kind=map_kind(
        text_kind(
            r"[A-Za-z0-9]+(?:[._-]+[A-Za-z0-9]+)*",
            allowed="letters and digits with '.', '_' or '-' between them",
            longest=128,
        ),
        table_kind(NODE_FIELDS),
        example='nodes.a100 = { gpus = ["A100"], driver = "535.161.08" }',
    ),
    doc="Machines by name.",
)
DUMPS = Field(
    name="dumps",
    kind=list_kind(values.PROJECT_PATH, example='["fleet/*.xml"]'),
    doc="What `nvidia-smi -q -x` printed on machines: files of the project, directories of them, patterns.",
)
FLEET_FIELDS: tuple[Field[object], ...] = (any_field(NODES), any_field(DUMPS))


def check_fleet(fleet: Values) -> Iterator[Mistake]:
    """What a fleet lacks as a whole. `path` leads from the fleet to it."""
    if not fleet.get(NODES) and not fleet.get(DUMPS):
        what = "the fleet names no machine"
        yield Mistake(what=what, remedy='for example nodes.a100 = { gpus = ["A100"], driver = "535.161.08" }')
    nodes: Mapping[str, Values] = fleet.get(NODES) or {}
    for name, node in nodes.items():
        if not node.get(NODE_GPUS):
            what = f"node '{name}' names no GPU"
            yield Mistake(what=what, remedy='for example gpus = ["A100"]', path=(NODES.name, name))


def make_fleet(fleet: Values) -> Fleet:
    """The fleet that the values describe."""
    nodes: Mapping[str, Values] = fleet.get(NODES) or {}
    return Fleet(
        nodes=tuple(
            FleetNode(
                name=name,
                gpus=node.get(NODE_GPUS) or (),
                driver=node.get(NODE_DRIVER),
                count=node.get(NODE_COUNT) or 1,
            )
            for name, node in nodes.items()
        ),
        dumps=fleet.get(DUMPS) or (),
    )
