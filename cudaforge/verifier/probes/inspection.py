"""The static probe: what an image's files are and what the loader would do with them. No framework runs."""

import fnmatch
import glob
import os
import re
import sys
import time
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set

from cudaforge.verifier.probes import inventory, kernels, libraries, software
from cudaforge.verifier.probes.elf import Malformed
from cudaforge.verifier.probes.ldpath import Loaded, Loader, find_preloads
from cudaforge.verifier.probes.stages import Stage, print_result, run_apart

_SHORT = 30.0
_LISTED = 200
_LARGEST_TEXT = 256 * 1024
FAMILY = re.compile(
    r"lib(?P<name>nvJitLink|cudnn|nccl|cudart|cublas|cublasLt|cufft|curand|cusolver|cusolverMg|cusparse|cusparseLt"
    r"|cupti|nvrtc|nvToolsExt|cufile)(?P<part>_\w+)?(?:-[0-9a-f]{8})?\.so(?:\.(?P<version>[\d.]+))?"
)
"""Libraries of CUDA that frameworks load."""
_DRIVER = ("libcuda.so.1", "libcuda.so", "libnvidia-ml.so.1", "libnvidia-ml.so")


def main(task: Dict[str, Any]) -> None:
    """Do the task and print its facts as one line that carries the task's nonce."""
    started = time.monotonic()
    deadline = started + task["timeout"]
    asked: List[Stage] = []
    if task["survey"]:
        asked = [Stage("pythons", inventory.find_pythons, task["timeout"])]
    facts: Dict[str, Any] = {
        "schema": task["schema"],
        "system": run_apart(
            [
                Stage("system", software.describe_system, _SHORT),
                Stage("distributions", software.list_distributions, _SHORT),
                Stage("toolkit", software.find_toolkit, _SHORT),
                *asked,
            ],
            deadline,
        ),
    }
    frameworks = task["frameworks"]
    facts["files"] = run_apart(
        [
            *(
                Stage("libraries." + name, _walker(patterns["roots"], task["wanted"]), _SHORT)
                for name, patterns in frameworks.items()
            ),
            *(
                Stage("code." + name, _reader(patterns["kernels"], task["flags"]), _SHORT)
                for name, patterns in frameworks.items()
            ),
            Stage("texts", lambda: _read_texts(task["texts"]), _SHORT),
            Stage("size", inventory.measure_files, _SHORT),
        ],
        deadline,
    )
    facts["libraries"] = run_apart(
        [Stage("versions", lambda: libraries.read_versions(_loaded(facts["files"])), _SHORT)], deadline
    )
    facts["frameworks"] = {}
    facts["memory_kills"] = software.memory_kills()
    facts["peak_memory"] = software.peak_memory()
    facts["seconds"] = round(time.monotonic() - started, 3)
    print_result("{} {}".format(task["tag"], task["nonce"]), facts)


def _walker(roots: Sequence[str], wanted: Sequence[str]) -> Any:  # noqa: ANN401 -- a stage's work
    return lambda: walk(_matching(roots), wanted)


def _reader(patterns: Sequence[str], flags: Sequence[str]) -> Any:  # noqa: ANN401 -- a stage's work
    return lambda: _read_code(patterns, flags)


def walk(roots: Sequence[str], wanted: Sequence[str]) -> Dict[str, object]:
    """What the loader takes for the roots, for what they need, and for the names that are `wanted` of it."""
    beside = tuple(
        directory
        for place in sys.path
        for directory in sorted(glob.glob(os.path.join(glob.escape(place), "nvidia", "*", "lib")))
    )
    loader = Loader(
        "/proc/self/exe", os.environ.get("LD_LIBRARY_PATH", ""), beside, find_preloads(os.environ)
    )
    loaded = [loader.load(path) for path in roots]
    late = {name: _ask(loader, name, loaded) for name in wanted}
    taken = [one for one in loader.loaded if FAMILY.fullmatch(os.path.basename(one.name))]
    return {
        "roots": list(roots)[:_LISTED],
        "loaded": len(loader.loaded),
        "missing": [{"name": one.name, "by": one.by} for one in loader.missing[:_LISTED]],
        "broken": [
            {"name": one.name, "path": one.path} for one in loader.loaded if one.elf is None and one.by
        ][:_LISTED],
        "taken": [_described(one) for one in taken[:_LISTED]],
        "wanted": {name: None if one is None else _described(one) for name, one in late.items()},
        "parts": [part for one in taken for part in _parts(loader, one)][:_LISTED],
        "copies": _copies(loader, {one.name for one in taken}),
        "wheels": _wheels(beside, loader),
        "driver": _driver(loader, loaded[0] if loaded else loader.program),
        "search": loader.search,
    }


def _ask(loader: Loader, name: str, roots: Sequence[Loaded]) -> Optional[Loaded]:
    """What the framework gets that loads a library by name, late: by the paths of any of its own."""
    found = [one for one in (loader.find(name, root) for root in roots) if one is not None]
    best = next((one for one in found if one.way != "beside"), found[0] if found else None)
    if best is not None:
        loader.take(best)
    return best


