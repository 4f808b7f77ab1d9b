"""From an engine's or a loader's words to the cause and what to do about it."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping

from cudaforge.codes import Code
from cudaforge.diagnosis import causes_of
from cudaforge.records import record
from cudaforge.verifier.evidence import Child


@record()
class Cause:
    """Why something failed, and a way out."""

    text: str
    remedy: str | None = None
    code: Code | None = None


_RAISE_MEMORY = "raise verify.memory_limit, or verify on a host with more memory"
_RAISE_TIME = "raise verify.timeout, or lower verify.steps"
_NO_PROGRAM = re.compile(r"no such file or directory|executable file not found", re.IGNORECASE)
MORE_SHARED_MEMORY = "give it more: --shm-size=1g; in Kubernetes an emptyDir with medium: Memory at /dev/shm"
_MIXED = "look for CUDA libraries in LD_LIBRARY_PATH and for packages that `run` steps moved; build again"
_REBUILD = "build it again from its lock: cudaforge build --no-cache"
_RULED_OUT = frozenset(
    {Code.GPU_NOT_REQUESTED, Code.PYTHON_PIP_MISMATCH, Code.DRIVER_LIB_AT_BUILD, Code.PROGRAM_ERROR}
)
"""What it cannot be: the verifier asked for the GPU itself, runs the Python that has the packages, and its
own program; and no image is being built."""
_NEWER_DRIVER = (
    "install a newer driver on the host, or declare `driver` with the version that it has and lock again"
)
# Of an image that comes from a declaration: what a cause means there, and what to do about it. Which words
# have which cause is known in `matrices/errors/` alone, and what that says of other causes holds.
_IN_AN_IMAGE: Mapping[Code, tuple[str | None, str]] = {
    Code.CUDNN_MISSING: ("cuDNN's library is missing", _REBUILD),
    Code.NCCL_MISSING: ("NCCL's library is missing, or is another one than the framework needs", _REBUILD),
    Code.CUDA_MISSING: ("a library of CUDA's is missing", _REBUILD),
    Code.CPU_ONLY_BUILD: ("it is a build for the CPU alone", _REBUILD),
    Code.CUDNN_TOO_OLD: ("another cuDNN than the framework's own is loaded", _MIXED),
    Code.CUDNN_MIXED_VERSIONS: ("cuDNN of different releases is mixed", _MIXED),
    Code.NVJITLINK_SHADOWED: ("another release of nvJitLink than the framework's is loaded", _MIXED),
    Code.CUDA_SHADOWED: ("libraries of different releases are mixed", _MIXED),
    Code.COMPANION_MISMATCH: ("packages or libraries of different releases are mixed", _MIXED),
    Code.GLIBC_TOO_OLD: (None, "declare a newer `os`"),
    Code.SHM_TOO_SMALL: ("the shared memory at /dev/shm is too small", MORE_SHARED_MEMORY),
    Code.OUT_OF_MEMORY: (
        "the GPU's memory is not enough, or others hold it",
        "look at nvidia-smi on the host: who holds it? Else raise verify.memory_limit",
    ),
    Code.ARCH_UNSUPPORTED: (
        "the framework has no code for this GPU",
        "name this GPU in `gpus` and lock again",
    ),
    Code.DRIVER_TOO_OLD: ("the driver is too old for this build", _NEWER_DRIVER),
    Code.DRIVER_MISSING: (
        "the driver's library is not there",
        "give the container a GPU: only then it has that library; `nvidia-smi` on the host has to list one",
    ),
    Code.NO_GPU: (
        "the driver sees no device",
        "run nvidia-smi on the host; look at CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES",
    ),
    Code.VISIBLE_DEVICES: (
        "it asks for a device that the container does not have",
        "look at CUDA_VISIBLE_DEVICES, and at what the container was given",
    ),
    Code.NUMPY_ABI: (
        "it was made for another NumPy than the one that is installed",
        "let cudaforge choose NumPy, or declare one that the framework was made for, and lock again",
    ),
}


def explain_start_error(start_error: str, *, python: str) -> Cause:
    """Why a container with the probe did not start."""
    if "exec format error" in start_error:
        return Cause(
            text="the image is for another CPU architecture than this engine's",
            remedy="verify it where its platform is native",
            code=Code.WRONG_ARCHITECTURE,
        )
    if python in start_error and _NO_PROGRAM.search(start_error):
        return Cause(
            text=f"the image has no Python at {python}",
            remedy="build it again from its lock: cudaforge build",
            code=Code.PYTHON_MISSING,
        )
    if python in start_error and "permission denied" in start_error.lower():
        return Cause(
            text=f"the image's user may not run {python}", remedy="check `user` and `run` in the declaration"
        )
    return Cause(text=f"the engine did not start the container: {short(start_error)}")


def explain_exit(status: int, *, stderr: str) -> Cause:
    """Why the probe ended without a result, from its container's exit status."""
    said = _last_line(stderr)
    suffix = f": {said}" if said else ""
    if "exec format error" in stderr:
        return explain_start_error("exec format error", python="")
    if status > 128:  # noqa: PLR2004 -- 128 + signal is how shells and engines report one
        return Cause(text=f"the probe was ended by {signal_name(status - 128)}{suffix}")
    return Cause(text=f"the probe ended with exit status {status} and no result{suffix}")


