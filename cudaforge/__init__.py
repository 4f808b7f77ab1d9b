"""cudaforge: GPU container images that are known to work.

The stages, in the order in which data flows, are the public API:

>>> import cudaforge
>>> declaration = cudaforge.load("cudaforge.toml")      # doctest: +SKIP
>>> answers = cudaforge.resolve(declaration)            # doctest: +SKIP
>>> outcome = cudaforge.lock(declaration)               # doctest: +SKIP
>>> cudaforge.render(declaration, "docker")             # doctest: +SKIP
>>> results = cudaforge.build(outcome.lock, declaration=declaration)     # doctest: +SKIP
>>> verdicts = cudaforge.verify(outcome.lock, declaration=declaration)   # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cudaforge.pipeline import build, load, lock, render, resolve, verify

__version__ = "0.1.0"
__all__ = ["__version__", "build", "load", "lock", "render", "resolve", "verify"]


def __getattr__(name: str) -> object:
    """Load a stage when it is first asked for: importing the package costs nothing."""
    if name in __all__:
        import cudaforge.pipeline

        return getattr(cudaforge.pipeline, name)
    raise AttributeError(f"module 'cudaforge' has no attribute {name!r}")
