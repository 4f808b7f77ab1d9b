"""Getting the matrix of this installation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cudaforge.matrix.tables import Matrix


def load_matrix(*, overlays: Sequence[Path] = ()) -> Matrix:
    """The facts of this installation, with the user's overlay files on top, in their order.

    Raises InputError for a malformed overlay and SurroundingsError for a broken installation.
    """
    raise NotImplementedError(overlays)
