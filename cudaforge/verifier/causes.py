"""From an engine's or a loader's words to the cause and what to do about it."""

from __future__ import annotations

import re
import signal

from cudaforge.codes import Code
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
_MISSING_LIBRARY = re.compile(r"(?P<name>lib[\w.+-]+\.so[.\d]*): cannot open shared object file")
MORE_SHARED_MEMORY = "give it more: --shm-size=1g; in Kubernetes an emptyDir with medium: Memory at /dev/shm"
_MIXED = "look for CUDA libraries in LD_LIBRARY_PATH and for packages that `run` steps moved; build again"
_LIBRARY_CODES = (
    ("libcudnn", Code.CUDNN_MISSING),
    ("libcuda.so", Code.DRIVER_MISSING),
    ("libnvidia-ml", Code.DRIVER_MISSING),
    ("libnccl", Code.NCCL_MISSING),
    ("libcu", Code.CUDA_MISSING),
    ("libnv", Code.CUDA_MISSING),
)


def _row(pattern: str, what: str, remedy: str, code: Code) -> tuple[re.Pattern[str], str, str, Code]:
    return re.compile(pattern, re.IGNORECASE), what, remedy, code


# What frameworks and the loader say: pattern, cause, remedy, code. The first that is found counts.
_EXCEPTIONS = (
    _row(
        r"version [`'](?P<name>GLIBC(?:XX)?_[\d.]+)' not found",
        "the image's OS is too old: it lacks {name}",
        "declare a newer `os`",
        Code.GLIBC_TOO_OLD,
    ),
    _row(
        r"No module named '(?P<name>[\w.]+)'",
        "the Python package {name} is not installed",
        "build it again from its lock: cudaforge build",
        Code.FRAMEWORK_BROKEN,
    ),
    _row(
        r"undefined symbol: (?P<name>\w*nvjitlink\w*)",
        "another release of nvJitLink than the framework's is loaded: undefined symbol {name}",
        _MIXED,
        Code.NVJITLINK_SHADOWED,
    ),
    _row(
        r"undefined symbol: (?P<name>\w*cudnn\w*)|CUDNN_STATUS_\w*VERSION_MISMATCH|cuDNN version incompatib",
        "cuDNN of different releases is mixed {name}",
        _MIXED,
        Code.CUDNN_MIXED_VERSIONS,
    ),
    _row(
        r"undefined symbol: (?P<name>\S+)",
        "libraries of different releases are mixed: undefined symbol {name}",
        _MIXED,
        Code.CUDA_SHADOWED,
    ),
    _row(
        r"no space left on device.*shm|shm.*no space left on device|/dev/shm|shared memory segment|bus error",
        "the shared memory at /dev/shm is too small",
        MORE_SHARED_MEMORY,
        Code.SHM_TOO_SMALL,
    ),
    _row(
        r"CUDA(?:_ERROR)?[ _]out[ _]of[ _]memory|OutOfMemoryError|RESOURCE_EXHAUSTED"
        r"|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED",
        "the GPU's memory is not enough, or others hold it",
        "look at nvidia-smi on the host: who holds it? Else raise verify.memory_limit",
        Code.OUT_OF_MEMORY,
    ),
    _row(r"MemoryError", "the memory is not enough", _RAISE_MEMORY, Code.OUT_OF_MEMORY),
    _row(
        r"no kernel image is available|NO_BINARY_FOR_GPU|no binary for GPU|cudaErrorNoKernelImageForDevice",
        "the framework has no code for this GPU",
        "name this GPU in `gpus` and lock again",
        Code.ARCH_UNSUPPORTED,
    ),
    _row(
        r"driver version is insufficient|driver on your system is too old|unsupported toolchain"
        r"|INSUFFICIENT_DRIVER",
        "the driver is too old for this build",
        "install a newer driver on the host, or declare `driver` with the version that it has and lock again",
        Code.DRIVER_TOO_OLD,
    ),
    _row(
        r"found no NVIDIA driver",
        "the driver's library is not there",
        "give the container a GPU; `nvidia-smi` on the host has to list it",
        Code.DRIVER_MISSING,
    ),
    _row(
        r"no CUDA GPUs are available|no CUDA-capable device|CUDA_ERROR_NO_DEVICE",
        "the driver sees no device",
        "run nvidia-smi on the host; look at CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES",
        Code.NO_GPU,
    ),
    _row(
        r"invalid device ordinal|CUDA_ERROR_INVALID_DEVICE",
        "it asks for a device that the container does not have",
        "look at CUDA_VISIBLE_DEVICES, and at what the container was given",
        Code.VISIBLE_DEVICES,
    ),
    _row(
        r"not compiled with CUDA|built without CUDA|requires a CUDA build",
        "it is a build for the CPU alone",
        "build it again from its lock: cudaforge build --no-cache",
        Code.CPU_ONLY_BUILD,
    ),
    _row(
        r"compiled using NumPy 1|numpy\.dtype size changed|_ARRAY_API not found",
        "it was made for another NumPy than the one that is installed",
        "let cudaforge choose NumPy, or declare one that the framework was made for, and lock again",
        Code.NUMPY_ABI,
    ),
    _row(
        r"lib\S+\.so\S*: failed to map segment|executable stack",
        "the kernel or the engine forbids to load a library",
        "allow it: look at the engine's seccomp, SELinux and noexec settings",
        Code.FRAMEWORK_BROKEN,
    ),
)


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
    if found := _MISSING_LIBRARY.search(text):
        return _missing_library(found["name"], said)
    for pattern, what, remedy, code in _EXCEPTIONS:
        if found := pattern.search(f"{kind}: {text}"):
            named = {"name": ""} | {key: value or "" for key, value in found.groupdict().items()}
            return Cause(text=f"{what.format(**named)} ({said})", remedy=remedy, code=code)
    last = _last_line(output)
    return Cause(
        text=f"{said}; it printed: {last}" if last and last not in said else said,
        code=Code.FRAMEWORK_BROKEN,
    )


def _missing_library(name: str, said: str) -> Cause:
    for prefix, code in _LIBRARY_CODES:
        if name.startswith(prefix):
            remedy = "build it again from its lock: cudaforge build --no-cache"
            if code is Code.DRIVER_MISSING:
                remedy = "give the container a GPU: only then it has the driver's library"
            return Cause(text=f"the library {name} is missing ({said})", remedy=remedy, code=code)
    return Cause(
        text=f"the library {name} is missing ({said})",
        remedy="add the OS package that has it to `apt` and lock again",
        code=Code.FRAMEWORK_BROKEN,
    )


def short(text: str, limit: int = 300) -> str:
    """A text on one line, cut where it is long."""
    joined = " ".join(text.split())
    return joined if len(joined) <= limit else joined[:limit] + " ..."


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return short(lines[-1]) if lines else ""
