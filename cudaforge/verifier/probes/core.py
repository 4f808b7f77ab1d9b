"""The driver: collects the facts, runs the proofs, prints one result line."""

import os
import time
from importlib import import_module
from types import ModuleType
from typing import Any, Callable, Dict, List, Tuple

from cudaforge.verifier.probes import compiler, forward, hardware, libraries, nvml, samples, software
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
_ON_GPUS = {
    "mixed_gpu": "mix",
    "compiled_gpu": "run_compiled",
    "reduce_gpu": "reduce",
    "memory_gpu": "measure_memory",
}
"""Stages beside the work itself, in their order, and what of the proof they call."""


def main(task: Dict[str, Any]) -> None:
    """Do the task and print its facts as one line that carries the task's nonce."""
    started = time.monotonic()
    deadline = started + task["timeout"]
    for name, directory in _CACHES.items():
        os.environ[name] = _TEMPORARY + "/" + directory
    facts: Dict[str, Any] = {"schema": task["schema"], "system": _examine(task, deadline)}
    until = deadline - _RESERVE * task["timeout"]
    facts["frameworks"] = {name: _prove(name, task, until) for name in task["proofs"]}
    facts["libraries"] = _examine_libraries(facts["frameworks"], deadline)
    facts["memory_kills"] = software.memory_kills()
    facts["peak_memory"] = software.peak_memory()
    facts["seconds"] = round(time.monotonic() - started, 3)
    print_result("{} {}".format(task["tag"], task["nonce"]), facts)


def _examine(task: Dict[str, Any], deadline: float) -> Dict[str, object]:
    seen: Dict[str, Any] = {}

    def find_toolkit() -> object:
        seen["toolkit"] = software.find_toolkit()
        return seen["toolkit"]

    def ask_cuda() -> object:
        seen["cuda"] = hardware.ask_cuda()
        return seen["cuda"]

    def try_compiler() -> object:
        if not task["compiles"]:
            return None
        devices = seen.get("cuda", {}).get("devices", [])
        return compiler.try_compiler(seen["toolkit"]["path"], devices[0]["capability"] if devices else None)

    return run_apart(
        [
            Stage("system", software.describe_system, _SHORT),
            Stage("distributions", software.list_distributions, _SHORT),
            Stage("toolkit", find_toolkit, _SHORT),
            Stage("nodes", hardware.find_nodes, _SHORT),
            Stage("driver", hardware.find_driver, _SHORT, stops=True),
            Stage("cuda", ask_cuda, _SHORT),
            Stage("nvml", nvml.ask_nvml, _SHORT),
            Stage("compiler", try_compiler, task["timeout"]),
        ],
        deadline,
    )


def work_of(proof: ModuleType) -> Tuple[str, Tuple[str, ...]]:
    """What a proof does, `train` or `compute`, and on which devices."""
    return "compute" if hasattr(proof, "compute") else "train", getattr(proof, "DEVICES", ("cpu", "gpu"))


def extras_of(proof: ModuleType) -> Tuple[str, ...]:
    """What a proof can do besides, as the names of its stages."""
    gradients = ["gradient_" + device for device in work_of(proof)[1] if hasattr(proof, "differentiate")]
    return (*gradients, *(stage for stage, name in _ON_GPUS.items() if hasattr(proof, name)))


def _prove(name: str, task: Dict[str, Any], deadline: float) -> Dict[str, object]:
    """One framework in a child of its own: two frameworks in one process would share nothing well."""
    proof = import_module("cudaforge.verifier.probes." + name)
    os.environ.update(proof.ENVIRONMENT)
    work = _Work(proof, task)
    kind, devices = work_of(proof)
    extras = extras_of(proof)
    names = []
    for device in devices:
        names += [kind + "_" + device, *(stage for stage in ("gradient_" + device,) if stage in extras)]
    names += [stage for stage in _ON_GPUS if stage in extras]
    return run_apart(
        [
            Stage("load", work.load, task["timeout"], stops=True),
            Stage("describe", lambda: proof.describe(work.module), _SHORT),
            Stage("devices", work.find_devices, _SHORT),
            *(Stage(stage, work.stage(stage), task["timeout"]) for stage in names),
            Stage("libraries", libraries.find_loaded, _SHORT),
        ],
        deadline,
    )


class _Work:
    """What one framework is asked to do, stage by stage."""

    def __init__(self, proof: ModuleType, task: Dict[str, Any]) -> None:
        self.module: Any = None
        self._proof: Any = proof
        self._task = task
        self._gpus: List[object] = []

    def load(self) -> None:
        self.module = self._proof.load()

    def find_devices(self) -> object:
        found = self._proof.find_devices(self.module)
        self._gpus = found["devices"]
        if self._gpus and hasattr(self._proof, "limit_memory"):
            self._proof.limit_memory(self.module, self._task["memory_limit"])
        return found

    def stage(self, name: str) -> Callable[[], object]:
        """The work of a stage; what needs a GPU finds nothing where the framework lists none."""
        device = "cpu" if name.endswith("_cpu") else "gpu"
        needed = 2 if name == "reduce_gpu" else 1

        def run() -> object:
            if device == "gpu" and len(self._gpus) < needed:
                return None
            if name == "compiled_gpu" and not self._task["compiles"]:
                return None
            return self._run(name.partition("_")[0], device)

        return run

    def _run(self, kind: str, device: str) -> object:
        proof, seed, steps = self._proof, self._task["seed"], self._task["steps"]
        if kind in ("train", "mixed"):
            run = proof.train if kind == "train" else proof.mix
            return run(self.module, samples.make_samples(seed), device=device, steps=steps, seed=seed)
        if kind == "reduce":
            return proof.reduce(self.module)
        if kind == "memory":
            return proof.measure_memory(self.module)
        names = {"gradient": "differentiate", "compiled": "run_compiled"}
        run = getattr(proof, names.get(kind, kind))
        return run(self.module, forward.make_network(self._task["challenge"]), device=device)


def _examine_libraries(frameworks: Dict[str, Any], deadline: float) -> Dict[str, object]:
    loaded = [
        path
        for framework in frameworks.values()
        for stage in framework["stages"]
        if stage["name"] == "libraries" and stage["state"] == "done"
        for path in stage["value"]
    ]
    return run_apart([Stage("versions", lambda: libraries.read_versions(loaded), _SHORT)], deadline)
