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
_GPU_REFUSALS = re.compile(
    r"could not select device driver|CDI device injection failed|unresolvable CDI devices"
    r"|unknown or invalid runtime name|Unknown runtime specified|nvidia-container-(?:cli|runtime|toolkit)"
    r"|error running (?:prestart |createContainer )?hook|libnvidia-ml\.so|nvml error|nvidia-ctk",
    re.IGNORECASE,
)
_READ_ONLY_HOOK = re.compile(r"ld\.so\.cache|update-ldcache|ldconfig|read-only file system", re.IGNORECASE)
_UNSATISFIED = re.compile(r"unsatisfied condition:\s*(?P<condition>[^\n,]+)")
_NO_PROGRAM = re.compile(r"no such file or directory|executable file not found", re.IGNORECASE)
_MISSING_LIBRARY = re.compile(r"(?P<name>lib[\w.+-]+\.so[.\d]*): cannot open shared object file")
_OLD_GLIBC = re.compile(r"version [`'](?P<name>GLIBC(?:XX)?_[\d.]+)' not found")
_NO_MODULE = re.compile(r"No module named '(?P<name>[\w.]+)'")
_UNDEFINED = re.compile(r"undefined symbol: (?P<name>\S+)")
_DENIED_FILE = re.compile(r"(?P<name>lib\S+\.so\S*): failed to map segment")


def is_gpu_refusal(start_error: str) -> bool:
    """Whether the engine refused a container because of the GPUs that were asked for."""
    return _GPU_REFUSALS.search(start_error) is not None


def is_read_only_refusal(start_error: str) -> bool:
    """Whether NVIDIA's hook failed because it could not write the container's loader cache."""
    return is_gpu_refusal(start_error) and _READ_ONLY_HOOK.search(start_error) is not None


def explain_gpu_refusal(start_error: str) -> Cause:
    """Why the engine does not hand its GPUs to a container."""
    unsatisfied = _UNSATISFIED.search(start_error)
    if unsatisfied:
        condition = unsatisfied["condition"].strip()
        return Cause(
            text=f"the driver of this host is too old for the image's gate: {condition}",
            remedy='install a newer driver, or declare require_cuda = "relax" and lock again',
        )
    remedy = (
        "install nvidia-container-toolkit, then `nvidia-ctk runtime configure --runtime=docker` (or "
        "`nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`) and restart Docker"
    )
    if "unresolvable CDI devices" in start_error:
        remedy = "renew the specs: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml; then restart Docker"
    return Cause(
        text=f"the container GPU set-up of this host is broken, not the image: {_short(start_error)}",
        remedy=remedy,
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
    return Cause(text=f"the engine did not start the container: {_short(start_error)}")


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
    return Cause(text=f"it ran out of its memory{allowed}", remedy=_RAISE_MEMORY)


def out_of_time(timeout: float) -> Cause:
    """It took too long."""
    return Cause(text=f"it did not end within {timeout:g} s", remedy=_RAISE_TIME)


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
            return Cause(text=f"it flooded its output, which ends with: {_last_line(child.output)}")
    if child.signal == signal.SIGILL:
        return Cause(
            text="it uses CPU instructions that this machine lacks (SIGILL)",
            remedy="verify on a newer CPU, or declare an older framework",
        )
    if child.signal:
        return Cause(text=f"it crashed with {signal_name(child.signal)}: {_last_line(child.output)}")
    if stage is not None:
        return Cause(
            text=f"it ended its process (exit status {child.exit_status}): {_last_line(child.output)}"
        )
    return Cause(text="an earlier stage failed")


def signal_name(number: int) -> str:
    """`SIGSEGV`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _explain_exception(kind: str, text: str, *, output: str) -> Cause:
    said = f"{kind}: {_short(text)}"
    if found := _MISSING_LIBRARY.search(text):
        return Cause(
            text=f"the library {found['name']} is missing ({said})",
            remedy="if it is CUDA's, build again from the lock; else add its OS package to `apt`",
        )
    if found := _OLD_GLIBC.search(text):
        return Cause(
            text=f"the image's OS is too old: it lacks {found['name']} ({said})",
            remedy="declare a newer `os`",
        )
    if found := _NO_MODULE.search(text):
        return Cause(
            text=f"the Python package {found['name']} is not installed ({said})",
            remedy="build it again from its lock: cudaforge build",
        )
    if found := _UNDEFINED.search(text):
        return Cause(
            text=f"libraries of different releases are mixed: undefined symbol {found['name']} ({said})",
            remedy="look for CUDA libraries in LD_LIBRARY_PATH and for packages that `run` steps moved",
        )
    if _DENIED_FILE.search(text) or "executable stack" in text:
        return Cause(text=f"the kernel or the engine forbids to load a library ({said})")
    if kind == "MemoryError":
        return Cause(text=said, remedy=_RAISE_MEMORY)
    last = _last_line(output)
    return Cause(text=f"{said}; it printed: {last}" if last and last not in said else said)


def _short(text: str, limit: int = 300) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= limit else joined[:limit] + " ..."


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _short(lines[-1]) if lines else ""