def out_of_memory(limit: int | None) -> Cause:
    """The kernel ended the process for memory."""
    allowed = f" of {limit / 2**30:.3g} GiB" if limit else ""
    return Cause(text=f"it ran out of its memory{allowed}", remedy=_RAISE_MEMORY, code=Code.OUT_OF_MEMORY)


def out_of_time(timeout: float) -> Cause:
    """It took too long."""
    return Cause(text=f"it did not end within {timeout:g} s", remedy=_RAISE_TIME, code=Code.TIMED_OUT)


def out_of_time_with_a_flood(timeout: float, dropped: int) -> Cause:
    """It took too long, and printed more than is kept."""
    return Cause(
        text=f"it did not end within {timeout:g} s, and flooded its output: {dropped / 2**20:.0f} MiB were "
        "thrown away",
        remedy="look for code that runs when Python starts: sitecustomize.py, .pth files, PYTHONSTARTUP",
        code=Code.OUTPUT_FLOOD,
    )


def explain_stage(child: Child, name: str, *, memory_kills: int, limit: int | None, timeout: float) -> Cause:
    """Why a stage of the probe did not end well."""
    stage = child.stages.get(name)
    if stage is not None and stage.state == "raised":
        return _explain_exception(stage.error_type, stage.error_text, output=child.output)
    if child.signal == signal.SIGKILL and child.stopped is None and memory_kills:
        return out_of_memory(limit)
    match child.stopped:
        case "deadline" | "limit":
            return out_of_time(timeout)
        case "flood":
            return Cause(
                text=f"it flooded its output, which ends with: {_last_line(child.output)}",
                code=Code.OUTPUT_FLOOD,
            )
    if child.signal:
        return _explain_signal(child.signal, said=_last_line(child.output))
    if stage is not None:
        return Cause(
            text=f"it ended its process (exit status {child.exit_status}): {_last_line(child.output)}",
            code=Code.FRAMEWORK_BROKEN,
        )
    return Cause(text="an earlier stage failed")


def _explain_signal(number: int, *, said: str) -> Cause:
    if number == signal.SIGILL:
        return Cause(
            text="it uses CPU instructions that this machine lacks (SIGILL)",
            remedy="verify on a newer CPU, or declare an older framework",
        )
    if number == signal.SIGBUS:
        return Cause(
            text=f"it crashed with SIGBUS: /dev/shm is full, most often: {said}",
            remedy=MORE_SHARED_MEMORY,
            code=Code.SHM_TOO_SMALL,
        )
    return Cause(text=f"it crashed with {signal_name(number)}: {said}", code=Code.FRAMEWORK_BROKEN)


def signal_name(number: int) -> str:
    """`SIGSEGV`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def explain_text(said: str) -> Cause:
    """What a framework's own words mean: `framework-broken` where they are not known."""
    return _explain_exception("it said", said, output="")


def _explain_exception(kind: str, text: str, *, output: str) -> Cause:
    said = f"{kind}: {short(text)}"
    if kind == MemoryError.__name__:
        return Cause(text=f"the memory is not enough ({said})", remedy=_RAISE_MEMORY, code=Code.OUT_OF_MEMORY)
    for told in causes_of(f"{kind}: {text}", ruled_out=_RULED_OUT):
        what, remedy = _IN_AN_IMAGE.get(told.code, (told.text, told.remedy))
        return Cause(text=f"{what or told.text} ({said})", remedy=remedy, code=told.code)
    last = _last_line(output)
    return Cause(
        text=f"{said}; it printed: {last}" if last and last not in said else said,
        code=Code.FRAMEWORK_BROKEN,
    )


def short(text: str, limit: int = 300) -> str:
    """A text on one line, cut where it is long."""
    joined = " ".join(text.split())
    return joined if len(joined) <= limit else joined[:limit] + " ..."


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return short(lines[-1]) if lines else ""
