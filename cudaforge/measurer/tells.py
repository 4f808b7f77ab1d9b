"""What frameworks write down about their own build, in Python files beside their libraries.

The files are read as text and never run. Each is known by its path below the installation directory.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping

from cudaforge.measurer.model import NONE, Reading
from cudaforge.measurer.readable import Malformed

_LONGEST = 256 * 1024
_FLAG = re.compile(r"(sm|compute)_(\d{1,2})(\d)[a-z]?")
_Told = Iterator[tuple[str, str, str]]
"""Field of Measured, value, and the name under which the file has it."""


def read_tells(path: str, text: str) -> Mapping[str, Reading]:
    """What a file says, by field of Measured: nothing where it is none of those that are known.

    Raises Malformed for one that cannot be read as Python.
    """
    teller = TELLERS.get(path)
    if teller is None:
        return {}
    values = _assignments(text)
    return {field: Reading(value=value, where=f"{path}: {key}") for field, value, key in teller(values)}


def capabilities(flags: str) -> tuple[str, str] | None:
    """Cubins and PTX that compiler flags name: `sm_90 compute_90` gives `9.0` and `9.0`."""
    found = [_FLAG.fullmatch(word) for word in flags.split()]
    if not found or None in found:
        return None
    words = [(match[1], f"{match[2]}.{match[3]}") for match in found if match is not None]
    return (
        in_order(value for kind, value in words if kind == "sm"),
        in_order(value for kind, value in words if kind == "compute"),
    )


def in_order(values: Iterator[str]) -> str:
    """Compute capabilities as one text, each once, by number."""
    return " ".join(sorted(dict.fromkeys(values), key=lambda one: [int(part) for part in one.split(".")]))


def _assignments(text: str) -> Mapping[str, object]:
    """The plain values that a Python file gives to names of its own."""
    if len(text) > _LONGEST:
        raise Malformed("it is longer than such files are")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Malformed("it cannot be read as Python") from None
    found: dict[str, object] = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.expr):
            # TensorFlow's is one call: OrderedDict([...]).
            literal = value.args[0] if isinstance(value, ast.Call) and value.args else value
            try:
                found[target.id] = ast.literal_eval(literal)
            except (ValueError, TypeError, RecursionError, MemoryError):
                continue
    return found


def _torch(values: Mapping[str, object]) -> _Told:
    yield from _text(values, "__version__", "reported")
    if "cuda" in values:
        yield "cuda", str(values["cuda"] or NONE), "cuda"


def _tensorflow(values: Mapping[str, object]) -> _Told:
    try:
        build = dict(values["build_info"])  # type: ignore[call-overload]  # what is no pairs raises
    except (KeyError, TypeError, ValueError):
        return
    if build.get("is_cuda_build") is False:
        yield "cuda", NONE, "is_cuda_build"
        return
    yield from _text(build, "cuda_version", "cuda")
    yield from _text(build, "cudnn_version", "cudnn")
    flags = build.get("cuda_compute_capabilities")
    known = capabilities(" ".join(map(str, flags))) if isinstance(flags, (list, tuple)) else None
    if known is not None:
        # Its build makes machine code for compute_90, too, and not PTX alone.
        cubins = in_order(iter((*known[0].split(), *known[1].split())))
        yield "cubins", cubins, "cuda_compute_capabilities"
        yield "ptx", known[1], "cuda_compute_capabilities"


def _onnxruntime(values: Mapping[str, object]) -> _Told:
    yield from _text(values, "__version__", "reported")
    if "package_name" in values:
        yield "cuda", str(values.get("cuda_version") or NONE), "cuda_version"


def _paddle(values: Mapping[str, object]) -> _Told:
    yield from _text(values, "full_version", "reported")
    cuda = str(values.get("cuda_version", ""))
    if cuda:
        yield "cuda", NONE if cuda == "False" else cuda, "cuda_version"
    if cuda not in ("", "False"):
        yield from _text(values, "cudnn_version", "cudnn")


def _version_file(values: Mapping[str, object]) -> _Told:
    yield from _text(values, "__version__", "reported")


def _text(values: Mapping[str, object], key: str, field: str) -> _Told:
    value = values.get(key)
    if isinstance(value, str) and re.fullmatch(r"[0-9][0-9A-Za-z.+_-]{0,63}", value):
        yield field, value, key


TELLERS: Mapping[str, Callable[[Mapping[str, object]], _Told]] = {
    "torch/version.py": _torch,
    "tensorflow/python/platform/build_info.py": _tensorflow,
    "tensorflow_core/python/platform/build_info.py": _tensorflow,
    "onnxruntime/capi/build_and_package_info.py": _onnxruntime,
    "paddle/version.py": _paddle,
    "paddle/version/__init__.py": _paddle,
    "cupy/_version.py": _version_file,
}
FLAG_LIBRARIES = ("torch/lib/libtorch_python.so",)
"""Libraries that hold, as one text, the flags that all others were compiled with:
what `torch.cuda.get_arch_list()` returns."""
