"""What builds cost: the same images by cudaforge, by bake on Dockerfiles written by hand, and by a loop.

    eval "$(tools/engine.sh start)"
    .venv/bin/python benchmarks/build.py [--images N] [--unchanged N] [--rounds N] [--cuda]

Real wheels on one base, each image with a closure of its own; what is written by hand (`handwritten/`) uses
uv, cache mounts and the same closures. The caches of wheels are warm and no step is cached, so that what is
measured is the builders' work: every way builds once before it is timed, and before each turn ALL images and
cached steps of the engine are removed, so use one that nobody else does. (`--no-cache` would not do: BuildKit
then empties cache mounts, too.) The ways take turns, and the least of each one's rounds counts. Bake has
cudaforge's output settings; it is shown with its own defaults, too, as is the loop. The last table is what a
run costs that finds everything built.

`--cuda` builds `examples/jax-gpu` (several gigabytes) and holds its size against the style of
`examples/seed-cnn`, with the same wheels. Its `nvidia/cuda` base with cuDNN has the size that
`handwritten/bases.toml` tells; what its steps add is built (`handwritten/seed.Dockerfile`) and measured.
pip's cache, which that style leaves in the image, is counted as the files that pip keeps there; the last line
is without it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cudaforge.builder.command import EngineTraits, output_option  # noqa: E402
from cudaforge.units import bytes_text  # noqa: E402

HERE = Path(__file__).parent
DOCKERFILE = (HERE / "handwritten/Dockerfile").read_text(encoding="utf-8")
SEED_DOCKERFILE = (HERE / "handwritten/seed.Dockerfile").read_text(encoding="utf-8")
PACKAGES = (
    "tqdm", "rich", "attrs", "click", "jinja2", "pyyaml", "requests", "packaging", "idna", "certifi",
    "urllib3", "six", "toml", "typer", "wheel", "setuptools", "filelock", "fsspec", "sympy", "networkx",
    "pytz", "markdown", "docutils", "pyparsing", "cycler", "fonttools", "decorator", "tabulate", "termcolor",
    "colorama", "zipp", "platformdirs", "pathspec", "pluggy", "iniconfig", "joblib", "threadpoolctl",
    "tenacity", "humanize", "more-itertools",
)  # fmt: skip
IMAGE = "train"
SEED_INPUTS = """
[images.seed]  # gives its inputs alone: the base, and where this site has OS packages
framework = "onnxruntime"
cuda = "none"
base = "bootstrap:debian12"
apt = ["python3-pip"]
"""
BAKE = "buildx bake, written by hand, same output"
OUTPUT = output_option(EngineTraits(builder="default", has_containerd_store=True))
SLOWER = 1.05
"""So many times hand-written bake's time are allowed."""
UNCHANGED_SECONDS = 5.0
SHARE = 0.6
"""So much of the hand-written image's size is allowed."""


def main() -> None:
    """Measure, and print tables."""
    options = _options()
    print(f"{platform.node()}: {os.cpu_count()} processors, {_version()}\n")
    with tempfile.TemporaryDirectory(prefix="cudaforge-bench-") as name:
        _compare(Path(name) / "few", options.images, options.rounds)
        print()
        _unchanged(Path(name) / "many", options.unchanged)
        if options.cuda:
            print()
            _forget_steps()  # for the disk's sake
            _sizes(Path(name) / "cuda")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=8, help="images that are built in every way")
    parser.add_argument("--unchanged", type=int, default=40, help="images of the run that changes nothing")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cuda", action="store_true", help="build a CUDA image for its size")
    return parser.parse_args()


def _row(label: str, *cells: str) -> None:
    print(f"{label:<48}" + "".join(f"{cell:>14}" for cell in cells))


def _version() -> str:
    done = _run("docker", "version", "--format", "Docker {{.Server.Version}}", cwd=ROOT)
    return done.stdout.strip()


def _run(*command: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **(env or {})}
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:4])}: {done.stderr[-2000:]}")
    return done


