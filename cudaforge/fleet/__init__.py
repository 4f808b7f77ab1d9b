"""The smallest set of images that serves all machines of a fleet, and who gets which.

Pure: what `nvidia-smi` said is read by the caller and given as bytes.
"""

from cudaforge.fleet.answer import answer_fleet
from cudaforge.fleet.as_json import fleet_answer_to_json
from cudaforge.fleet.dump import parse_dump
from cudaforge.fleet.model import FleetAnswer, FleetImage, NodeGroup, ServedGroup, Unserved

__all__ = [
    "FleetAnswer",
    "FleetImage",
    "NodeGroup",
    "ServedGroup",
    "Unserved",
    "answer_fleet",
    "fleet_answer_to_json",
    "parse_dump",
]
