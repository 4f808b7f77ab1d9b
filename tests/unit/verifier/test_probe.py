"""The real probe on this Python, with a "torch" that misbehaves in every way that was thought of."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cudaforge.verifier.bundle import probe_arguments
from cudaforge.verifier.causes import explain_stage
from cudaforge.verifier.evidence import TAG, Report, parse_output

NONCE = "0123456789abcdef"


def probe(directory: Path, torch: str | None, *, timeout: float = 20.0) -> Report:
    """Run the probe where `import torch` does this."""
    if torch is not None:
        (directory / "torch.py").write_text(torch)
    arguments = probe_arguments(["pytorch"], nonce=NONCE, steps=2, seed=1, timeout=timeout)
    # -S: a real torch of this environment is not meant.
    done = subprocess.run(
        [sys.executable, "-S", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout + 20,
        check=False,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(directory)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 2, "one line and the line end that sets it apart"
    return parse_output(done.stdout, NONCE)


def cause(report: Report, stage: str = "load", *, timeout: float = 20.0) -> str:
    child = report.frameworks["pytorch"]
    return explain_stage(child, stage, memory_kills=report.memory_kills, limit=None, timeout=timeout).text


def test_facts_of_this_python(tmp_path: Path):
    report = probe(tmp_path, None)
    system = report.system.value("system")
    assert system["python"].text == ".".join(map(str, sys.version_info[:3]))
    assert system["uid"].number == os.getuid()
    assert report.system.value("distributions").value == {}
    assert "No module named 'torch'" in report.frameworks["pytorch"].stages["load"].error_text
    assert "the image lacks torch" in cause(report)
    assert report.libraries.value("versions").value is not None


@pytest.mark.parametrize(
    ("torch", "expected"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed with SIGSEGV"),
        ("import os; os.abort()", "crashed with SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "crashed with SIGKILL"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "CPU instructions"),
        ("import os; os._exit(3)", "exit status 3"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import os; os.closerange(0, 256)", "ended its process"),
        ("while True: print('y' * 100000)", "flooded its output"),
        ("raise ImportError('libcudnn.so.9: cannot open shared object file')", "cuDNN's library is missing"),
        ("raise ImportError('\\udcff \\x00 \\u202e' * 10000)", "ImportError"),
        ("x = bytearray(1 << 60)", "MemoryError"),
        ("def f(): f()\nf()", "RecursionError"),
        ("import os; os.write(1, bytes(range(256)) * 100); raise ValueError('told')", "ValueError: told"),
    ],
)
def test_a_framework_that_cannot_be_loaded(tmp_path: Path, torch: str, expected: str):
    report = probe(tmp_path, torch)
    assert expected in cause(report)
    assert report.system.value("system")["python"].text, "what was seen before is kept"
    assert report.libraries.value("versions").value is not None


def test_a_framework_that_hangs_costs_its_own_facts_alone(tmp_path: Path):
    report = probe(
        tmp_path, "import signal; signal.pthread_sigmask(0, range(1, 65)); signal.pause()", timeout=2
    )
    assert cause(report, timeout=2) == "it did not end within 2 s"
    assert report.frameworks["pytorch"].stopped == "deadline"
    assert report.libraries.value("versions").value is not None


def test_a_line_that_looks_like_a_result_is_none(tmp_path: Path):
    forged = f"print('{TAG} {'f' * 32} {{}}'); import os; os.write(1, b'\\n{TAG} {NONCE} {{}}\\n')"
    report = probe(tmp_path, forged)
    assert TAG in report.frameworks["pytorch"].output


def test_a_child_that_stays_behind_holds_nothing_up(tmp_path: Path):
    started = time.monotonic()
    report = probe(
        tmp_path, "import subprocess\nsubprocess.Popen(['sleep', '60'])\nraise ImportError('with a child')"
    )
    assert "with a child" in cause(report)
    assert time.monotonic() - started < 15


def test_distributions_are_found_by_their_directories(tmp_path: Path):
    for name in (
        "nvidia_cudnn_cu12-9.10.2.21.dist-info",
        "torch-2.8.0+cu128.dist-info",
        "Old.Style-1.0-py3.11.egg-info",
        "zope.interface-6.0.dist-info",
        "not-a-distribution",
        "broken.dist-info",
    ):
        (tmp_path / name).mkdir()
    assert dict(probe(tmp_path, None).system.value("distributions").texts) == {
        "nvidia-cudnn-cu12": "9.10.2.21",
        "torch": "2.8.0+cu128",
        "old-style": "1.0",
        "zope-interface": "6.0",
    }
