"""What answers cost: one image, why it is that one, one conflict, a matrix of ten thousand points, rendering
from ready locks.

    .venv/bin/python benchmarks/resolve.py             # needs the package index for the peer
    .venv/bin/python benchmarks/resolve.py --no-peer

Figures are the least of several runs, in the same process but for the matrices, each of which is a process of
its own from start to end. Next to them in the same run: `uv pip compile`, offline with a warm cache, which
resolves the packages of one framework and knows neither GPUs nor drivers nor base images; and a plain search
through all rows (`tests/unit/resolver/naive.py`), which stops at the first answer or proves that there is
none.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cudaforge.declaration import declaration_from_words  # noqa: E402
from cudaforge.declaration.model import Wishes  # noqa: E402
from cudaforge.lockfile.store import read_lock  # noqa: E402
from cudaforge.matrix import Matrix, load_matrix  # noqa: E402
from cudaforge.records import replace  # noqa: E402
from cudaforge.renderer import render_image  # noqa: E402
from cudaforge.resolver import Conflict, Resolution, reasons_for, resolve  # noqa: E402
from tests.unit.resolver import naive  # noqa: E402

# Users have compiled modules; a workplace that keeps none would measure the compiler.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
ANSWERS = {
    "pytorch": ("pytorch",),
    "pytorch on three GPUs": (
        "pytorch>=2.6,<2.9", "cuda==12.8", "cudnn>=9.1", "gpu=GeForce RTX 4090", "gpu=sm_90", "driver=570.86",
        "python==3.11",
    ),
    "tensorflow, CUDA of the base": ("tensorflow", "cuda==11.4", "os=ubuntu20.04", "python==3.8"),
}  # fmt: skip
CONFLICTS = {
    "pytorch 2.6 on an RTX 5090": ("pytorch==2.6.*", "gpu=GeForce RTX 5090"),
    "tensorflow on CUDA 11.4": ("tensorflow>=2.12", "cuda==11.4", "os=ubuntu20.04"),
    "seven wishes, none to spare": (
        "pytorch==2.4.*", "cuda==13.0", "gpu=GeForce RTX 5090", "gpu=sm_70", "driver=535.104.05",
        "python==3.13", "os=ubuntu18.04",
    ),
}  # fmt: skip
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
BUDGETS = {"answer": 0.5, "conflict": 10.0, "explanation": 50.0}
"""Milliseconds."""


def main() -> None:
    """Measure, and print a table."""
    options = _options()
    print(f"{platform.node()}: {_processor()}, Python {platform.python_version()}\n")
    # First: a child's memory is counted from its parent's on.
    _row("whole process, `cudaforge matrix --format json`", "s CPU", "MB", "images", "dropped")
    for label, axes in MATRICES.items():
        for count in SHARES:
            _matrix(label, axes, DRIVERS[:count])
    print()
    matrix = load_matrix()
    _row("one image", "ms", "budget", "x full search")
    for label, words in ANSWERS.items():
        _answer(label, _wishes(words), matrix, BUDGETS["answer"], has_peer=options.peer)
    for label, words in CONFLICTS.items():
        wishes = _wishes(words)
        assert isinstance(resolve(wishes, matrix), Conflict), label
        _answer(label, wishes, matrix, BUDGETS["conflict"], has_peer=options.peer)
    for label, words in ANSWERS.items():
        _explanation(label, _wishes(words), matrix)
    if options.peer:
        _row("uv pip compile torch==2.8.0, warm, offline", f"{_uv() * 1000:.0f}", "", "")
    print()
    _render()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="measure cudaforge alone")
    return parser.parse_args()


def _row(label: str, *cells: str) -> None:
    print(f"{label:<52}" + "".join(f"{cell:>14}" for cell in cells))


def _wishes(words: tuple[str, ...]) -> Wishes:
    return declaration_from_words(words, root=Path()).images[0].wishes


def _least(work: Callable[[], object], *, rounds: int = 30) -> float:
    """Seconds of the fastest of several runs: what else the machine does only adds."""
    found = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        found = min(found, time.perf_counter() - start)
    return found


def _answer(label: str, wishes: Wishes, matrix: Matrix, budget: float, *, has_peer: bool) -> None:
    seconds = _least(lambda: resolve(wishes, matrix))
    ratio = ""
    if has_peer:
        searched = _least(lambda: next(naive.solutions(wishes, matrix), None), rounds=1)
        ratio = f"1 / {searched / seconds:,.0f}"
    _row(label, f"{seconds * 1000:.2f}", f"{budget:g}", ratio)


def _explanation(label: str, wishes: Wishes, matrix: Matrix) -> None:
    answer = resolve(wishes, matrix)
    assert isinstance(answer, Resolution), label
    seconds = _least(lambda: reasons_for(answer, wishes, matrix), rounds=10)
    _row(f"{label}, explained", f"{seconds * 1000:.2f}", f"{BUDGETS['explanation']:g}", "")


def _uv() -> float:
    uv = str(Path(sys.executable).with_name("uv"))
    with tempfile.TemporaryDirectory() as name:
        asked = Path(name) / "requirements.in"
        asked.write_text("torch==2.8.0\n", encoding="utf-8")
        command = [uv, "pip", "compile", "--quiet", "--cache-dir", f"{name}/cache", str(asked)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return _least(
            lambda: subprocess.run([*command, "--offline"], check=True, stdout=subprocess.DEVNULL), rounds=5
        )


def _matrix(label: str, axes: str, drivers: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "cudaforge.toml"
        path.write_text(
            f'schema = 1\n\n[images.lab]\nframework = "pytorch"\n\n[images.lab.matrix]{axes}'
            f"driver = {json.dumps(drivers)}\n",
            encoding="utf-8",
        )
        cudaforge = str(Path(sys.executable).with_name("cudaforge"))
        with (Path(name) / "out").open("w") as stream:
            process = subprocess.Popen(
                [cudaforge, "matrix", "-f", str(path), "--format", "json"], stdout=stream, env=ENVIRONMENT
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        found = json.loads((Path(name) / "out").read_text(encoding="utf-8"))
    images, dropped = len(found["images"]), sum(len(one["points"]) for one in found["dropped"])
    seconds = usage.ru_utime + usage.ru_stime
    cells = (f"{seconds:.2f}", f"{usage.ru_maxrss / 1024:.0f}", f"{images:,}", f"{dropped:,}")
    _row(f"{images + dropped:,} points, {label}", *cells)


def _render() -> None:
    lock = read_lock(ROOT / "tests/golden/pytorch-gpu/locked/cudaforge.lock")
    images = [replace(lock.images[0], name=f"image-{number}") for number in range(1000)]
    render_image(images[0])
    seconds = _least(lambda: [render_image(image) for image in images], rounds=3)
    _row("rendering 1,000 images from ready locks", f"{seconds:.2f} s")


def _processor() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


if __name__ == "__main__":
    main()
