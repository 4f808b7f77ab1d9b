"""Messages as people meet them, each with the cause that must come first, or with all that must be listed."""

from __future__ import annotations

import json

import pytest

from cudaforge.cli.main import run_command_line

MESSAGES = {
    "compose-gpu": (
        "Attaching to trainer-1\nError response from daemon: could not select device driver \"nvidia\" with "
        "capabilities: [[compute gpu]]",
        ["toolkit-missing"],
    ),
    "jetson-runtime": ("docker: Error response from daemon: unknown or invalid runtime name: nvidia.\nSee 'docker run --help'.", ["toolkit-missing"]),
    "podman-cdi": ("Error: unable to start container \"4f1a\": setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all", ["cdi-missing"]),
    "kubelet-cdi": (
        "  Warning  Failed     86s (x26 over 6m37s)  kubelet            Error: failed to create containerd container: "
        "CDI device injection failed: unresolvable CDI devices k8s.gpu.nvidia.com/device=gpu-1",
        ["cdi-missing"],
    ),
    "containerd-json": (
        '{"level":"error","msg":"StartContainer failed","error":"failed to create containerd task: failed to create '
        'shim task: OCI runtime create failed: error modifying OCI spec: failed to inject CDI devices: unresolvable '
        'CDI devices management.nvidia.com/gpu=GPU-e78e68c0: unknown"}',
        ["cdi-missing"],
    ),
    "gate-old-style": (
        'OCI runtime create failed: container_linux.go:349: starting container process caused "process_linux.go:449: '
        'container init caused \\"process_linux.go:432: running prestart hook 1 caused \\\\\\"error running hook: exit '
        "status 1, stdout: , stderr: nvidia-container-cli: requirement error: unsatisfied condition: cuda>=10.2, please "
        'update your driver to a newer version, or use an earlier cuda container\\\\\\\\n\\\\\\"\\"": unknown',
        ["driver-too-old"],
    ),
    "gate-with-driver": (
        "NVIDIA-SMI 551.78                 Driver Version: 551.78         CUDA Version: 12.4\nnvidia-container-cli: "
        "requirement error: unsatisfied condition: cuda>=12.8, please update your driver to a newer version",
        ["driver-too-old"],
    ),
    "hook-nvml": (
        "stderr: Auto-detected mode as 'legacy'\nnvidia-container-cli: initialization error: nvml error: driver not "
        "loaded: unknown.",
        ["driver-missing"],
    ),
    "hook-snap": (
        "docker: Error response from daemon: failed to create task for container: error during container init: error "
        "running hook #0: error running hook: exit status 1, stdout: , stderr: nvidia-container-cli: initialization "
        "error: load library failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory",
        ["driver-missing"],
    ),
    "nvml-mismatch-upper": ("FAILED TO INITIALIZE NVML: DRIVER/LIBRARY VERSION MISMATCH", ["driver-mismatch"]),
    "nvml-after-reload": ("$ sudo systemctl daemon-reload\n$ docker exec t nvidia-smi\nFailed to initialize NVML: Unknown Error", ["device-permission"]),
    "torch-804": (
        "/opt/conda/lib/python3.10/site-packages/torch/cuda/__init__.py:107: UserWarning: CUDA initialization: Unexpected "
        "error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have "
        "already set an error? Error 804: forward compatibility was attempted on non supported HW (Triggered internally "
        "at /opt/conda/conda-bld/pytorch/work/c10/cuda/CUDAFunctions.cpp:109.)",
        ["compat-lib-on-path", "driver-too-old"],
    ),
    "torch-804-geforce": ("NVIDIA GeForce RTX 3090\nError 804: forward compatibility was attempted on non supported HW", ["compat-lib-on-path"]),
    "torch-too-old": (
        "UserWarning: CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). Please "
        "update your GPU driver by downloading and installing a new version from the URL: "
        "http://www.nvidia.com/Download/index.aspx Alternatively, go to: https://pytorch.org to install a PyTorch "
        "version that has been compiled with your version of the CUDA driver.",
        ["driver-too-old"],
    ),
    "torch-no-driver": ("RuntimeError: Found no NVIDIA driver on your system.", ["gpu-not-requested", "driver-missing"]),
    "torch-5090": (
        "/venv/lib/python3.12/site-packages/torch/cuda/__init__.py:235: UserWarning:\nNVIDIA GeForce RTX 5090 with CUDA "
        "capability sm_120 is not compatible with the current PyTorch installation.\nThe current PyTorch install supports "
        "CUDA capabilities sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90.\n  warnings.warn(\nRuntimeError: CUDA error: no "
        "kernel image is available for execution on the device",
        ["arch-unsupported"],
    ),
    "extension-arch": ("CUDA error (/tmp/flash-attention/fwd.cu:12): no kernel image is available for execution on the device", ["arch-unsupported"]),
    "torch-cpu": (
        'Traceback (most recent call last):\n  File "/app/main.py", line 3, in <module>\n    model.cuda()\n  File '
        '"/usr/local/lib/python3.11/site-packages/torch/cuda/__init__.py", line 310, in _lazy_init\n    raise '
        'AssertionError("Torch not compiled with CUDA enabled")\nAssertionError: Torch not compiled with CUDA enabled',
        ["cpu-only-build"],
    ),
    "torch-load": (
        "RuntimeError: Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False.",
        ["gpu-not-requested", "driver-too-old", "cpu-only-build"],
    ),
    "torch-visible": ("CUDA_VISIBLE_DEVICES=-1 python train.py\nRuntimeError: No CUDA GPUs are available", ["visible-devices"]),
    "torch-no-gpus": ("    torch._C._cuda_init()\nRuntimeError: No CUDA GPUs are available", ["gpu-not-requested", "no-gpu", "visible-devices"]),
    "torch-ordinal": ("torch.AcceleratorError: CUDA error: invalid device ordinal", ["visible-devices"]),
    "nvjitlink": (
        "ImportError: /usr/local/lib/python3.12/dist-packages/torch/lib/../../nvidia/cusparse/lib/libcusparse.so.12: undefined "
        "symbol: __nvJitLinkCreate_12_8, version libnvJitLink.so.12",
        ["nvjitlink-shadowed"],
    ),
    "flash-attn-abi": (
        "ImportError: /venv/lib/python3.11/site-packages/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so: undefined symbol: "
        "_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE",
        ["companion-mismatch"],
    ),
    "nms": ("  File \"torchvision/_meta_registrations.py\", line 164\nRuntimeError: operator torchvision::nms does not exist", ["companion-mismatch"]),
    "pip-companion": ("torchaudio 2.5.1+cu121 requires torch==2.5.1, but you have torch 2.6.0 which is incompatible.", ["companion-mismatch"]),
    "bus-error": (
        "RuntimeError: DataLoader worker (pid 31337) is killed by signal: Bus error. It is possible that dataloader's "
        "workers are out of shared memory. Please try to raise your shared memory limit.",
        ["shm-too-small"],
    ),
    "shm-file": ("RuntimeError: unable to write to file </torch_451_1238_0>: No space left on device (28)", ["shm-too-small"]),
    "nccl-shm": (
        "gpu2:2143:2561 [1] include/shm.h:28 NCCL WARN Call to posix_fallocate failed : No space left on device\n"
        "RuntimeError: NCCL error in: /opt/pytorch/torch/lib/c10d/ProcessGroupNCCL.cpp:784, unhandled system error",
        ["shm-too-small"],
    ),
    "worker-killed": ("RuntimeError: DataLoader worker (pid(s) 99) is killed by signal: Killed.", ["out-of-memory"]),
    "build-137": (
        '#17 812.3 Killed\n------\nERROR: failed to solve: process "/bin/sh -c MAX_JOBS=64 pip install flash-attn" did not '
        "complete successfully: exit code: 137",
        ["out-of-memory"],
    ),
    "dmesg-oom": ("[ 1234.567890] Out of memory: Killed process 4711 (python3) total-vm:98765432kB", ["out-of-memory"]),
    "k8s-oom": ("Last State:     Terminated\n  Reason:       OOMKilled\n  Exit Code:    137", ["out-of-memory"]),
    "torch-oom": (
        "[rank3]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 3 has a total capacity of "
        "79.15 GiB of which 1.02 GiB is free.",
        ["out-of-memory"],
    ),
    "tf-oom": ("ResourceExhaustedError: {{function_node __wrapped__}} OOM when allocating tensor with shape[32,64] and type float", ["out-of-memory"]),
    "jax-oom": ("jaxlib._jax.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.", ["out-of-memory"]),
    "tf-cudart": (
        "2023-01-01 10:00:00.000000: W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load dynamic "
        "library 'libcudart.so.11.0'; dlerror: libcudart.so.11.0: cannot open shared object file: No such file or directory",
        ["cuda-missing"],
    ),
    "tf-cudart-12": (
        "FROM nvidia/cuda:12.2.2-runtime-ubuntu22.04\nCould not load dynamic library 'libcudart.so.11.0'; dlerror: "
        "libcudart.so.11.0: cannot open shared object file",
        ["cuda-major-mismatch"],
    ),
    "tf-new": (
        "W0000 00:00:1723.4 12 gpu_device.cc:2344] Cannot dlopen some GPU libraries. Please make sure the missing libraries "
        "mentioned above are installed properly if you would like to use GPU.\nSkipping registering GPU devices...",
        ["cuda-missing", "cuda-major-mismatch"],
    ),
    "tf-303": ("E external/local_xla/xla/stream_executor/cuda/cuda_driver.cc:152] failed call to cuInit: UNKNOWN ERROR (303)", ["gpu-not-requested", "driver-missing"]),
    "tf-libcuda": (
        "Could not load dynamic library 'libcuda.so.1'; dlerror: libcuda.so.1: cannot open shared object file: No such file or "
        "directory\nfailed call to cuInit: UNKNOWN ERROR (303)",
        ["gpu-not-requested", "driver-missing"],
    ),
    "tf-cudnn-old": (
        "Loaded runtime CuDNN library: 8.0.5 but source was compiled with: 8.1.0.  CuDNN library needs to have matching major "
        "version and equal or higher minor version.",
        ["cudnn-too-old"],
    ),
    "cudnn8-beside-9": (
        "Requirement already satisfied: nvidia-cudnn-cu12==9.1.0.70 in /venv/lib\nCould not load library "
        "libcudnn_ops_infer.so.8. Error: libcudnn_ops_infer.so.8: cannot open shared object file: No such file or directory",
        ["cudnn-major-mismatch"],
    ),
    "cudnn9-none": ("Unable to load any of {libcudnn_cnn.so.9.1.0, libcudnn_cnn.so.9.1, libcudnn_cnn.so.9, libcudnn_cnn.so}", ["cudnn-missing"]),
    "cudnn9-and-its-echo": ("Unable to load any of {libcudnn_ops.so.9.1.0, libcudnn_ops.so.9.1, libcudnn_ops.so.9, libcudnn_ops.so}\nInvalid handle. Cannot load symbol cudnnCreateTensorDescriptor\nAborted (core dumped)", ["cudnn-missing"]),
    "cudnn-sublibrary": ("RuntimeError: cuDNN error: CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH", ["cudnn-mixed-versions"]),
    "jax-cusparse": (
        "ERROR:2025-07-08 12:39:34,990:jax._src.xla_bridge:444: Jax plugin configuration error: Exception when calling "
        "jax_plugins.xla_cuda12.initialize()\nRuntimeError: Unable to load cuSPARSE. Is it installed?\nWARNING: An NVIDIA GPU "
        "may be present on this machine, but a CUDA-enabled jaxlib is not installed. Falling back to cpu.",
        ["cuda-missing", "cuda-shadowed"],
    ),
    "jax-cpu": ("WARNING:2024-09-01 12:00:00,000:jax._src.xla_bridge:967: An NVIDIA GPU may be present on this machine, but a CUDA-enabled jaxlib is not installed. Falling back to cpu.", ["cpu-only-build"]),
    "ort-11": (
        "[E:onnxruntime:Default, provider_bridge_ort.cc:1744 TryGetProviderInfo_CUDA] ... [ONNXRuntimeError] : 1 : FAIL : "
        "Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open shared object "
        "file: No such file or directory\n[W:onnxruntime:Default, onnxruntime_pybind_state.cc:870 "
        "CreateExecutionProviderInstance] Failed to create CUDAExecutionProvider.",
        ["cuda-missing", "cuda-major-mismatch"],
    ),
    "ort-cpu": ("Specified provider 'CUDAExecutionProvider' is not in available provider names. Available providers: 'CPUExecutionProvider'", ["cpu-only-build"]),
    "cupy-nvrtc": ("CuPy failed to load libnvrtc.so.13: OSError: libnvrtc.so.13: cannot open shared object file: No such file or directory", ["cuda-missing"]),
    "paddle-cudnn": ("PreconditionNotMetError: Cannot load cudnn shared library. Cannot invoke method cudnnGetVersion.", ["cudnn-missing"]),
    "numpy-warning": (
        "A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.1.1 as it may crash. To support both 1.x and "
        "2.x\nversions of NumPy, modules must be compiled with NumPy 2.0.",
        ["numpy-abi"],
    ),
    "exec-format": ("exec /opt/venv/bin/python: exec format error", ["wrong-architecture"]),
    "repo-key": (
        "Err:4 https://developer.download.nvidia.com/compute/cuda/repos/ubuntu1804/x86_64  InRelease\n  The following signatures "
        "couldn't be verified because the public key is not available: NO_PUBKEY A4B469963BF863CC",
        ["repo-key-rotated"],
    ),
    "pep668": ("error: externally-managed-environment", ["pep668"]),
    "wheel": ("ERROR: torch-2.3.0+cu121-cp39-cp39-linux_x86_64.whl is not a supported wheel on this platform.\n$ python --version\nPython 3.12.3", ["python-unsupported"]),
    "pip-cu": ("ERROR: Could not find a version that satisfies the requirement torch==2.1.0+cu121 (from versions: 2.1.0, 2.1.1)\nERROR: No matching distribution found for torch==2.1.0+cu121", ["wrong-index"]),
    "pip-no-build": ("ERROR: No matching distribution found for torch==2.8.0+cu134", ["no-such-build"]),
    "pip-no-release": ("ERROR: No matching distribution found for torch==2.99.0", ["no-such-build"]),
    "pip-python": ("Using cached pip for Python 3.13\nERROR: Could not find a version that satisfies the requirement torch==2.0.1 (from versions: 2.5.0, 2.5.1, 2.6.0)", ["python-unsupported"]),
    "pip-alpine": ("Looking for musllinux_1_2_x86_64 wheels\nERROR: No matching distribution found for torch==2.6.0", ["no-wheel-for-arch"]),
    "uv-abi": (
        "  × No solution found when resolving dependencies:\n  ╰─▶ Because torch==1.12.0+cu113 has no wheels with a matching Python "
        "ABI\n      tag (e.g., `cp311`) and you require torch==1.12.0+cu113, we can conclude\n      that your requirements are "
        "unsatisfiable.",
        ["python-unsupported"],
    ),
    "uv-platform": (
        "  ╰─▶ Because torch==2.5.0 has no wheels with a matching platform tag (e.g., `musllinux_1_2_x86_64`) and you require "
        "torch==2.5.0, we can conclude that your requirements are unsatisfiable.",
        ["no-wheel-for-arch"],
    ),
    "tag-removed": ("STEP 1/26: FROM docker.io/nvidia/cuda:10.2-cudnn7-devel-ubuntu18.04\nError: initializing source docker://nvidia/cuda:10.2-cudnn7-devel-ubuntu18.04: reading manifest 10.2-cudnn7-devel-ubuntu18.04 in docker.io/nvidia/cuda: manifest unknown", ["base-image-removed"]),
    "tag-latest": ("Error response from daemon: manifest for nvidia/cuda:latest not found: manifest unknown: manifest unknown", ["base-image-removed"]),
    "tag-never": ("ERROR: failed to solve: nvidia/cuda:12.7.0-base-ubuntu22.04: docker.io/nvidia/cuda:12.7.0-base-ubuntu22.04: not found", ["base-tag-does-not-exist"]),
    "rate-limit": ("Error response from daemon: toomanyrequests: You have reached your unauthenticated pull rate limit.", ["registry-refused"]),
    "private-ca": ("Error response from daemon: Get \"https://hub.corp.example/v2/\": tls: failed to verify certificate: x509: certificate signed by unknown authority", ["tls-untrusted"]),
    "k8s-pending": ("0/4 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 3 Insufficient nvidia.com/gpu.", ["no-gpu", "toolkit-missing"]),
    "k8s-plugin": (
        "2025-05-06T17:45:45.421956Z stderr F E0506 17:45:45.421956       1 factory.go:112] Incompatible strategy detected auto\n"
        "2025-05-06T17:45:45.421965Z stderr F E0506 17:45:45.421965       1 factory.go:113] If this is a GPU node, did you "
        "configure the NVIDIA Container Toolkit?",
        ["toolkit-missing"],
    ),
    "fabric": ("CUDA_ERROR_SYSTEM_NOT_READY: system not yet initialized", ["gpu-fault"]),
    "xid": ("[Mon Nov  3 10:11:12 2025] NVRM: Xid (PCI:0000:4f:00): 79, pid=1234, GPU has fallen off the bus.", ["gpu-fault"]),
    "glibc": ("python3: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /venv/lib/libtorch.so)", ["glibc-too-old"]),
    "buster": ("E: The repository 'http://deb.debian.org/debian buster Release' does not have a Release file.", ["eol-os"]),
    "centos8": ("Error: Failed to download metadata for repo 'appstream': Cannot prepare internal mirrorlist: No URLs in mirrorlist", ["eol-os"]),
    "gcc": ("/usr/local/cuda/include/crt/host_config.h:143:2: error: #error -- unsupported GNU version! gcc versions later than 12 are not supported! The nvcc flag '-allow-unsupported-compiler' can be used", ["host-compiler-unsupported"]),
    "ptx": ("RuntimeError: CUDA error: the provided PTX was compiled with an unsupported toolchain.", ["driver-too-old"]),
    "insufficient": (
        "| NVIDIA-SMI 470.239.06   Driver Version: 470.239.06   CUDA Version: 11.4     |\ncudaErrorInsufficientDriver: CUDA "
        "driver version is insufficient for CUDA runtime version",
        ["driver-too-old"],
    ),
    "cuda-home": ("OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.", ["cuda-missing"]),
    "assert": ("/pytorch/aten/src/ATen/native/cuda/Loss.cu:250: nll_loss_forward: Assertion `t >= 0 && t < n_classes` failed.\nRuntimeError: CUDA error: device-side assert triggered", ["program-error"]),
    "alone-oom": ("CUDA out of memory", ["out-of-memory"]),
    "alone-137": ("exit code 137", ["out-of-memory"]),
}  # fmt: skip


def codes(capsys: pytest.CaptureFixture[str], text: str) -> list[str]:
    status = run_command_line(["explain-error", "--json", "--", text])
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert (status == 0) == bool(document["causes"])
    for cause in document["causes"]:
        assert list(cause) == ["code", "text", "remedy", "source"]
        assert all(isinstance(value, str) and value for value in cause.values())
        assert "?" not in cause["text"].replace("run?", "")
    return [cause["code"] for cause in document["causes"]]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_of_the_field_is_known(name, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, wanted = MESSAGES[name]
    found = codes(capsys, text)
    assert found[:1] == wanted[:1]
    assert set(wanted) <= set(found)


def test_there_are_many() -> None:
    assert len(MESSAGES) >= 60
