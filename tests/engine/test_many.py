"""A matrix on two real engines, one of which is killed half-way: kill -9, daemon and containerd."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.test_engine_script import HOME, exports, needs_root, script
from tests.engine.test_surroundings import remove_images
from tests.support.engine import Engine
from tests.support.index import Index, serve
from tests.support.tiny import TinyProject, clean_environment, make_tiny_wheel

pytestmark = [pytest.mark.engine, needs_root]

_NAMES = """
    asgiref attrs blinker certifi charset-normalizer click cloudpickle colorama cycler decorator
    defusedxml distlib distro filelock fsspec humanize idna iniconfig itsdangerous mccabe mdurl
    more-itertools natsort packaging parso pathspec platformdirs pluggy ptyprocess pycodestyle
    pyflakes pyparsing six sortedcontainers soupsieve tabulate toolz urllib3 wcwidth xmltodict
"""
PACKAGES = _NAMES.split()
"""Forty real packages, of pure Python, whose wheels need no other."""
MOST_MEMORY = 250_000_000
JOBS = 2


class Victim:
    """An engine of the test's own, which it may kill."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = HOME / "engines" / name
        self.address = ""

    def start(self) -> None:
        done = script("start", CUDAFORGE_ENGINE_NAME=self.name, CUDAFORGE_ENGINE_REGISTRY_PORT="0")
        assert done.returncode == 0, done.stderr
        self.address = exports(done.stdout)["DOCKER_HOST"]

    def has_image(self, repository: str) -> bool:
        command = ["docker", "--host", self.address, "image", "ls", "--quiet", repository]
        return bool(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def kill(self) -> None:
        for pid_file in ("dockerd.pid", "exec/containerd/containerd.pid"):
            os.kill(int((self.state / pid_file).read_text()), signal.SIGKILL)

    def stop(self) -> None:
        assert script("stop", CUDAFORGE_ENGINE_NAME=self.name).returncode == 0
        subprocess.run(["rm", "-rf", "--one-file-system", str(self.state)], check=True)


@pytest.fixture
def victim(engine: Engine) -> Iterator[Victim]:
    made = Victim("victim")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """The wheels of the forty packages, from the index that this machine is configured with."""
    files = tmp_path / "wheels"
    make_tiny_wheel(files)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*pip, "--python-version=3.11", f"--dest={files}", *PACKAGES],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(files.iterdir())) == len(PACKAGES) + 1
    with serve(Index(files=files)) as index:
        yield index


@pytest.fixture
def project(index: Index, tmp_path: Path) -> Iterator[TinyProject]:
    variables = clean_environment(tmp_path, UV_DEFAULT_INDEX=index.url)
    project = TinyProject(root=tmp_path / "project", environment=variables)
    project.declare(*(f'{name}\npackages = ["{name}"]' for name in PACKAGES))
    yield project
    remove_images(project)


class Watch:
    """Reads what a run says, and its peak memory, until it ends."""

    def __init__(self, child: subprocess.Popen[str], on_line: Callable[[list[str]], None]) -> None:
        self.lines: list[str] = []
        self.peak = 0
        reader = threading.Thread(target=self._read, args=(child, on_line), daemon=True)
        reader.start()
        while child.poll() is None:
            self.peak = max(self.peak, peak_memory(child.pid))
            time.sleep(0.02)
        reader.join(10)

    def _read(self, child: subprocess.Popen[str], on_line: Callable[[list[str]], None]) -> None:
        for line in child.stderr or ():
            self.lines.append(line.rstrip("\n"))
            on_line(self.lines)


def peak_memory(pid: int) -> int:
    """The most bytes that a process has had in memory so far."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def finished(lines: list[str]) -> list[str]:
    return [line.partition(": built in ")[0] for line in lines if ": built in " in line]


def test_forty_images_outlive_one_of_two_engines(
    project: TinyProject, victim: Victim, tmp_path: Path
) -> None:
    assert project.run("lock").returncode == 0
    here = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    words = ("build", "--builder", here, "--builder", victim.address, "--jobs", str(JOBS), "--json")
    is_killed = threading.Event()

    def kill_half_way(lines: list[str]) -> None:
        if is_killed.is_set() or len(finished(lines)) < len(PACKAGES) // 2:
            return
        if victim.has_image(project.name):
            is_killed.set()
            victim.kill()

    output = tmp_path / "results.json"
    started = time.monotonic()
    with output.open("w") as stdout, project.start_into(stdout, *words) as child:
        watch = Watch(child, kill_half_way)
    seconds = time.monotonic() - started
    told = "\n".join(watch.lines)
    assert child.returncode == 0, told
    assert is_killed.is_set()

    results = json.loads(output.read_text())["images"]
    assert len(results) == len(PACKAGES)
    assert {result["state"] for result in results} == {"built"}
    by_builder = {
        name: [r["name"] for r in results if r["builder"] == name] for name in (here, victim.address)
    }
    assert all(by_builder.values()), "both engines have had their part"
    assert len([line for line in watch.lines if "gets no more images" in line]) == 1

    # What was finished was finished once; what was in flight on the lost engine is what went back.
    assert sorted(finished(watch.lines)) == sorted(result["name"] for result in results)
    returned = {line.partition(": goes to another")[0] for line in watch.lines if ": goes to another" in line}
    assert len(returned) <= JOBS
    assert returned.isdisjoint(by_builder[victim.address])
    begun = [line.partition(": ")[0] for line in watch.lines if "[internal] load build definition" in line]
    twice = {name for name in begun if begun.count(name) > 1}
    assert twice <= returned
    assert watch.peak < MOST_MEMORY, watch.peak

    # The engine comes back, and everything is where it was said to be.
    victim.start()
    started = time.monotonic()
    again = project.run(*words)
    warm = time.monotonic() - started
    assert again.returncode == 0, again.stderr
    second = json.loads(again.stdout)["images"]
    assert {result["state"] for result in second} == {"cached"}
    figures = {
        "seconds": round(seconds, 1),
        "seconds of the second run": round(warm, 1),
        "peak memory": watch.peak,
        "images on the killed engine": len(by_builder[victim.address]),
        "images that went back": len(returned),
    }
    (tmp_path / "figures.json").write_text(json.dumps(figures, indent=1))
