"""What a fleet gets, as text: images, who is served by which, and whom none can serve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cudaforge.declaration.model import FleetNode
from cudaforge.display import visible
from cudaforge.fleet import FleetAnswer, FleetImage, NodeGroup, ServedGroup, Unserved
from cudaforge.fleet.model import machines
from cudaforge.report.answers import describe_reasons, describe_resolution
from cudaforge.report.tables import paragraph

_NAMED = 3
_INDENT = " " * 13


def describe_fleet(answers: Sequence[FleetAnswer]) -> str:
    """What every image of the declaration becomes on the fleet."""
    return visible("\n\n".join(block for answer in answers for block in _blocks(answer)))


def _blocks(answer: FleetAnswer) -> Iterator[str]:
    yield _summary(answer)
    count = len(answer.images)
    for number, image in enumerate(answer.images, 1):
        yield _image(answer.name if count == 1 else f"{answer.name} ({number} of {count})", image)
    for one in answer.unserved:
        yield _unserved(answer.name, one)


def _summary(answer: FleetAnswer) -> str:
    served = machines([one.group for image in answer.images for one in image.groups])
    total = served + machines([group for one in answer.unserved for group in one.groups])
    if not served:
        return f"{answer.name}: no image serves any of {_counted(total, 'node')}"
    whom = _counted(total, "node") if served == total else f"{served} of {_counted(total, 'node')}"
    serve = "serves" if len(answer.images) == 1 else "serve"
    text = f"{answer.name}: {_counted(len(answer.images), 'image')} {serve} {whom}"
    if not answer.is_smallest:
        text += "; whether fewer could is not proven, for the search was cut short"
    return paragraph(text, first="", indent="  ")


def _image(name: str, image: FleetImage) -> str:
    lines = [describe_resolution(name, image.resolution, _drivers(image.groups))]
    several = len({(one.driver_floor, one.binding) for one in image.groups}) > 1
    for place, one in enumerate(image.groups):
        floor = (
            f"; needs >= {one.driver_floor} (set by {one.binding})" if several and one.driver_floor else ""
        )
        label = "serves" if place == 0 else ""
        lines.append(paragraph(_group(one.group) + floor, first=f"  {label:<10} ", indent=_INDENT))
    return "\n".join(lines)


def _drivers(groups: Sequence[ServedGroup]) -> str | None:
    """The span of the driver floors of different GPUs; None where there is one for all."""
    floors = sorted({one.driver_floor for one in groups if one.driver_floor is not None})
    return f">= {floors[0]} to {floors[-1]}, by GPU" if len(floors) > 1 else None


def _unserved(name: str, unserved: Unserved) -> str:
    lines = [f"{name}: no image serves"]
    lines += [paragraph(_group(group), first="  ", indent="    ") for group in unserved.groups]
    conflict = unserved.conflict
    verb = "cannot all hold" if len(conflict.core) > 1 else "cannot hold"
    lines.append(paragraph(f"{' and '.join(conflict.core)} {verb}", first="  wishes   ", indent=" " * 11))
    lines.append(describe_reasons(conflict))
    return "\n".join(lines)


def _group(group: NodeGroup) -> str:
    driver = f"driver {group.driver}" if group.driver is not None else "any driver"
    gpus = " and ".join(group.gpus)
    return f"{_counted(group.count, 'node')} with {gpus}, {driver} ({_names(group.nodes)})"


def _names(nodes: Sequence[FleetNode]) -> str:
    if len(nodes) <= _NAMED + 1:
        return ", ".join(node.name for node in nodes)
    return ", ".join(node.name for node in nodes[:_NAMED]) + f" and {len(nodes) - _NAMED} more"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")
