"""The facts: what exists and what works with what, each with its source."""

from cudaforge.matrix.gpu_names import parse_capability
from cudaforge.matrix.load import load_matrix
from cudaforge.matrix.tables import Matrix

__all__ = ["Matrix", "load_matrix", "parse_capability"]
