"""What programs that work say in their logs: no cause may be read into it."""

from __future__ import annotations

import pytest

from cudaforge.diagnosis.decide import causes_of

XLA = "2024-03-01 10:00:00.123456: "
HARMLESS = {
    "tensorrt": f"{XLA}W tensorflow/compiler/tf2tensorrt/utils/py_utils.cc:38] TF-TRT Warning: Could not find TensorRT",
    "onednn": f"{XLA}I tensorflow/core/util/port.cc:113] oneDNN custom operations are on. You may see slightly different "
    "numerical results due to floating-point round-off errors from different computation orders.",
    "cpu-features": f"{XLA}I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized to use "
    "available CPU instructions in performance-critical operations.",
    "cudnn-factory": "E0000 00:00:1723456789.123456    1234 cuda_dnn.cc:8310] Unable to register cuDNN factory: Attempting "
    "to register factory for plugin cuDNN when one has already been registered",
    "cublas-factory": f"{XLA}E tensorflow/compiler/xla/stream_executor/cuda/cuda_blas.cc:1518] Unable to register cuBLAS "
    "factory: Attempting to register factory for plugin cuBLAS when one has already been registered",
    "numa": f"{XLA}I external/local_xla/xla/stream_executor/cuda/cuda_executor.cc:998] successful NUMA node read from SysFS "
    "had negative value (-1), but there must be at least one NUMA node, so returning NUMA node zero.",
    "allocator": f"{XLA}W external/local_tsl/tsl/framework/bfc_allocator.cc:296] Allocator (GPU_0_bfc) ran out of memory "
    "trying to allocate 2.20GiB with freed_by_count=0. The caller indicates that this is not a failure",
    "cudnn-loaded": f"{XLA}I tensorflow/compiler/xla/stream_executor/cuda/cuda_dnn.cc:432] Loaded cuDNN version 8600",
    "library-opened": f"{XLA}I tensorflow/stream_executor/platform/default/dso_loader.cc:53] Successfully opened dynamic "
    "library libcudart.so.11.0",
    "jax-backends": "INFO:jax._src.xla_bridge:Unable to initialize backend 'tpu': INTERNAL: Failed to open libtpu.so: "
    "libtpu.so: cannot open shared object file: No such file or directory",
    "nccl-info": "NCCL INFO NET/Plugin : No plugin found (libnccl-net.so), using internal implementation\n"
    "NCCL INFO NET/IB : No device found.\nNCCL INFO cudaDriverVersion 12040",
    "pip-root": "WARNING: Running pip as the 'root' user can result in broken permissions",
    "onnxruntime": "[W:onnxruntime:, session_state.cc:1162] Some nodes were not assigned to the preferred execution providers",
    "wsl-link": "/sbin/ldconfig.real: /usr/lib/wsl/lib/libcuda.so.1 is not a symbolic link",
    "arch-list": "UserWarning: TORCH_CUDA_ARCH_LIST is not set, all archs for visible cards are included for compilation.",
    "smi": "| NVIDIA-SMI 535.54.03    Driver Version: 535.54.03    CUDA Version: 12.2     |",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_log_of_a_program_that_works_has_no_cause(name) -> None:
    assert causes_of(HARMLESS[name]) == ()


def test_all_of_them_in_one_log_have_no_cause_either() -> None:
    assert causes_of("\n".join(HARMLESS.values())) == ()


def test_a_cause_among_them_is_found() -> None:
    log = "\n".join(
        [
            *HARMLESS.values(),
            "RuntimeError: CUDA error: no kernel image is available for execution on the device",
        ]
    )
    assert [cause.code.value for cause in causes_of(log)][:1] == ["arch-unsupported"]
