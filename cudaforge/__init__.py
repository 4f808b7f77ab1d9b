"""cudaforge: GPU container images that are known to work.

The stages, in the order in which data flows, are the public API:

>>> import cudaforge
>>> declaration = cudaforge.load("cudaforge.toml")      # doctest: +SKIP
>>> answers = cudaforge.resolve(declaration)            # doctest: +SKIP
>>> outcome = cudaforge.lock(declaration)               # doctest: +SKIP
>>> outcome = cudaforge.upgrade(declaration)            # doctest: +SKIP
>>> cudaforge.render(declaration, "docker")             # doctest: +SKIP
>>> results = cudaforge.build(outcome.lock, declaration=declaration)     # doctest: +SKIP
>>> verdicts = cudaforge.verify(outcome.lock, declaration=declaration)   # doctest: +SKIP
"""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, which takes as long to load as Python itself
if TYPE_CHECKING:
    from cudaforge.pipeline.decide import load, resolve
    from cudaforge.pipeline.locking import lock
    from cudaforge.pipeline.make import build, verify
    from cudaforge.pipeline.rendering import render
    from cudaforge.pipeline.upgrading import upgrade

__version__ = "0.1.0"
__all__ = ["__version__", "build", "load", "lock", "render", "resolve", "upgrade", "verify"]


_HOMES = {
    "load": "decide",
    "resolve": "decide",
    "lock": "locking",
    "upgrade": "upgrading",
    "render": "rendering",
    "build": "make",
    "verify": "make",
}


def __getattr__(name: str) -> object:
    """Load a stage when it is first asked for: importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cudaforge' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"cudaforge.pipeline.{_HOMES[name]}"), name)
