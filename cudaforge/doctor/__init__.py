"""What is wrong with a host: its engine, its driver, its container set-up, its network, its disk; and whether
it can run one locked image."""

from cudaforge.doctor.checks import CHECKS, IMAGE_CHECKS, Check, diagnose
from cudaforge.doctor.host import Host, this_host
from cudaforge.doctor.look import look
from cudaforge.doctor.model import Finding, State
from cudaforge.doctor.situation import Expected, Situation

__all__ = [
    "CHECKS",
    "IMAGE_CHECKS",
    "Check",
    "Expected",
    "Finding",
    "Host",
    "Situation",
    "State",
    "diagnose",
    "look",
    "this_host",
]
