"""The CUDA libraries that the framework loads, asked for their own versions."""

import ctypes
import glob
import os
import re
import sys
from typing import Callable, Dict, List, Optional, Tuple

from cudaforge.verifier.probes.elf import read_elf
from cudaforge.verifier.probes.hardware import load_path, mapped_libraries

PATTERN = r"lib(cudart|cudnn|nccl)[-.\w]*\.so"
_WIDE_CUDNN = 90000
_WIDE_NCCL = 10000
_SYSTEM = ("/usr/local/cuda/lib64", "/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib")


def find_loaded() -> List[str]:
    """CUDA libraries mapped into this process."""
    return [path for path in mapped_libraries(PATTERN) if _kind(path)]


def read_versions(loaded: List[str]) -> Dict[str, object]:
    """For CUDA runtime, cuDNN and NCCL: the file that counts, who brought it, and its version.

    What the framework had loaded counts first, then what lies in the wheels, then what the system's
    loader would find.
    """
    facts: Dict[str, object] = {}
    for kind, ask in _QUESTIONS.items():
        for origin, paths in (
            ("loaded", [path for path in loaded if _kind(path) == kind]),
            ("wheel", _in_wheels(kind)),
            ("system", _in_system(kind)),
        ):
            if paths:
                facts[kind] = dict(_read_version(paths[-1], ask), path=paths[-1], origin=origin)
                break
    return facts


def load_needed(path: str, besides: Tuple[str, ...]) -> None:
    """Load every library that a library of 64 bits names, but those that begin with one of `besides`.

    For libraries that a framework loads late, or not at all without a GPU. Raises OSError with the
    loader's words.
    """
    for name in read_elf(path).needed:
        if not name.startswith(besides):
            ctypes.CDLL(name)


def _read_version(path: str, ask: Callable[[ctypes.CDLL], Optional[str]]) -> Dict[str, object]:
    try:
        return {"version": ask(ctypes.CDLL(path)), "error": None}
    except (OSError, AttributeError) as error:
        return {"version": None, "error": str(error)[:300]}


def _kind(path: str) -> Optional[str]:
    """`cudart`, `cudnn` or `nccl`. cuDNN's parts (`libcudnn_ops.so.9`) do not count."""
    found = re.match(r"lib(cudart|cudnn|nccl)(?:-[0-9a-f]+)?\.so[.\d]*$", os.path.basename(path))
    return found.group(1) if found else None


def _in_wheels(kind: str) -> List[str]:
    return _matching([os.path.join(directory, "nvidia", "*", "lib") for directory in sys.path], kind)


def _in_system(kind: str) -> List[str]:
    found = _matching(list(_SYSTEM), kind)
    for path in list(found):
        loaded, _ = load_path(os.path.basename(path))
        if loaded:
            return [loaded]
    return found


def _matching(directories: List[str], kind: str) -> List[str]:
    paths = [
        path for place in directories for path in glob.glob(os.path.join(place, "lib" + kind + "*.so.*"))
    ]
    return sorted({os.path.realpath(path) for path in paths if _kind(path) == kind})


def _cuda_runtime(library: ctypes.CDLL) -> Optional[str]:
    number = ctypes.c_int(0)
    library.cudaRuntimeGetVersion(ctypes.byref(number))
    return "{}.{}".format(number.value // 1000, number.value % 1000 // 10) if number.value else None


def _cudnn(library: ctypes.CDLL) -> Optional[str]:
    library.cudnnGetVersion.restype = ctypes.c_size_t
    return decode_cudnn(int(library.cudnnGetVersion()))


def decode_cudnn(number: int) -> str:
    """8204 is 8.2.4; from version 9 on the steps are wider: 91002 is 9.10.2."""
    major = 10000 if number >= _WIDE_CUDNN else 1000
    return "{}.{}.{}".format(number // major, number % major // 100, number % 100)


def _nccl(library: ctypes.CDLL) -> Optional[str]:
    number = ctypes.c_int(0)
    library.ncclGetVersion(ctypes.byref(number))
    return decode_nccl(number.value)


def decode_nccl(number: int) -> str:
    """22703 is 2.27.3; before 2.9 the steps were narrower: 2708 is 2.7.8."""
    major = 10000 if number >= _WIDE_NCCL else 1000
    return "{}.{}.{}".format(number // major, number % major // 100, number % 100)


_QUESTIONS = {"cudart": _cuda_runtime, "cudnn": _cudnn, "nccl": _nccl}
