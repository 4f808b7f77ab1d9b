"""The facts: what exists and what works with what, each with its source."""

from cudaforge.matrix.load import load_matrix
from cudaforge.matrix.tables import Matrix, parse_capability

__all__ = ["Matrix", "load_matrix", "parse_capability"]
