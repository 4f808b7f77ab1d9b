"""Messages of engines, loaders and kernels, as they were seen, and the causes that they are given."""

import signal

import pytest

from cudaforge.codes import Code
from cudaforge.verifier.causes import explain_exit, explain_stage, explain_start_error
from cudaforge.verifier.causes_gpu import explain_gpu_refusal, is_read_only_refusal
from cudaforge.verifier.situation import PYTHON
from tests.unit.verifier.reports import lost, raised, recorded

GPU_REFUSALS = [
    'could not select device driver "" with capabilities: [[gpu]]',
    'could not select device driver "nvidia" with capabilities: [[gpu]]',
    "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=0",
    "unknown or invalid runtime name: nvidia",
    "Unknown runtime specified nvidia",
    "setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=9",
    (
        "failed to create shim task: OCI runtime create failed: runc create failed: unable to start "
        "container process: error during container init: error running prestart hook #0: exit status 1, "
        "stdout: , stderr: nvidia-container-cli: initialization error: nvml error: driver not loaded"
    ),
]
NO_PYTHON = (
    "failed to create shim task: OCI runtime create failed: runc create "
    f'failed: unable to start container process: exec: "{PYTHON}": stat {PYTHON}: no such file or directory'
)


@pytest.mark.parametrize("said", GPU_REFUSALS)
def test_gpu_refusals_are_the_host_s_fault(said: str):
    cause = explain_gpu_refusal(said, is_podman=False)
    assert "GPU set-up of this host is broken, not the image" in cause.text
    assert cause.remedy


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (GPU_REFUSALS[0], Code.TOOLKIT_MISSING),
        (GPU_REFUSALS[1], Code.TOOLKIT_MISSING),
        (GPU_REFUSALS[2], Code.CDI_MISSING),
        (GPU_REFUSALS[3], Code.TOOLKIT_MISSING),
        (GPU_REFUSALS[4], Code.TOOLKIT_MISSING),
        (GPU_REFUSALS[5], Code.CDI_MISSING),
        (GPU_REFUSALS[6], Code.DRIVER_MISSING),
        (
            "nvidia-container-cli: initialization error: nvml error: driver/library version mismatch",
            Code.DRIVER_MISMATCH,
        ),
        (
            "nvidia-container-cli: initialization error: nvml error: insufficient permissions",
            Code.DEVICE_PERMISSION,
        ),
        (
            "nvidia-container-cli: load library failed: libnvidia-ml.so.1: cannot open shared object file",
            Code.DRIVER_MISSING,
        ),
        ("nvidia-container-cli: device error: 7: unknown device", Code.VISIBLE_DEVICES),
        ("nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8", Code.DRIVER_TOO_OLD),
    ],
)
def test_refusals_that_look_alike_are_told_apart(said: str, code: Code):
    cause = explain_gpu_refusal(said, is_podman=False)
    assert (cause.code, bool(cause.remedy)) == (code, True)


def test_the_toolkit_is_set_up_for_the_engine_that_is_there():
    for is_podman, words in ((False, "runtime configure --runtime=docker"), (True, "cdi generate")):
        for said in (GPU_REFUSALS[0], "something else"):
            remedy = explain_gpu_refusal(said, is_podman=is_podman).remedy or ""
            assert f"nvidia-ctk {words}" in remedy
            assert ("docker" in remedy) is not is_podman


def test_a_gate_that_the_driver_does_not_meet_is_named():
    said = (
        "error running hook #0: stderr: nvidia-container-cli: requirement error: unsatisfied condition: "
        "cuda>=12.8, please update your driver to a newer version"
    )
    assert "cuda>=12.8" in explain_gpu_refusal(said, is_podman=False).text
    assert "require_cuda" in (explain_gpu_refusal(said, is_podman=False).remedy or "")


def test_other_start_errors_are_no_read_only_refusals():
    for said in (NO_PYTHON, "exec format error", "error setting rlimit type 8: operation not permitted"):
        assert not is_read_only_refusal(said)


