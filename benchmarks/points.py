"""What a matrix of many points costs: the whole process of `cudaforge matrix`, from its start to its end.

    .venv/bin/python benchmarks/points.py

The budget for ten thousand points is two seconds and 200 MB. The time per point says how it grows. Next to it
in the same run: the same declaration without its matrix, which is what starting and loading cost.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

# Nothing of cudaforge is imported: a child's peak memory is counted from its parent's on.

# Users have compiled modules; a workplace that keeps none would measure the compiler.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
MATRICES = {
    "every point possible": """
framework = ["pytorch==2.6.*", "pytorch==2.7.*", "pytorch==2.8.*", "pytorch==2.9.*", "jax==0.5.*"]
python = ["3.10", "3.11", "3.12", "3.13"]
os = ["debian12", "debian13"]
gpus = [["A100"], ["H100"], ["RTX 4090"], ["RTX 3090"], ["L4"], ["A10"], ["L40S"], ["T4"], ["A40"], ["A30"]]
""",
    "three of four impossible": """
framework = ["pytorch==2.4.*", "pytorch==2.6.*", "pytorch==2.8.*", "tensorflow==2.15.*", "jax==0.5.*"]
python = ["3.9", "3.10", "3.11", "3.13"]
cuda = ["11.8", "12.6"]
gpus = [["V100"], ["A100"], ["H100"], ["RTX 4090"], ["RTX 5090"], ["T4"], ["L4"], ["A10"], ["L40S"], ["B200"]]
""",
}
DRIVERS = tuple(f"{branch}.{patch}" for branch in (575, 580, 590, 595, 610) for patch in range(10, 60, 10))
SHARES = (6, 12, 25)
"""So many of the drivers: the last makes ten thousand points."""


def main() -> None:
    """Measure, and print a table."""
    print(f"{platform.node()}: {_processor()}, Python {platform.python_version()}\n")
    _row("whole process, `cudaforge matrix --format json`", "s CPU", "MB", "images", "dropped", "us a point")
    start = _measure("one image", "")
    for label, axes in MATRICES.items():
        for count in SHARES:
            _measure(label, f"\n[images.lab.matrix]{axes}driver = {json.dumps(DRIVERS[:count])}\n", start)


def _row(label: str, *cells: str) -> None:
    print(f"{label:<52}" + "".join(f"{cell:>12}" for cell in cells))


def _measure(label: str, matrix: str, start: float = 0.0) -> float:
    """Seconds of processor time; a point costs what is beyond the start."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "cudaforge.toml"
        path.write_text(f'schema = 1\n\n[images.lab]\nframework = "pytorch"\n{matrix}', encoding="utf-8")
        cudaforge = str(Path(sys.executable).with_name("cudaforge"))
        with (Path(name) / "out").open("w") as stream:
            process = subprocess.Popen(
                [cudaforge, "matrix", "-f", str(path), "--format", "json"], stdout=stream, env=ENVIRONMENT
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        found = json.loads((Path(name) / "out").read_text(encoding="utf-8"))
    images, dropped = len(found["images"]), sum(len(one["points"]) for one in found["dropped"])
    seconds, points = usage.ru_utime + usage.ru_stime, images + dropped
    cells = (f"{seconds:.2f}", f"{usage.ru_maxrss / 1024:.0f}", f"{images:,}", f"{dropped:,}")
    each = f"{(seconds - start) / points * 1e6:.0f}" if start else ""
    _row(f"{points:,} points, {label}" if start else label, *cells, each)
    return seconds


def _processor() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


if __name__ == "__main__":
    main()
