"""What the proofs do and look at, read off the proofs themselves and never off what an image reports."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from cudaforge.records import record
from cudaforge.verifier.bundle import PROBES, checked_proof
from cudaforge.verifier.probes.core import extras_of, work_of


@record()
class Work:
    """What one proof has a framework do."""

    name: str
    """`train`, or `compute` for a framework that runs models and trains none."""
    done: str
    """`trained`."""
    does: str
    """`trains`."""
    devices: tuple[str, ...]
    """`cpu` and `gpu`, or the one that the framework can work on."""
    extras: tuple[str, ...]
    """Stages besides: `gradient_cpu`, `mixed_gpu`."""


@record()
class ProofFiles:
    """Where a framework's files lie, as its proof says."""

    package: str
    """A pattern of the normalised names of the distributions that bring it."""
    roots: tuple[str, ...]
    kernels: tuple[str, ...]
    compiles: bool
    """Whether it compiles code at run time, so that what its files hold does not bound where it runs."""


@cache
def proof_files(proof: str) -> ProofFiles:
    """What a proof says of files. Raises SurroundingsError for one that this cudaforge does not have."""
    module = import_module(f"{PROBES}.{checked_proof(proof)}")
    return ProofFiles(
        package=module.PACKAGE,
        roots=getattr(module, "ROOTS", ()),
        kernels=getattr(module, "KERNELS", ()),
        compiles=getattr(module, "COMPILES", False),
    )


@cache
def proof_work(proof: str) -> Work:
    """What a proof does. Raises SurroundingsError for one that this cudaforge does not have."""
    module = import_module(f"{PROBES}.{checked_proof(proof)}")
    name, devices = work_of(module)
    return Work(
        name=name,
        done=f"{name.removesuffix('e')}ed",
        does=f"{name}s",
        devices=tuple(devices),
        extras=extras_of(module),
    )
