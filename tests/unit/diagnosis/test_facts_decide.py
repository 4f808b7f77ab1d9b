"""Where a text names versions, GPUs, drivers or tags, the facts of the matrix decide and say by how much."""

from __future__ import annotations

import json

import pytest

from cudaforge.cli.main import run_command_line

INSUFFICIENT = "RuntimeError: CUDA error: CUDA driver version is insufficient for CUDA runtime version\n"
NO_KERNEL = "RuntimeError: CUDA error: no kernel image is available for execution on the device\n"
GATE = (
    "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, please update your driver\n"
)
PIP = "ERROR: No matching distribution found for "

CASES = {
    "driver below the floor": (
        INSUFFICIENT + "Driver Version: 470.57.02\ntorch 2.4.0+cu124",
        "driver-too-old",
        ["470.57.02", "CUDA 12.4", "525.60.13", "CUDA up to 11.4"],
    ),
    "driver above the floor": (INSUFFICIENT + "Driver Version: 550.54.14\ntorch 2.4.0+cu124", "driver-missing", ["550.54.14", "is new enough for CUDA 12.4"]),
    "driver alone": (INSUFFICIENT + "NVIDIA-SMI 470.57.02", "driver-too-old", ["470.57.02", "CUDA up to 11.4"]),
    "CUDA alone": (INSUFFICIENT + "nvidia/cuda:12.8.1-runtime-ubuntu22.04", "driver-too-old", ["CUDA 12.8", "525.60.13"]),
    "driver of the proc file": (INSUFFICIENT + "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.239.06  Wed\ncuda 12.1", "driver-too-old", ["470.239.06"]),
    "found version": (
        "The NVIDIA driver on your system is too old (found version 11040). Please update\ntorch==2.5.1+cu121",
        "driver-too-old",
        ["CUDA 11.4", "CUDA 12.1", "525.60.13"],
    ),
    "PTX needs the native driver": (
        "CUDA error: the provided PTX was compiled with an unsupported toolchain.\nDriver Version: 535.104.05\ntorch 2.7.0+cu128",
        "driver-too-old",
        ["535.104.05", "CUDA 12.8", "570."],
    ),
    "gate and driver": (GATE + "Driver Version: 550.144.03", "driver-too-old", ["branch 570", "550.144.03", "CUDA 12.4"]),
    "gate alone": (GATE, "driver-too-old", ["CUDA 12.8", "branch 570"]),
    "GeForce is no data-centre GPU": ("GeForce RTX 4090\nError 804: forward compatibility was attempted on non supported HW", "compat-lib-on-path", ["RTX 4090", "no data-centre GPU"]),
    "H100 is one": ("NVIDIA H100\nError 804: forward compatibility was attempted on non supported HW", "driver-too-old", ["H100", "data-centre GPU"]),
    "no kernel, GPU named": (NO_KERNEL + "torch==2.6.0+cu124 on NVIDIA GeForce RTX 5090", "arch-unsupported", ["RTX 5090 (sm_120)", "PyTorch 2.7.0 is the first"]),
    "no kernel, sm named": (NO_KERNEL + "device capability sm_120", "arch-unsupported", ["sm_120", "CUDA 12.8 is the first"]),
    "an old GPU": (
        "Found GPU0 Tesla K80 which is of cuda capability 3.7.\nPyTorch no longer supports this GPU because it is too old.",
        "arch-unsupported",
        ["K80 (sm_37)", "is the last with it"],
    ),
    "the window has it": (
        "with CUDA capability sm_90 is not compatible with the current PyTorch installation. The current PyTorch install "
        "supports CUDA capabilities sm_80 sm_86 sm_90.",
        "arch-unsupported",
        ["has code for sm_90", "extension"],
    ),
    "label on another index": (PIP + "torch==2.0.1+cu118", "wrong-index", ["https://download.pytorch.org/whl/cu118"]),
    "no such label": (PIP + "torch==2.8.0+cu134", "no-such-build", ["has no build cu134"]),
    "no such release": (PIP + "tensorflow==2.99.0", "no-such-build", ["no TensorFlow 2.99.0 is known"]),
    "no wheel for this Python": (PIP + "torch==1.12.0\nPython 3.12.1", "python-unsupported", ["3.10", "none for 3.12"]),
    "no wheel for this platform": (PIP + "torch==1.12.0+cu116\naarch64", "no-wheel-for-arch", ["linux/arm64", "linux/amd64"]),
    "Alpine": (PIP + "torch==2.6.0\nmusllinux_1_2_x86_64", "no-wheel-for-arch", ["musl (Alpine)"]),
    "wheel of another Python": ("torch-2.6.0+cu124-cp310-cp310-linux_x86_64.whl is not a supported wheel on this platform. Python 3.12", "python-unsupported", ["Python 3.10", "Python 3.12"]),
    "wheel of another system": ("torch-2.6.0+cu124-cp310-cp310-win_amd64.whl is not a supported wheel on this platform.", "no-wheel-for-arch", ["Windows"]),
    "wheel of another machine": ("torch-2.6.0-cp310-cp310-manylinux_2_28_aarch64.whl is not a supported wheel on this platform. x86_64", "no-wheel-for-arch", ["linux/arm64"]),
    "removed tag": ("manifest for nvidia/cuda:11.0-base-ubuntu20.04 not found: manifest unknown", "base-image-removed", ["nvidia/cuda:11.0-base-ubuntu20.04"]),
    "tag that never was": ("manifest for nvidia/cuda:12.3.9-base-ubuntu22.04 not found: manifest unknown", "base-tag-does-not-exist", ["no tag nvidia/cuda:12.3.9"]),
    "tag that is there": ("manifest for mirror.example/nvidia/cuda not found\nnvidia/cuda:12.8.1-base-ubuntu22.04: not found", "base-tag-does-not-exist", []),
    "glibc of the OS": ("/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found\nUbuntu 20.04", "glibc-too-old", ["GLIBC_2.34", "ubuntu20.04 has glibc 2.31"]),
    "end of life": ("E: The repository 'http://deb.debian.org/debian bullseye Release' does not have a Release file.", "eol-os", ["debian11", "end of life"]),
    "not the end of life": ("E: The repository 'http://mirror.example/debian trixie Release' does not have a Release file.", "network-failed", ["debian13"]),
    "host compiler": ("unsupported GNU version! gcc versions later than 11 are not supported!", "host-compiler-unsupported", ["CUDA 11.4 to 11.8"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_facts_decide(name, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, code, words = CASES[name]
    assert run_command_line(["explain-error", "--json", "--", text]) == 0
    first = json.loads(capsys.readouterr().out)["causes"][0]
    assert first["code"] == code
    for word in words:
        assert word in first["text"], first["text"]


def test_the_remedy_names_what_exists(capsys) -> None:
    run_command_line(
        ["explain-error", "manifest for nvidia/cuda:11.0-base-ubuntu20.04 not found: manifest unknown"]
    )
    assert "nvidia/cuda:11.0.3-base-ubuntu20.04" in capsys.readouterr().out


def test_facts_of_a_projects_overlay_count(capsys, tmp_path, monkeypatch) -> None:
    (tmp_path / "own.toml").write_text(
        'schema = 1\n[sources]\nlab = { strength = "measured", checked = "2026-11-20", text = "the lab\'s card" }\n'
        '[[gpus]]\nname = "GeForce RTX 9999"\ncapability = "12.0"\nkind = "consumer"\nsource = "lab"\n',
        encoding="utf-8",
    )
    (tmp_path / "cudaforge.toml").write_text(
        'schema = 1\n[matrices]\noverlays = ["own.toml"]\n[images.a]\nframework = "pytorch"\n',
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    run_command_line(["explain-error", NO_KERNEL + "NVIDIA GeForce RTX 9999"])
    assert "RTX 9999 (sm_120)" in " ".join(capsys.readouterr().out.split())
