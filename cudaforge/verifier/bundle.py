"""The probe as one command: its sources, compressed, as an argument of the image's own Python.

Nothing is mounted and nothing is written, so that it runs with a read-only root, as any user, and on
an engine elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from cudaforge.display import show
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.verifier.evidence import SCHEMA, SEED, TAG

ARGUMENT_LIMIT = 128 * 1024
"""Linux's MAX_ARG_STRLEN: one argument, its ending NUL included."""

PROBES = "cudaforge.verifier.probes"
_DRIVER = (
    "samples",
    "forward",
    "stages",
    "nvml",
    "hardware",
    "software",
    "elf",
    "libraries",
    "compiler",
    "core",
)
"""In an order in which each imports earlier ones alone."""
_INSPECTION = (
    "stages",
    "nvml",
    "hardware",
    "software",
    "elf",
    "libraries",
    "ldpath",
    "kernels",
    "inventory",
    "inspection",
)
"""What looks at files alone; likewise."""
_PROOF_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LAUNCHER = """
import base64, json, sys, types, zlib
task = json.loads(zlib.decompress(base64.b85decode(sys.argv[1])).decode("utf-8"))
sys.path[:] = [entry for entry in sys.path if entry]
for name, source in task.pop("sources"):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = []
    exec(compile(source, "<" + name + ">", "exec"), module.__dict__)
sys.modules["cudaforge.verifier.probes." + task.pop("main")].main(task)
"""


def has_proof(name: str) -> bool:
    """Whether there is a proof of that name."""
    if _PROOF_NAME.fullmatch(name) is None or name in (*_DRIVER, *_INSPECTION):
        return False
    return resources.files(PROBES).joinpath(f"{name}.py").is_file()


def probe_arguments(
    proofs: Sequence[str],
    *,
    nonce: str,
    steps: int,
    seed: int,
    timeout: float,
    challenge: int = SEED,
    memory_limit: int | None = None,
    has_compiler: bool = False,
) -> tuple[str, ...]:
    """Arguments for a Python that run the proofs and print one line that carries the nonce.

    `seed` is that of the training and `challenge` that of the network whose answer is known outside.
    `timeout` is the probe's own deadline in seconds, `memory_limit` what frameworks may take of a GPU in
    bytes, `has_compiler` says that the image promises compilers. Raises SurroundingsError where a lock
    names a proof that this cudaforge does not have.
    """
    task = {
        "main": "core",
        "proofs": list(proofs),
        "schema": SCHEMA,
        "tag": TAG,
        "nonce": nonce,
        "steps": steps,
        "seed": seed,
        "challenge": challenge,
        "timeout": timeout,
        "memory_limit": memory_limit,
        "compiles": has_compiler,
        "sources": _sources((*_DRIVER, *map(checked_proof, proofs))),
    }
    return _packed(task)


def inspection_arguments(task: Mapping[str, object], *, nonce: str) -> tuple[str, ...]:
    """Arguments for a Python that look at files, as the task says, and print one line with the nonce."""
    whole = {
        **task,
        "main": "inspection",
        "schema": SCHEMA,
        "tag": TAG,
        "nonce": nonce,
        "sources": _sources(_INSPECTION),
    }
    return _packed(whole)


def inspection_digest() -> str:
    """SHA-256 over the sources of what looks at files: its findings depend on nothing else of cudaforge."""
    return hashlib.sha256(repr(_sources(_INSPECTION)).encode()).hexdigest()


def _packed(task: Mapping[str, object]) -> tuple[str, ...]:
    packed = base64.b85encode(zlib.compress(json.dumps(task).encode("utf-8"), 9)).decode("ascii")
    return ("-B", "-c", _LAUNCHER, packed)


def probe_digest(proofs: Sequence[str]) -> str:
    """SHA-256 over all that decides what a verdict says: the probe's sources and the judgement."""
    digest = hashlib.sha256()
    modules = (*_DRIVER, *_INSPECTION, *map(checked_proof, proofs))
    for name, source in (*_sources(modules), *_judgement()):
        digest.update(f"{name}\0{len(source)}\0{source}".encode())
    return digest.hexdigest()


def _sources(modules: Sequence[str]) -> tuple[tuple[str, str], ...]:
    packages = [(name, "") for name in ("cudaforge", "cudaforge.verifier", PROBES)]
    return (*packages, *((f"{PROBES}.{name}", _read(PROBES, name)) for name in modules))


def _judgement() -> tuple[tuple[str, str], ...]:
    package = "cudaforge.verifier"
    names = sorted(entry.name for entry in resources.files(package).iterdir() if entry.name.endswith(".py"))
    return tuple((name, _read(package, name.removesuffix(".py"))) for name in names)


def checked_proof(proof: str) -> str:
    """The name of a proof that exists. Raises SurroundingsError for another."""
    if not has_proof(proof):
        raise SurroundingsError(
            Problem(
                what=f"there is no proof called {show(proof)}",
                because=("the lock names it; this cudaforge does not have it",),
                remedy="verify with the cudaforge that made the lock, or lock again",
            )
        )
    return proof


@cache
def _read(package: str, name: str) -> str:
    return resources.files(package).joinpath(f"{name}.py").read_text("utf-8")
