"""Products that a dump names: known to the matrix, or what to say of them."""

from __future__ import annotations

from cudaforge.matrix.tables import Matrix
from cudaforge.resolver.model import ConflictReason, ReasonKind
from cudaforge.resolver.names import gpu_names, near_names
from cudaforge.resolver.reasons.view import REFRESH


def is_known_product(name: str, matrix: Matrix) -> bool:
    """Whether the matrix knows a GPU by that name, or one of that compute capability."""
    return bool(matrix.find_gpus(name))


def unknown_product(name: str, matrix: Matrix) -> ConflictReason:
    """That the matrix does not know the product, with the ones that are called alike."""
    near = near_names(name, gpu_names(matrix))
    nearest = f"; nearest known: {', '.join(near)}" if near else ""
    return ConflictReason(
        kind=ReasonKind.UNKNOWN,
        text=f"GPU {name} is not in the matrix of {matrix.as_of}{nearest}; {REFRESH}",
        source=None,
    )
