"""The JSON form of what a fleet gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cudaforge.fleet.model import FleetAnswer, FleetImage, NodeGroup, Unserved
from cudaforge.resolver.as_json import conflict_to_json, resolution_to_json


def fleet_answer_to_json(answer: FleetAnswer) -> dict[str, object]:
    """One entry of `images` in the output of `resolve --fleet --json`."""
    return {
        "name": answer.name,
        "status": _status(answer),
        "fleet": {
            "is_smallest": answer.is_smallest,
            "images": [_image(one) for one in answer.images],
            "unserved": [_unserved(one) for one in answer.unserved],
        },
    }


def _status(answer: FleetAnswer) -> str:
    if not answer.unserved:
        return "resolved"
    return "partial" if answer.images else "conflict"


def _image(image: FleetImage) -> dict[str, object]:
    nodes: list[dict[str, object]] = []
    for one in image.groups:
        floor = None if one.driver_floor is None else str(one.driver_floor)
        nodes += _nodes([one.group], {"driver_floor": floor})
    return {"resolution": resolution_to_json(image.resolution), "nodes": nodes}


def _unserved(unserved: Unserved) -> dict[str, object]:
    return {"nodes": _nodes(unserved.groups, {}), "conflict": conflict_to_json(unserved.conflict)}


def _nodes(groups: Iterable[NodeGroup], more: Mapping[str, object]) -> list[dict[str, object]]:
    return [
        {"name": node.name, "gpus": list(node.gpus), "driver": node.driver, "count": node.count, **more}
        for group in groups
        for node in group.nodes
    ]