def test_a_hook_that_needs_a_writable_root_is_known():
    assert is_read_only_refusal(
        "error running createContainer hook #0: nvidia-ctk hook update-ldcache: ldconfig: Can't create "
        "temporary cache file /etc/ld.so.cache~: Read-only file system"
    )


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (NO_PYTHON, "no Python at"),
        (f'exec: "{PYTHON}": permission denied: unknown', "may not run"),
        (f"exec {PYTHON}: exec format error", "another CPU architecture"),
        ("error setting rlimit type 8: operation not permitted", "rlimit type 8"),
    ],
)
def test_start_errors_have_a_cause(said: str, cause: str):
    assert cause in explain_start_error(said, python=PYTHON).text


@pytest.mark.parametrize(
    ("status", "stderr", "cause"),
    [
        (137, "", "SIGKILL"),
        (139, "", "SIGSEGV"),
        (1, "Traceback\nModuleNotFoundError: No module named 'zlib'\n", "No module named 'zlib'"),
        (1, f"exec {PYTHON}: exec format error", "another CPU architecture"),
        (128 + 99, "", "signal 99"),
    ],
)
def test_exit_statuses_have_a_cause(status: int, stderr: str, cause: str):
    assert cause in explain_exit(status, stderr=stderr).text


def explain(change, *, memory_kills: int = 0):
    child = recorded(change).frameworks["pytorch"]
    return explain_stage(child, "load", memory_kills=memory_kills, limit=2**30, timeout=60)


@pytest.mark.parametrize(
    ("kind", "text", "cause"),
    [
        ("ModuleNotFoundError", "No module named 'torch'", "the image lacks torch"),
        (
            "ImportError",
            "libstdc++.so.6: cannot open shared object file: No such file or directory",
            "libstdc++.so.6 is missing",
        ),
        ("OSError", "libcudnn.so.9: cannot open shared object file", "cuDNN's library is missing"),
        ("ImportError", "/lib/libc.so.6: version `GLIBC_2.38' not found (required by x)", "lacks GLIBC_2.38"),
        (
            "ImportError",
            "libtorch_cuda.so: undefined symbol: ncclCommSplit",
            "another one than the framework needs",
        ),
        ("MemoryError", "", "MemoryError"),
        ("RuntimeError", "Found no NVIDIA driver on your system.", "library is not there"),
        ("RuntimeError", "No CUDA GPUs are available", "sees no device"),
        ("RuntimeError", "CUDA error: invalid device ordinal", "does not have"),
        ("RuntimeError", "The NVIDIA driver on your system is too old (found 12080)", "too old for this"),
        ("AssertionError", "Torch not compiled with CUDA enabled", "for the CPU alone"),
        ("ImportError", "numpy.dtype size changed, may indicate binary incompatibility", "another NumPy"),
        (
            "RuntimeError",
            "unable to open shared memory object </torch_1> in read-write mode: No space left on device (28)",
            "/dev/shm is too small",
        ),
        ("RuntimeError", "x" * 5000, "RuntimeError: xxx"),
    ],
)
def test_exceptions_have_a_cause(kind: str, text: str, cause: str):
    found = explain(raised("pytorch", "load", kind, text))
    assert cause in found.text
    assert len(found.text) < 1000


@pytest.mark.parametrize(
    ("end", "memory_kills", "cause"),
    [
        ({"signal": signal.SIGKILL}, 1, "memory of 1 GiB"),
        ({"signal": signal.SIGKILL}, 0, "SIGKILL"),
        ({"signal": signal.SIGKILL, "stopped": "deadline"}, 1, "within 60 s"),
        ({"signal": signal.SIGKILL, "stopped": "flood", "output": "y\n"}, 0, "flooded its output"),
        ({"signal": signal.SIGILL}, 0, "CPU instructions"),
        ({"signal": signal.SIGSEGV, "output": "Fatal Python error"}, 0, "SIGSEGV: Fatal Python error"),
        ({"signal": None, "exit_status": 3}, 0, "exit status 3"),
    ],
)
def test_lost_processes_have_a_cause(end: dict, memory_kills: int, cause: str):
    assert cause in explain(lost("pytorch", "load", **end), memory_kills=memory_kills).text
