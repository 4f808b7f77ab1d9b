"""The one vocabulary in which cudaforge names what is wrong with an image, a host or a Dockerfile.

`audit`, `verify`, `explain-error` and `doctor` use the same codes, so that a finding of one can be looked up,
counted and silenced like a finding of another.
"""

from __future__ import annotations

from enum import Enum


class Code(str, Enum):
    """A kind of trouble. The value is what users read and write."""

    # CUDA and cuDNN of an image
    CUDA_MISSING = "cuda-missing"
    CUDA_TOO_OLD = "cuda-too-old"
    CUDA_MAJOR_MISMATCH = "cuda-major-mismatch"
    CUDNN_MISSING = "cudnn-missing"
    CUDNN_TOO_OLD = "cudnn-too-old"
    CUDNN_MAJOR_MISMATCH = "cudnn-major-mismatch"
    CUDNN_SHADOWED = "cudnn-shadowed"
    CUDNN_MIXED_VERSIONS = "cudnn-mixed-versions"
    CUDNN_DEV_SYMLINK_MISSING = "cudnn-dev-symlink-missing"
    CUDA_SHADOWED = "cuda-shadowed"
    NVJITLINK_SHADOWED = "nvjitlink-shadowed"
    NCCL_MISSING = "nccl-missing"
    PTXAS_MISSING = "ptxas-missing"
    COMPAT_LIB_ON_PATH = "compat-lib-on-path"
    DRIVER_LIB_AT_BUILD = "driver-lib-at-build"
    DUPLICATE_CUDA_LIBS = "duplicate-cuda-libs"

    # GPU, driver and container set-up
    NO_GPU = "no-gpu"
    GPU_NOT_REQUESTED = "gpu-not-requested"
    DRIVER_MISSING = "driver-missing"
    DRIVER_TOO_OLD = "driver-too-old"
    DRIVER_MISMATCH = "driver-mismatch"
    DRIVER_NOT_READY = "driver-not-ready"
    TOOLKIT_MISSING = "toolkit-missing"
    CDI_MISSING = "cdi-missing"
    DEVICE_PERMISSION = "device-permission"
    VISIBLE_DEVICES = "visible-devices"
    ARCH_UNSUPPORTED = "arch-unsupported"
    OUT_OF_MEMORY = "out-of-memory"
    SHM_TOO_SMALL = "shm-too-small"
    WRONG_ARCHITECTURE = "wrong-architecture"
    GPU_FAULT = "gpu-fault"
    """The GPU, its memory or the fabric between GPUs fails."""
    PROGRAM_ERROR = "program-error"
    """The user's own program, on a set-up that works."""
    CDI_BROKEN = "cdi-broken"
    CDI_STALE = "cdi-stale"
    CGROUP_RELOAD = "cgroup-reload"

    # Engine, disk and network of a host
    ENGINE_MISSING = "engine-missing"
    ENGINE_TOO_OLD = "engine-too-old"
    ENGINE_PERMISSION = "engine-permission"
    BUILDX_MISSING = "buildx-missing"
    CREDENTIAL_HELPER_MISSING = "credential-helper-missing"
    LOGIN_MISSING = "login-missing"
    PROXY_UNREACHABLE = "proxy-unreachable"
    CERTIFICATES_BROKEN = "certificates-broken"

    # What came out of a container
    TIMED_OUT = "timed-out"
    OUTPUT_FLOOD = "output-flood"
    RESULT_FORGED = "result-forged"

    # Frameworks and Python packages
    FRAMEWORK_BROKEN = "framework-broken"
    CPU_ONLY_BUILD = "cpu-only-build"
    CUDA_WHEEL_ON_CPU_IMAGE = "cuda-wheel-on-cpu-image"
    WHEEL_CUDA_DIFFERS_FROM_BASE = "wheel-cuda-differs-from-base"
    BASE_FRAMEWORK_OVERWRITTEN = "base-framework-overwritten"
    NO_SUCH_BUILD = "no-such-build"
    NO_WHEEL_FOR_ARCH = "no-wheel-for-arch"
    INDEX_DOES_NOT_EXIST = "index-does-not-exist"
    WRONG_INDEX = "wrong-index"
    UNPINNED_FRAMEWORK = "unpinned-framework"
    PACKAGE_RETIRED = "package-retired"
    EXTRA_REMOVED = "extra-removed"
    CONFLICTING_PACKAGES = "conflicting-packages"
    COMPANION_MISMATCH = "companion-mismatch"
    NUMPY_ABI = "numpy-abi"
    REQUIREMENTS_NOT_VISIBLE = "requirements-not-visible"
    SHELL_REDIRECT = "shell-redirect"

    # Python, pip and the operating system
    PYTHON_UNSUPPORTED = "python-unsupported"
    PYTHON_MISSING = "python-missing"
    PYTHON_PIP_MISMATCH = "python-pip-mismatch"
    PIP_TOO_OLD = "pip-too-old"
    PEP668 = "pep668"
    GLIBC_TOO_OLD = "glibc-too-old"
    EOL_OS = "eol-os"
    REPO_KEY_ROTATED = "repo-key-rotated"

    # Base images
    BASE_TAG_DOES_NOT_EXIST = "base-tag-does-not-exist"
    BASE_IMAGE_REMOVED = "base-image-removed"
    FLOATING_BASE_TAG = "floating-base-tag"

    # What a build and a host reach, and where they put it
    ENGINE_UNREACHABLE = "engine-unreachable"
    REGISTRY_REFUSED = "registry-refused"
    """An image registry or a package index wants another login, or fewer requests."""
    NETWORK_FAILED = "network-failed"
    TLS_UNTRUSTED = "tls-untrusted"
    HASH_MISMATCH = "hash-mismatch"
    DISK_FULL = "disk-full"
    HOST_COMPILER_UNSUPPORTED = "host-compiler-unsupported"
    """No C++ compiler, or one that nvcc does not accept."""
