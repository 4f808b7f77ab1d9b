"""The CUDA compiler at work: a small kernel, and what comes of it on a GPU."""

import os
import subprocess
import tempfile
from typing import Dict, Optional

_SOURCE = r"""
#include <cstdio>
__global__ void triple(int *numbers) { numbers[threadIdx.x] *= 3; }
int main() {
    const int count = 256;
    int numbers[count], *device = 0;
    for (int i = 0; i < count; i++) numbers[i] = i;
    cudaMalloc(&device, sizeof numbers);
    cudaMemcpy(device, numbers, sizeof numbers, cudaMemcpyHostToDevice);
    triple<<<1, count>>>(device);
    cudaMemcpy(numbers, device, sizeof numbers, cudaMemcpyDeviceToHost);
    cudaError_t error = cudaGetLastError();
    if (error != cudaSuccess) { printf("%s\n", cudaGetErrorString(error)); return 1; }
    for (int i = 0; i < count; i++)
        if (numbers[i] != 3 * i) { printf("%d times 3 gave %d\n", i, numbers[i]); return 1; }
    return 0;
}
"""
_KEPT = 600
_COMPILE_SECONDS, _RUN_SECONDS = 120, 60


def try_compiler(compiler: Optional[str], capability: Optional[str]) -> Dict[str, object]:
    """Compile the kernel, for a GPU of this compute capability where there is one, and run it there."""
    if compiler is None:
        return {"compiled": False, "ran": None, "said": "the image has no nvcc"}
    with tempfile.TemporaryDirectory() as directory:
        source, program = os.path.join(directory, "triple.cu"), os.path.join(directory, "triple")
        with open(source, "w") as file:
            file.write(_SOURCE)
        number = (capability or "").replace(".", "")
        target = ["-gencode", "arch=compute_{0},code=sm_{0}".format(number)] if number else []
        status, said = _run([compiler, *target, "-o", program, source], _COMPILE_SECONDS)
        if status != 0 or not number:
            return {"compiled": status == 0, "ran": None, "said": said}
        status, said = _run([program], _RUN_SECONDS)
        return {"compiled": True, "ran": status == 0, "said": said}


def _run(argv: "list[str]", seconds: float) -> "tuple[int, str]":
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")[-_KEPT:].strip()
