"""What answers cost: one image, why it is that one, one conflict, rendering from ready locks.

Matrices of many points are in `points.py`.

    .venv/bin/python benchmarks/resolve.py             # needs the package index for the peer
    .venv/bin/python benchmarks/resolve.py --no-peer

The matrices are loaded. No declaration is asked twice, as the second time it would be looked up: each
figure is the middle one of a series that differs in the driver, in processor time. `first` is the one that
also compiles the facts which the series shares. Next to them in the same run: `uv pip compile`, offline with
a warm cache, which resolves the packages of one framework and knows neither GPUs nor drivers nor base images;
and a plain search through all rows (`tests/unit/resolver/naive.py`), which stops at the first answer or
proves that there is none, or is given up.
"""

from __future__ import annotations

import argparse
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

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
BUDGETS = {"answer": 0.5, "conflict": 10.0, "explanation": 100.0}
"""Milliseconds."""
PATIENCE = 20
"""Seconds that the plain search has."""


def main() -> None:
    """Measure, and print a table."""
    options = _options()
    print(f"{platform.node()}: {_processor()}, Python {platform.python_version()}\n")
    matrix = load_matrix()
    _row("one image", "ms", "budget", "first", "full search")
    for label, words in ANSWERS.items():
        _answer(label, words, matrix, BUDGETS["answer"], has_peer=options.peer)
    for label, words in CONFLICTS.items():
        assert isinstance(resolve(_wishes(words), matrix), Conflict), label
        _answer(label, words, matrix, BUDGETS["conflict"], has_peer=options.peer)
    for label, words in ANSWERS.items():
        _explanation(label, words, matrix)
    if options.peer:
        _row("uv pip compile torch==2.8.0, warm, offline", f"{_uv() * 1000:.0f}")
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


def _series(words: tuple[str, ...], count: int) -> list[Wishes]:
    """Declarations that differ in the last digits of the oldest driver alone."""
    driver = next((word.removeprefix("driver=") for word in words if word.startswith("driver=")), "580.65")
    kept = [word for word in words if not word.startswith("driver=")]
    branch, patch = driver.split(".")[:2]
    return [_wishes((*kept, f"driver={branch}.{int(patch) + number}.05")) for number in range(count)]


def _times(work: Callable[[Wishes], object], series: list[Wishes]) -> tuple[float, float]:
    """Seconds of processor time of the first, and the middle one of the others."""
    taken = []
    for wishes in series:
        start = time.process_time()
        work(wishes)
        taken.append(time.process_time() - start)
    return taken[0], statistics.median(taken[1:])


def _answer(label: str, words: tuple[str, ...], matrix: Matrix, budget: float, *, has_peer: bool) -> None:
    first, seconds = _times(lambda wishes: resolve(wishes, matrix), _series(words, 31))
    ratio = ""
    if has_peer:
        searched, is_done = _search(_wishes(words), matrix)
        ratio = f"{'' if is_done else '> '}{searched / seconds:,.0f} x"
    _row(label, f"{seconds * 1000:.2f}", f"{budget:g}", f"{first * 1000:.1f}", ratio)


def _search(wishes: Wishes, matrix: Matrix) -> tuple[float, bool]:
    """Seconds of the plain search, and whether it came to its end."""
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(PATIENCE)
    start = time.process_time()
    try:
        next(naive.solutions(wishes, matrix), None)
    except TimeoutError:
        return time.process_time() - start, False
    finally:
        signal.alarm(0)
    return time.process_time() - start, True


def _give_up(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def _explanation(label: str, words: tuple[str, ...], matrix: Matrix) -> None:
    def explain(wishes: Wishes) -> None:
        answer = resolve(wishes, matrix)
        assert isinstance(answer, Resolution), label
        reasons_for(answer, wishes, matrix)

    first, seconds = _times(explain, _series(words, 11))
    _row(f"{label}, explained", f"{seconds * 1000:.2f}", f"{BUDGETS['explanation']:g}", f"{first * 1000:.1f}")


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
