"""What commands cost in CPU time, as multiples of the bare interpreter, next to a peer in the same run.

    .venv/bin/python benchmarks/startup.py             # needs the package index for the peer
    .venv/bin/python benchmarks/startup.py --no-peer

Runs of all programs take turns, and the least of each counts: what else the machine does only adds. The
lock that `render` starts from is the golden one of examples/pytorch-gpu. The peer is HPC Container Maker,
which renders one Dockerfile and resolves nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Users have compiled modules; a workplace that keeps none would measure the compiler.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
PEER = "hpccm==26.5.0"
RECIPE = """\
Stage0 += baseimage(image="nvidia/cuda:12.8.1-devel-ubuntu22.04")
Stage0 += python()
Stage0 += pip(packages=["torch==2.8.0"])
"""


def main() -> None:
    """Measure, and print a table."""
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        programs = _programs(directory, with_peer=options.peer)
        least = dict.fromkeys(programs, float("inf"))
        for _ in range(options.rounds):
            for label, (command, _) in programs.items():
                least[label] = min(least[label], _cpu_seconds(command, directory))
    bare = least["python -c pass"]
    print(f"{'program':<44} {'CPU ms':>7} {'x bare':>7} {'budget':>7}")
    for label, (_, budget) in programs.items():
        limit = f"{budget:g}" if budget else ""
        print(f"{label:<44} {least[label] * 1000:>7.0f} {least[label] / bare:>7.1f} {limit:>7}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often each program runs")
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="measure cudaforge alone")
    return parser.parse_args()


def _programs(directory: Path, *, with_peer: bool) -> dict[str, tuple[list[str], float | None]]:
    """By label: the command, and what it may cost at most as a multiple of the bare interpreter."""
    shutil.copy(ROOT / "examples/pytorch-gpu/cudaforge.toml", directory)
    shutil.copytree(ROOT / "tests/golden/pytorch-gpu/locked", directory, dirs_exist_ok=True)
    cudaforge = str(Path(sys.executable).with_name("cudaforge"))
    programs: dict[str, tuple[list[str], float | None]] = {
        "python -c pass": ([sys.executable, "-c", "pass"], None),
        "python -c 'import typer'": ([sys.executable, "-c", "import typer"], None),
        "cudaforge --version": ([cudaforge, "--version"], 2),
        "cudaforge --help": ([cudaforge, "--help"], 9),
        "cudaforge resolve pytorch==2.8.* gpu=H100": (
            [cudaforge, "resolve", "pytorch==2.8.*", "gpu=H100"],
            11,
        ),
        "cudaforge resolve (examples/pytorch-gpu)": ([cudaforge, "resolve"], 11),
        "cudaforge render (examples/pytorch-gpu)": ([cudaforge, "render", "-o", "out", "--force"], 15),
    }
    if with_peer:
        (directory / "recipe.py").write_text(RECIPE, encoding="utf-8")
        programs[f"{PEER}, one Dockerfile"] = ([str(_peer(directory)), "--recipe", "recipe.py"], None)
    return programs


def _peer(directory: Path) -> Path:
    uv = str(Path(sys.executable).with_name("uv"))
    environment = directory / "peer"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", str(environment / "bin/python"), PEER, "setuptools<81"],
        check=True,
    )
    return environment / "bin/hpccm"


def _cpu_seconds(command: list[str], directory: Path) -> float:
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert process.stderr is not None
    error = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed: {error}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