def _parts(loader: Loader, library: Loaded) -> Iterator[Dict[str, object]]:
    """cuDNN loads its parts by name when it needs them; they have to be of one release."""
    match = FAMILY.fullmatch(os.path.basename(library.path))
    if match is None or match.group("name") != "cudnn" or match.group("part"):
        return
    directory = os.path.dirname(library.path)
    pattern = "libcudnn_*.so.{}".format((match.group("version") or "*").partition(".")[0])
    for name in sorted(fnmatch.filter(os.listdir(directory), pattern)):
        found = loader.find(name, library)
        if found is not None:
            own = os.path.join(directory, name)
            yield dict(_described(found), beside=own, same=_is_same(own, found.path))


def _wheels(directories: Sequence[str], loader: Loader) -> Dict[str, object]:
    """CUDA's libraries in the wheels, by name, and whether what is loaded under that name is the same."""
    taken = {one.name: one.path for one in loader.loaded}
    found: Dict[str, object] = {}
    for directory in directories:
        for name in sorted(os.listdir(directory)):
            if name in taken and FAMILY.fullmatch(name) and name not in found:
                path = os.path.join(directory, name)
                found[name] = {"path": path, "same": _is_same(path, taken[name])}
    return found


def _copies(loader: Loader, taken: Set[str]) -> Dict[str, List[Dict[str, object]]]:
    """Where else CUDA's libraries lie that the loader finds on its own, by name."""
    found: Dict[str, List[Dict[str, object]]] = {}
    for name in sorted(loader.names()):
        match = FAMILY.fullmatch(name)
        if match is None or (name not in taken and match.group("name") != "cudnn"):
            continue
        seen: Set[str] = set()
        for path, way in loader.everywhere(name):
            real = os.path.realpath(path)
            if real not in seen and len(found) < _LISTED:
                seen.add(real)
                found.setdefault(name, []).append({"path": path, "real": real, "way": way})
    for name, copies in found.items():
        own = next((one.path for one in loader.loaded if one.name == name), None)
        for copy in copies:
            copy["same"] = own is not None and _is_same(own, str(copy["path"]))
    return found


def _driver(loader: Loader, asker: Loaded) -> Dict[str, object]:
    """Driver libraries that the loader would find in the image: there should be none."""
    lying: List[Dict[str, object]] = []
    for name in _DRIVER:
        for path, way in loader.everywhere(name):
            real = os.path.realpath(path)
            if not any(one["real"] == real for one in lying):
                size = os.path.getsize(real) if os.path.exists(real) else 0
                lying.append({"path": path, "real": real, "way": way, "size": size})
    found = loader.find("libcuda.so.1", asker)
    return {"lying": lying[:_LISTED], "taken": None if found is None else found.path}


def _described(library: Loaded) -> Dict[str, object]:
    return {
        "name": library.name,
        "path": library.path,
        "real": os.path.realpath(library.path),
        "way": library.way,
        "by": library.by.path if library.by else None,
    }


def _is_same(one: str, other: str) -> bool:
    """Whether two files are one, or have the same content as far as samples of it tell."""
    try:
        if os.path.realpath(one) == os.path.realpath(other):
            return True
        size = os.path.getsize(one)
        return size == os.path.getsize(other) and inventory.sample(one, size) == inventory.sample(other, size)
    except OSError:
        return False


def _loaded(files: Dict[str, Any]) -> List[str]:
    """The CUDA runtime, cuDNN and NCCL that frameworks get."""
    return [
        entry["path"]
        for stage in files["stages"]
        if stage["name"].startswith("libraries.") and stage["state"] == "done"
        for entry in stage["value"]["taken"] + [one for one in stage["value"]["wanted"].values() if one]
    ]


def _read_code(patterns: Sequence[str], flags: Sequence[str]) -> Dict[str, object]:
    """The GPU code of a framework's own libraries; what cannot be read is said."""
    windows: List[object] = []
    unreadable: List[object] = []
    for path in _matching(patterns)[:_LISTED]:
        try:
            windows.append(kernels.read_window(path))
        except (OSError, Malformed, ValueError) as error:
            unreadable.append({"path": path, "error": str(error)[:200]})
    named: Dict[str, object] = {}
    for path in _matching(flags):
        try:
            named[path] = kernels.read_flags(path)
        except (OSError, Malformed, ValueError) as error:
            unreadable.append({"path": path, "error": str(error)[:200]})
    return {"windows": windows, "flags": named, "unreadable": unreadable}


def _read_texts(names: Sequence[str]) -> Dict[str, str]:
    """Small files in which frameworks say what they were built for, by their path below the packages."""
    found: Dict[str, str] = {}
    for name in names:
        for directory in sys.path:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and os.path.getsize(path) <= _LARGEST_TEXT:
                with open(path, "rb") as file:
                    found.setdefault(name, file.read(_LARGEST_TEXT).decode("utf-8", "replace"))
    return found


def _matching(patterns: Sequence[str]) -> List[str]:
    """Files below the directories of `sys.path`, in the order of the patterns; the first directory counts."""
    found: List[str] = []
    for pattern in patterns:
        for directory in sys.path:
            paths = sorted(glob.glob(os.path.join(glob.escape(directory), pattern))) if directory else []
            if paths:
                found += [path for path in paths if path not in found]
                break
    return found
