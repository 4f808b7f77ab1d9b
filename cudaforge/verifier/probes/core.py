"""The driver: collects the facts, runs the proofs, prints one result line."""

import os
import time
from importlib import import_module
from types import ModuleType
from typing import Any, Callable, Dict, Tuple

from cudaforge.verifier.probes import forward, hardware, libraries, samples, software
from cudaforge.verifier.probes.stages import Stage, print_result, run_apart

_SHORT = 60.0
_RESERVE = 0.1
"""Share of the time that is kept for the libraries: a framework that hangs costs its own facts alone."""
_TEMPORARY = "/tmp/cudaforge"  # noqa: S108 -- a tmpfs of the container's own
_CACHES = {
    "HOME": "home",
    "XDG_CACHE_HOME": "cache",
    "XDG_CONFIG_HOME": "config",
    "CUDA_CACHE_PATH": "cuda",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "KERAS_HOME": "keras",
    "MPLCONFIGDIR": "matplotlib",
}


def main(task: Dict[str, Any]) -> None:
    """Do the task and print its facts as one line that carries the task's nonce."""
    started = time.monotonic()
    deadline = started + task["timeout"]
    for name, directory in _CACHES.items():
        os.environ[name] = _TEMPORARY + "/" + directory
    facts: Dict[str, Any] = {"schema": task["schema"], "system": _examine(deadline)}
    until = deadline - _RESERVE * task["timeout"]
    facts["frameworks"] = {name: _prove(name, task, until) for name in task["proofs"]}
    facts["libraries"] = _examine_libraries(facts["frameworks"], deadline)
    facts["memory_kills"] = software.memory_kills()
    facts["peak_memory"] = software.peak_memory()
    facts["seconds"] = round(time.monotonic() - started, 3)
    print_result("{} {}".format(task["tag"], task["nonce"]), facts)


def _examine(deadline: float) -> Dict[str, object]:
    return run_apart(
        [
            Stage("system", software.describe_system, _SHORT),
            Stage("distributions", software.list_distributions, _SHORT),
            Stage("toolkit", software.find_toolkit, _SHORT),
            Stage("nodes", hardware.find_nodes, _SHORT),
            Stage("driver", hardware.find_driver, _SHORT, stops=True),
            Stage("cuda", hardware.ask_cuda, _SHORT),
        ],
        deadline,
    )


def work_of(proof: ModuleType) -> Tuple[str, Tuple[str, ...]]:
    """What a proof does, `train` or `compute`, and on which devices."""
    return "compute" if hasattr(proof, "compute") else "train", getattr(proof, "DEVICES", ("cpu", "gpu"))


def _prove(name: str, task: Dict[str, Any], deadline: float) -> Dict[str, object]:
    """One framework in a child of its own: two frameworks in one process would share nothing well."""
    proof = import_module("cudaforge.verifier.probes." + name)
    os.environ.update(proof.ENVIRONMENT)
    loaded: list[Any] = []
    gpus: list[object] = []
    work, devices = work_of(proof)

    def load() -> None:
        loaded.append(proof.load())

    def find_devices() -> object:
        found = proof.find_devices(loaded[0])
        gpus.extend(found["devices"])
        return found

    def work_on(device: str) -> Callable[[], object]:
        def run() -> object:
            if device == "gpu" and not gpus:
                return None
            if work == "compute":
                return proof.compute(loaded[0], forward.make_network(task["seed"]), device=device)
            batch = samples.make_samples(task["seed"])
            return proof.train(loaded[0], batch, device=device, steps=task["steps"], seed=task["seed"])

        return run

    return run_apart(
        [
            Stage("load", load, task["timeout"], stops=True),
            Stage("describe", lambda: proof.describe(loaded[0]), _SHORT),
            Stage("devices", find_devices, _SHORT),
            *(Stage(work + "_" + device, work_on(device), task["timeout"]) for device in devices),
            Stage("libraries", libraries.find_loaded, _SHORT),
        ],
        deadline,
    )


def _examine_libraries(frameworks: Dict[str, Any], deadline: float) -> Dict[str, object]:
    loaded = [
        path
        for framework in frameworks.values()
        for stage in framework["stages"]
        if stage["name"] == "libraries" and stage["state"] == "done"
        for path in stage["value"]
    ]
    return run_apart([Stage("versions", lambda: libraries.read_versions(loaded), _SHORT)], deadline)
