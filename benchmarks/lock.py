"""What locks of many images cost: `cudaforge lock`, next to a loop of `uv pip compile` over the same images.

    .venv/bin/python benchmarks/lock.py [--images N] [--questions N] [--no-peer]

Real small wheels of the package index that this machine is configured for, on a base made from the OS
archive that is known but in the first row. The loop asks for the packages of each image, one after the other,
with the same uv and the same settings of the site; it knows no bases, no builds of frameworks and nothing of
what is there already. uv's cache is warm for both: every image was locked before anything is timed. What is
locked has to be what the loop finds. The loop is timed once for each declaration:

- every image asks something else: two packages of its own besides the framework;
- a matrix: images that differ in labels and commands ask the same as many others (`--questions`);
- the same once more with one image changed: every image asks whether what is locked still fits;
- the same once more with nothing changed: nothing is asked.

MB is what cudaforge itself has in memory at most; `with uv` what it and its programs have together, memory
that they share divided among them, looked at ten times a second. The times are wall times, and most of them
the index's: on another day they are others, which is why the loop runs beside them.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Nothing of cudaforge is imported: a child's peak memory is counted from its parent's on.

PACKAGES = (
    "tqdm", "rich", "attrs", "click", "jinja2", "pyyaml", "requests", "packaging", "idna", "certifi",
    "urllib3", "six", "toml", "filelock", "fsspec", "pytz", "markdown", "docutils", "pyparsing", "decorator",
    "tabulate", "termcolor", "colorama", "zipp", "platformdirs", "pathspec", "pluggy", "iniconfig",
)  # fmt: skip
FRAMEWORK = "onnxruntime"
MEMORY = 250
"""Megabytes that cudaforge itself may take."""
_LOOK_SECONDS = 0.1
_KILOBYTE = 1024


def main() -> None:
    """Measure, and print a table."""
    options = _options()
    pairs = tuple(itertools.combinations(PACKAGES, 2))
    if not 1 < options.images <= len(pairs) or not 0 < options.questions <= options.images:
        sys.exit(f"at most {len(pairs)} images, and no more questions than images")
    print(f"{platform.node()}: {os.cpu_count()} processors, Python {platform.python_version()}\n")
    _row(f"cudaforge lock, {options.images} images", "questions", "s", "MB", "with uv", "loop s", "x loop")
    with tempfile.TemporaryDirectory(prefix="cudaforge-bench-") as name:
        (Path(name) / "one").mkdir()
        _declare(Path(name) / "one", pairs[:1])
        _told("one image, with its base", 1, _lock(Path(name) / "one"), None)
        shared = [pairs[number % options.questions] for number in range(options.images)]
        for label, asked in (
            ("every image asks something else", pairs[: options.images]),
            ("a matrix", shared),
        ):
            _case(Path(name) / label.replace(" ", "-"), label, asked, has_peer=options.peer)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--questions", type=int, default=10, help="what the images of the matrix ask")
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="measure cudaforge alone")
    return parser.parse_args()


def _row(label: str, *cells: str) -> None:
    print(f"{label:<44}" + "".join(f"{cell:>11}" for cell in cells), flush=True)


def _case(project: Path, label: str, asked: Sequence[tuple[str, ...]], *, has_peer: bool) -> None:
    project.mkdir()
    _declare(project, asked)
    _lock(project)
    loop = _loop(project, asked) if has_peer else None
    # A lock without its closures: the base stays, and all packages are asked for anew.
    shutil.rmtree(project / "cudaforge.lock.d")
    questions = len(set(asked))
    _told(label, questions, _lock(project), loop)
    changed = [*asked[:-1], (*asked[-1], "wheel")]
    _declare(project, changed)
    _told("  again, one image changed", len(set(changed)), _lock(project), loop)
    _told("  again, nothing changed", 0, _lock(project), loop)


def _told(label: str, questions: int, measured: tuple[float, float, float], loop: float | None) -> None:
    seconds, own, everything = measured
    ratio = ("", "") if loop is None else (f"{loop:.1f}", f"{seconds / loop:.2f}")
    _row(label, str(questions), f"{seconds:.1f}", f"{own:.0f}", f"{everything:.0f}", *ratio)
    if own > MEMORY:
        sys.exit(f"{label}: {own:.0f} MB, of {MEMORY} allowed")


def _declare(project: Path, asked: Sequence[tuple[str, ...]]) -> None:
    images = "".join(
        f"[images.image-{number}]\npackages = [{', '.join(f'{one!r}' for one in packages)}]\n"
        f"labels = {{ number = '{number}' }}\ncommand = ['python', '-c', 'print({number})']\n"
        for number, packages in enumerate(asked)
    )
    (project / "cudaforge.toml").write_text(
        f'schema = 1\n[project]\nname = "bench"\n[defaults]\nframework = "{FRAMEWORK}"\n'
        f'base = "bootstrap:debian12"\ncuda = "none"\n{images}',
        encoding="utf-8",
    )


def _lock(project: Path) -> tuple[float, float, float]:
    """Seconds, and megabytes of cudaforge itself and together with its programs."""
    own = everything = 0
    with tempfile.TemporaryFile("w+") as told:
        start = time.perf_counter()
        program = str(Path(sys.executable).with_name("cudaforge"))
        process = subprocess.Popen([program, "lock"], cwd=project, stdout=subprocess.DEVNULL, stderr=told)
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
                break
            own = max(own, _kilobytes(process.pid, "status", "VmHWM"))
            tree = (process.pid, *_children(process.pid))
            everything = max(everything, sum(_kilobytes(one, "smaps_rollup", "Pss") for one in tree))
        seconds = time.perf_counter() - start
        if process.returncode:
            told.seek(0)
            sys.exit(f"cudaforge lock: {told.read()[-2000:]}")
    return seconds, own / _KILOBYTE, everything / _KILOBYTE


def _kilobytes(pid: int, file: str, field: str) -> int:
    with contextlib.suppress(OSError):  # it has ended
        found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                yield child
                yield from _children(child)


def _loop(project: Path, asked: Sequence[tuple[str, ...]]) -> float:
    """Seconds of `uv pip compile` over the images, for the framework, the Python and the glibc of the lock.
    What it finds has to be what is locked."""
    closures = [_closure(project / f"cudaforge.lock.d/pylock.image-{one}.toml") for one in range(len(asked))]
    lock = tomllib.loads((project / "cudaforge.lock").read_text(encoding="utf-8"))
    python = lock["images"][0]["python"]
    uv = str(Path(sys.executable).with_name("uv"))
    words = ["--quiet", "--format=pylock.toml", "--only-binary=:all:", "--output-file=pylock.toml"]
    words += [f"--python-version={python}", "--python-platform=x86_64-manylinux_2_36", "requirements.in"]
    variables = {**os.environ, **_site(project)}
    start = time.perf_counter()
    for number, packages in enumerate(asked):
        requirements = (f"{FRAMEWORK}=={closures[number][FRAMEWORK]}", *packages)
        (project / "requirements.in").write_text("\n".join(requirements) + "\n", encoding="utf-8")
        (project / "pylock.toml").unlink(missing_ok=True)
        command = [uv, "pip", "compile", *words]
        subprocess.run(command, cwd=project, env=variables, check=True, stdout=subprocess.DEVNULL)
        if _closure(project / "pylock.toml") != closures[number]:
            sys.exit(f"uv pip compile finds other versions for {' '.join(requirements)} than are locked")
    return time.perf_counter() - start


def _site(project: Path) -> dict[str, str]:
    """The variables that make uv see the site as cudaforge does."""
    code = (
        "import json; from pathlib import Path; from cudaforge.pipeline.outside import site_at; "
        "print(json.dumps(site_at(Path('cudaforge.toml')).environment()))"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=project, check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _closure(path: Path) -> dict[str, str]:
    packages = tomllib.loads(path.read_text(encoding="utf-8"))["packages"]
    return {one["name"]: one["version"] for one in packages}


if __name__ == "__main__":
    main()
