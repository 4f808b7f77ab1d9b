"""What the facts of the matrix decide about an error message: which it is, by how much, what would work."""

from __future__ import annotations

from cudaforge.explainer.main import RULES, explain

__all__ = ["RULES", "explain"]