def _cudaforge(*words: str, cwd: Path) -> str:
    return _run(str(Path(sys.executable).with_name("cudaforge")), *words, cwd=cwd).stdout


def _declare(project: Path, count: int) -> tuple[str, ...]:
    """A locked project of so many images; their names."""
    project.mkdir(parents=True)
    names = tuple(f"image-{number}" for number in range(count))
    tables = "".join(
        f'[images.{name}]\npackages = ["{package}"]\n' for name, package in zip(names, PACKAGES, strict=False)
    )
    (project / "cudaforge.toml").write_text(
        f'schema = 1\n[project]\nname = "bench-{project.name}"\n[defaults]\nframework = "onnxruntime"\n'
        f'base = "bootstrap:debian12"\ncuda = "none"\n{tables}',
        encoding="utf-8",
    )
    _cudaforge("lock", cwd=project)
    return names


def _compare(project: Path, count: int, rounds: int) -> None:
    names = _declare(project, count)
    _cudaforge("render", "--inputs", "-o", "docker", cwd=project)
    by_hand = _write_by_hand(project, names)
    ways: dict[str, Callable[[], object]] = {
        "cudaforge build": lambda: _cudaforge("build", cwd=project),
        BAKE: lambda: _bake(by_hand, f"--set=*.output={OUTPUT}", env={"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}),
        "buildx bake, its own defaults": lambda: _bake(by_hand),
        "docker build in a loop, its own defaults": lambda: _loop(by_hand, names),
    }
    best = {label: float("inf") for label in ways}
    for number in range(rounds + 1):
        for label, work in ways.items():
            _forget_steps()
            seconds = _seconds(work)
            if number:
                best[label] = min(best[label], seconds)
    _row(f"{count} images, no step cached", "s", "x bake", "allowed")
    bake = best[BAKE]
    for label, seconds in best.items():
        budget = f"{SLOWER:g}" if label.startswith("cudaforge") else ""
        _row(label, f"{seconds:.1f}", f"{seconds / bake:.2f}", budget)


def _forget_steps() -> None:
    """Take every image and every cached step from the engine; what cache mounts hold stays."""
    images = _run("docker", "image", "ls", "--all", "--quiet", cwd=ROOT).stdout.split()
    if images:
        _run("docker", "image", "rm", "--force", *dict.fromkeys(images), cwd=ROOT)
    _run("docker", "builder", "prune", "--all", "--force", "--filter", "type=regular", cwd=ROOT)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _write_by_hand(project: Path, names: tuple[str, ...]) -> Path:
    """Dockerfiles and a bake file on the same bases, with the same closures."""
    inputs = project / ".cudaforge/bake"
    directory = project / "by-hand"
    rendered = json.loads((project / "docker/docker-bake.json").read_text(encoding="utf-8"))
    targets = {}
    for name in names:
        context = directory / name
        context.mkdir(parents=True)
        (context / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
        shutil.copy(inputs / name / "pylock.toml", context)
        base = rendered["target"][name]["contexts"]["cudaforge-base"]
        targets[name] = {
            "context": str(context),
            "contexts": {
                "base": base.replace("${CUDAFORGE_INPUTS}", str(inputs)),
                "uv": str(inputs / name / "uv"),
                "wheels": str(inputs / name / "wheels"),
            },
            "secret": _secrets(inputs / name),
            "tags": [f"by-hand:{name}"],
            "output": ["type=docker"],
        }
    bake = {"group": {"default": {"targets": list(names)}}, "target": targets}
    (directory / "docker-bake.json").write_text(json.dumps(bake), encoding="utf-8")
    return directory


def _secrets(inputs: Path) -> list[str]:
    site = inputs / "site.sh"
    authorities = "/etc/ssl/certs/ca-certificates.crt"
    return [f"id=site,src={site}", f"id=cudaforge-ca,src={authorities}"] if site.exists() else []


def _bake(directory: Path, *words: str, env: Mapping[str, str] | None = None) -> None:
    command = ("docker", "buildx", "bake", "--file", "docker-bake.json", *words)
    _run(*command, cwd=directory, env=env)


def _loop(directory: Path, names: tuple[str, ...]) -> None:
    targets = json.loads((directory / "docker-bake.json").read_text(encoding="utf-8"))["target"]
    for name in names:
        target = targets[name]
        contexts = [f"--build-context={key}={value}" for key, value in target["contexts"].items()]
        secrets = [f"--secret={one}" for one in target["secret"]]
        words = ["build", *contexts, *secrets, f"--tag=loop:{name}", target["context"]]
        _run("docker", *words, cwd=directory)


def _unchanged(project: Path, count: int) -> None:
    _declare(project, count)
    first = _seconds(lambda: _cudaforge("build", cwd=project))
    again = min(_seconds(lambda: _cudaforge("build", cwd=project)) for _ in range(3))
    _row(f"{count} images", "s", "allowed")
    _row("cudaforge build, the first time", f"{first:.1f}")
    _row("cudaforge build, nothing changed", f"{again:.1f}", f"{UNCHANGED_SECONDS:g}")


def _sizes(project: Path) -> None:
    shutil.copytree(ROOT / "examples/jax-gpu", project)
    with (project / "cudaforge.toml").open("a", encoding="utf-8") as file:
        file.write(SEED_INPUTS)
    _cudaforge("up", "--relock", IMAGE, cwd=project)
    (image,) = json.loads(_cudaforge("build", "--json", IMAGE, cwd=project))["images"]
    added, kept = _build_as_seed(project)
    _row("image with CUDA, on disk", "here", "base by hand", "its steps", "pip's cache", "share", "allowed")
    for base in tomllib.loads((HERE / "handwritten/bases.toml").read_text(encoding="utf-8"))["bases"]:
        for label, cache, budget in (
            (base["reference"], kept, f"{SHARE:g}"),
            ("the same with --no-cache-dir", 0, ""),
        ):
            by_hand = base["installed"] + added + cache
            sizes = (image["size"], base["installed"], added, cache)
            _row(label, *map(bytes_text, sizes), f"{image['size'] / by_hand:.2f}", budget)


def _build_as_seed(project: Path) -> tuple[int, int]:
    """What the seed's steps add to their base with the same wheels, and what pip keeps of these (bytes)."""
    _cudaforge("render", "--inputs", "-o", "docker", cwd=project)
    inputs = project / ".cudaforge/bake/seed"
    target = json.loads((project / "docker/docker-bake.json").read_text(encoding="utf-8"))["target"]["seed"]
    base = target["contexts"]["cudaforge-base"].replace("${CUDAFORGE_INPUTS}", str(inputs.parent))
    locked = (project / f"cudaforge.lock.d/pylock.{IMAGE}.toml").read_text(encoding="utf-8")
    packages = tomllib.loads(locked)["packages"]
    context = project / "by-hand"
    context.mkdir()
    (context / "Dockerfile").write_text(SEED_DOCKERFILE, encoding="utf-8")
    pins = [f"{package['name']}=={package['version']}\n" for package in packages]
    (context / "requirements.txt").write_text("".join(pins), encoding="utf-8")
    apt = [f"id={path.stem},src={path}" for path in inputs.glob("cudaforge-apt-*.txt")]
    secrets = [f"--secret={one}" for one in (*_secrets(inputs), *apt)]
    words = [f"--build-context=base={base}", *secrets, "--tag=by-hand:seed", str(context)]
    _run("docker", "build", *words, cwd=project)
    words = ["--format", "{{json .}}", "--human=false", "by-hand:seed"]
    history = _run("docker", "history", *words, cwd=project).stdout
    layers = [json.loads(line) for line in history.splitlines()]
    added = sum(int(layer["Size"]) for layer in layers if layer["Comment"].startswith("buildkit"))
    return added, sum(package["wheels"][0]["size"] for package in packages)


if __name__ == "__main__":
    main()
