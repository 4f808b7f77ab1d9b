"""Choosing the best set of versions that agree, or saying why there is none.

Pure: the same wishes and the same matrix always give the same answer.
"""

from cudaforge.resolver.as_json import answer_to_json, conflict_to_json
from cudaforge.resolver.earlier import Earlier
from cudaforge.resolver.held import HeldBack
from cudaforge.resolver.main import (
    ImageAnswer,
    ImageExplanation,
    alternatives,
    explain_all,
    held_back,
    reasons_for,
    resolve,
    resolve_all,
)
from cudaforge.resolver.model import Answer, Conflict, Resolution

__all__ = [
    "Answer",
    "Conflict",
    "Earlier",
    "HeldBack",
    "ImageAnswer",
    "ImageExplanation",
    "Resolution",
    "alternatives",
    "answer_to_json",
    "conflict_to_json",
    "explain_all",
    "held_back",
    "reasons_for",
    "resolve",
    "resolve_all",
]
