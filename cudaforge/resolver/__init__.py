"""Choosing the best set of versions that agree, or saying why there is none.

Pure: the same wishes and the same matrix always give the same answer.
"""

from cudaforge.resolver.as_json import answer_to_json, conflict_to_json
from cudaforge.resolver.earlier import Earlier
from cudaforge.resolver.held import HeldBack
from cudaforge.resolver.learnt import Obstacle
from cudaforge.resolver.main import (
    ImageAlternatives,
    ImageAnswer,
    ImageExplanation,
    alternatives,
    alternatives_all,
    explain_all,
    held_back,
    reasons_for,
    resolve,
    resolve_all,
)
from cudaforge.resolver.model import Answer, Conflict, Resolution
from cudaforge.resolver.weighing import Collision, weigh

__all__ = [
    "Answer",
    "Collision",
    "Conflict",
    "Earlier",
    "HeldBack",
    "ImageAlternatives",
    "ImageAnswer",
    "ImageExplanation",
    "Obstacle",
    "Resolution",
    "alternatives",
    "alternatives_all",
    "answer_to_json",
    "conflict_to_json",
    "explain_all",
    "held_back",
    "reasons_for",
    "resolve",
    "resolve_all",
    "weigh",
]
