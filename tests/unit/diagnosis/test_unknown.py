"""Text that tells of no trouble that the patterns know is answered with "unknown", never with the nearest."""

from __future__ import annotations

import json
import random

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.diagnosis import causes_of, diagnose_stream

UNRELATED = (
    "hello",
    "error",
    "Error",
    "Segmentation fault (core dumped)",
    "KeyError: 'labels'",
    "ValueError: operands could not be broadcast together with shapes (3,) (4,)",
    "ModuleNotFoundError: No module named 'my_project'",
    "ImportError: libmagic.so.1: cannot open shared object file: No such file or directory",
    "FileNotFoundError: [Errno 2] No such file or directory: 'data/train.csv'",
    "TypeError: forward() missing 1 required positional argument: 'mask'",
    "RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x512 and 256x10)",
    "ERROR: No matching distribution found for my-internal-package==1.2.3",
    "ERROR: Could not find a version that satisfies the requirement left-pad (from versions: none)",
    "bash: kubectl: command not found",
    "/bin/sh: 1: python: not found",
    "permission denied: '/root/.ssh/id_rsa'",
    "fatal: not a git repository (or any of the parent directories): .git",
    "npm ERR! code ERESOLVE",
    "make: *** [Makefile:12: all] Error 2",
    "undefined reference to `main'",
    "error TS2322: Type 'string' is not assignable to type 'number'.",
    "java.lang.NullPointerException at com.example.Main.main(Main.java:5)",
    "AMD GPU: hipErrorNoBinaryForGpu: Unable to find code object for all current devices",
    "Unable to initialize backend 'tpu': INTERNAL: Failed to open libtpu.so",
    "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)",
    "psycopg2.OperationalError: FATAL: password authentication failed for user \"postgres\"",
    "E: Unable to locate package frobnicator",
    "docker: Error response from daemon: Conflict. The container name \"/web\" is already in use.",
    "WARNING: Running pip as the 'root' user can result in broken permissions",
    "DEPRECATION: Loading egg at /usr/lib/python3/dist-packages/foo is deprecated.",
    "Successfully installed torch-2.6.0 nvidia-cudnn-cu12-9.1.0.70",
    "no errors: CUDA is available",
    "torch.cuda.is_available() is True",
    "Available devices: cuda:0 NVIDIA H100 80GB HBM3, compute capability 9.0",
    "| NVIDIA-SMI 570.86   Driver Version: 570.86   CUDA Version: 12.8 |",
    "NCCL INFO Channel 00/02 : 0 1 2 3",
    "To use a GPU in a container, install the NVIDIA Container Toolkit and pass --gpus all to docker run.",
    "The CUDA driver must be new enough for the CUDA runtime; see the compatibility table in the documentation.",
    "This section explains what to do when shared memory is too small for the data loader.",
    "If your driver is too old, update it. Forward compatibility needs a data-centre GPU.",
    "Out-of-memory errors are often solved by a smaller batch size or gradient checkpointing.",
    "PEP 668 marks an environment as managed from outside, so that pip refuses to change it.",
    "Our base image is nvidia/cuda:12.8.1-base-ubuntu22.04 and it was found in the registry.",
    "Kubernetes schedules pods with nvidia.com/gpu limits on nodes that have the device plugin.",
    "The wheel has kernels for sm_80 and sm_90, and PTX for what comes later.",
    "We killed the old process and started a new one with exit code 0.",
    "numpy 2.1.0 and torch 2.6.0 are compatible.",
    "GLIBC 2.31 or newer is needed; Debian 12 has 2.36.",
    "0/3 nodes are available: 3 Insufficient memory.",
    "the disk has 100 GB of space left",
    "libcudnn.so.9 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libcudnn.so.9",
    "137",
    "nvidia",
    "cuda",
    "kernel",
    "{}",
    "()[]{}*+?|\\^$.",
    "%s %d {library} {0}",
    "\u202e\u200b\u0000 \x1b[31m\x1b[0m",
)  # fmt: skip


@pytest.mark.parametrize("text", UNRELATED)
def test_it_is_unknown(text, capsys) -> None:
    assert run_command_line(["explain-error", "--json", "--", text]) == 1
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "causes": []}


def test_people_read_unknown(capsys) -> None:
    assert run_command_line(["explain-error", "hello", "there"]) == 1
    assert capsys.readouterr().out == "unknown\n"


def test_an_empty_message_is_wrong_input(capsys) -> None:
    assert run_command_line(["explain-error", " "]) == 2
    assert "the message is empty" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(5))
def test_garbage_is_unknown(seed) -> None:
    garbage = random.Random(seed).randbytes(3_000_000)
    found = diagnose_stream(garbage[start : start + (1 << 20)] for start in range(0, len(garbage), 1 << 20))
    assert found.matches == ()


def test_words_of_messages_in_another_order_are_unknown() -> None:
    assert causes_of("capabilities with driver device select not could gpu") == ()
    assert causes_of("available device for image kernel execution on the is no") == ()


def test_half_a_message_is_unknown() -> None:
    assert causes_of("could not select device driver") == ()
    assert causes_of("cannot open shared object file: No such file or directory") == ()
