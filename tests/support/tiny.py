"""A framework that exists only here: one small wheel, and a proof that asks it for losses alone.

With it the whole way from a declaration to a verdict takes seconds, on a package index of the test's own.
"""

import atexit
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO

from tests.support.closures import make_wheel

ROOT = Path(__file__).parents[2]
VERSION = "1.0"
FACTS = """\
schema = 1

[sources]
here = { strength = "measured", checked = "2026-11-22", text = "made for a test" }

[framework]
name = "tiny"
title = "Tiny"
proof = "tiny"
template = "tensorflow"
source = "here"

[defaults]
platforms = "linux/amd64 linux/arm64"
index = "default"
reported = "{version}"

[shapes.cpu]
provider = "none"
requires = ["tiny-frame==={version}"]

[[releases]]
version = "1.0"
released = "2026-01-01"
source = "here"
pythons = "3.11 3.13"
glibc = "2.17"
builds = [{ build = "cpu", like = "cpu" }]
"""
_PROOF = '''\
"""The proof of Tiny."""

from importlib import import_module

ENVIRONMENT = {}
PACKAGE = "tiny-frame"


def load():
    return import_module("tiny_frame")


def describe(tiny):
    return {"version": tiny.__version__, "cuda_build": False, "cuda": None, "cudnn": None, "nccl": None}


def find_devices(tiny):
    return {"devices": [], "reason": "it has none"}


def train(tiny, samples, device, steps, seed):
    return {"losses": tiny.fit(steps), "placed": [device], "api": "tiny"}
'''
_MODULE = b"""\
__version__ = "1.0"


def fit(steps):
    return [2.3 / (1 + step) for step in range(steps + 1)]
"""


@lru_cache(maxsize=1)
def _source_tree() -> Path:
    """A copy of the source tree that has the proof, for as long as the tests run."""
    directory = Path(tempfile.mkdtemp(prefix="tiny-source-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    for name in ("cudaforge", "matrices", "templates"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    (directory / "cudaforge/verifier/probes/tiny.py").write_text(_PROOF)
    return directory


def make_tiny_wheel(directory: Path, *, first: str = "") -> Path:
    """The wheel of the framework; `first` is code that runs when it is imported."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {"tiny_frame/__init__.py": f"{first}\n".encode() + _MODULE}
    return make_wheel(directory, "tiny_frame", VERSION, files)


@dataclass
class TinyProject:
    """A project of images of the tiny framework, and the command line run on it.

    `environment` is all that the program sees besides the engine's variables: what this machine is
    configured with must not help a test to pass.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def declare(self, *images: str, head: str = "", base: str = "bootstrap:debian12") -> None:
        """Write the declaration; each image is `name` or `name` with lines of its own behind it."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "facts.toml").write_text(FACTS)
        tables = []
        for image in images or ("one",):
            name, _, lines = image.partition("\n")
            tables.append(f'[images.{name}]\nframework = "tiny"\n{lines}\n')
        (self.root / "cudaforge.toml").write_text(
            f'schema = 1\n{head}\n[project]\nname = "{self.name}"\n'
            f'[matrices]\noverlays = ["facts.toml"]\n[defaults]\nbase = "{base}"\ncuda = "none"\n'
            + "\n".join(tables)
        )

    @property
    def name(self) -> str:
        """The project's name, which is the repository of its images."""
        return "tiny-" + re.sub(
            r"[^a-z0-9]+", "-", f"{self.root.parent.parent.name}-{self.root.parent.name}".lower()
        )

    @property
    def lock(self) -> Path:
        return self.root / "cudaforge.lock"

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """The program, running."""
        return self.start_into(subprocess.PIPE, *arguments, **variables)

    def start_into(self, stdout: int | IO[str], *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """The same with its standard output in a file; it leads a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "cudaforge", *arguments],
            cwd=self.root,
            env={**self.environment, **variables},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def trace_network(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The program run to its end, and what it and its children asked of the network in `trace`."""
        words = ["strace", "--follow-forks", "--quiet=all", "--trace=connect,sendto,sendmsg,sendmmsg"]
        return subprocess.run(
            [*words, "-o", self.root.parent / "trace", sys.executable, "-m", "cudaforge", *arguments],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def run(
        self, *arguments: str, timeout: float = 300, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """The program, run to its end."""
        with self.start(*arguments, **variables) as child:
            try:
                stdout, stderr = child.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGTERM)
                _, stderr = child.communicate(timeout=60)
                raise AssertionError(f"{arguments} did not end within {timeout} s: {stderr}") from None
        return subprocess.CompletedProcess(child.args, child.returncode, stdout, stderr)


def clean_environment(tmp_path: Path, **variables: str) -> dict[str, str]:
    """The engine's variables and the host's tools, with no setting of pip's, uv's or the network's."""
    kept = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "LANG")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": str(_source_tree()),
        "PIP_CONFIG_FILE": os.devnull,
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
        "TMPDIR": str(_made(tmp_path / "tmp")),
        "NO_COLOR": "1",
        **variables,
    }


def processes_with(text: str) -> list[str]:
    """Command lines of all processes that have the text in their environment."""
    return [line for path in Path("/proc").iterdir() if path.name.isdigit() and (line := _line(path, text))]


def kill_processes_with(text: str) -> None:
    """End them so that they can tidy nothing up."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and _line(path, text):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(path.name), signal.SIGKILL)


def _line(process: Path, text: str) -> str:
    with contextlib.suppress(OSError):  # it has ended, or is another user's
        if text.encode() in (process / "environ").read_bytes():
            return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def wait_until(condition, *, timeout: float, what: str) -> float:
    """Wait for something to become true; how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout, f"{what}: not within {timeout} s"
        time.sleep(0.05)
    return time.monotonic() - started


def read_files(directory: Path) -> Mapping[str, bytes]:
    """Every file below, by its path."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
