"""Images built, run and proven where there is Podman alone.

A `docker` that fails stands first in PATH: whatever works here works without Docker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.index import Index, serve
from tests.support.podman import NoPodman, PodmanHost, run_podman
from tests.support.tiny import (
    TinyProject,
    clean_environment,
    kill_processes_with,
    make_tiny_wheel,
    processes_with,
    wait_until,
)
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.engine

STOP_SECONDS = 20.0
VALUE = "swordfish-of-the-test"


CDI_RUN = """
from cudaforge.engine import ContainerSpec, GpuMethod, GpuRequest, connect
def run(device):
    gpu = GpuRequest(method=GpuMethod.CDI, devices=("{kind}=" + device,))
    words = ("-c", "echo $DEVICE; ls /dev/made-up; cat")
    made = dict(image="{image}", run_id="0c0c", entrypoint=("sh",), argv=words, stdin=b"fed\\n")
    return engine.run_container(ContainerSpec(**made, gpu=gpu), timeout=60)
engine = connect()
print(run("all").stdout, end="")
print("unresolvable CDI devices" in (run("none").start_error or ""))
engine.close()
"""
"""Prints what a container with the device sees, and whether one that is not there is refused."""


@contextmanager
def cdi_spec(text: str) -> Iterator[None]:
    """Let engines find a CDI spec. Podman looks in places that are the host's."""
    directory = Path("/var/run/cdi")
    is_new = not directory.exists()
    directory.mkdir(exist_ok=True)
    spec = directory / f"cudaforge-test-{os.getpid()}.json"
    spec.write_text(text)
    try:
        yield
    finally:
        spec.unlink()
        if is_new:
            with suppress(OSError):  # filled meanwhile
                directory.rmdir()


@pytest.fixture(scope="module")
def podman() -> Iterator[PodmanHost]:
    """A Podman with a store of its own."""
    running = run_podman()
    try:
        host = running.__enter__()
    except NoPodman as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true needs it: {reason}", pytrace=False)
        pytest.skip(str(reason))
    try:
        yield host
    finally:
        running.__exit__(None, None, None)


@pytest.fixture
def project(podman: PodmanHost, tmp_path: Path) -> Iterator[TinyProject]:
    """A project of one image, nothing of which is made yet."""
    make_tiny_wheel(tmp_path / "wheels")
    make_wheel(tmp_path / "wheels", "blue", "1.0")
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\necho 'this is no place for Docker' >&2\nexit 99\n")
    docker.chmod(0o755)
    with serve(Index(files=tmp_path / "wheels")) as index:
        variables = clean_environment(tmp_path, UV_DEFAULT_INDEX=index.url)
        # Podman's own home keeps it off the host's settings; bases are the host's, as in other tests.
        kept = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        variables |= {**podman.environment, "XDG_CACHE_HOME": kept}
        variables["PATH"] = f"{docker.parent}:{variables['PATH']}"
        made = TinyProject(root=tmp_path / "project", environment=variables)
        made.declare('one\npackages = ["blue"]')
        yield made
        assert podman.containers() == []
        assert [
            path.name for path in (tmp_path / "tmp").iterdir() if not path.name.startswith("buildah-cache")
        ] == []
        assert list((made.root / ".cudaforge/tmp").glob("*")) == []
        assert list(made.root.glob("podman-build-*")) == []


def only(document: str) -> dict:
    """The one image of a JSON document."""
    (image,) = json.loads(document)["images"]
    return image


def test_an_image_is_built_proven_and_run_by_podman_alone(project: TinyProject, podman: PodmanHost) -> None:
    (project.root / "src").mkdir()
    (project.root / "src/main.py").write_text("print('copied')\n")
    (project.root / "src/.env").write_text("not for images\n")
    copy = 'copy = [{ from = "src", to = "/app/src" }]\ntags = ["one", "second"]'
    project.declare(
        f'one\npackages = ["blue"]\n{copy}\napt = ["file"]\nrun = ["file --version", "true", "true"]'
    )
    done = project.run("up", "--json", timeout=600)
    assert done.returncode == 0, done.stderr
    image = only(done.stdout)
    assert image["build"]["state"] == "built"
    assert image["build"]["builder"] == "podman"
    assert image["verdict"]["ok"], image["verdict"]
    assert (
        image["build"]["image_id"]
        == f"sha256:{podman.run('image', 'inspect', '--format', '{{.Id}}', f'{project.name}:one')}"
    )
    assert podman.run("image", "exists", f"{project.name}:second") == ""
    log = (project.root / ".cudaforge/logs/one.log").read_text()
    assert "RUN --mount=type=cache" in log
    assert " CACHED\n" not in log

    # Of the build's own nothing is in the image but the place where it was mounted.
    look = "python src/main.py && ls -A src && find /run/cudaforge"
    ran = project.run("run", "one", "--", "sh", "-c", look)
    assert (ran.returncode, ran.stdout) == (0, "copied\nmain.py\n/run/cudaforge\n"), ran.stderr

    again = project.run("up", "--json")
    assert only(again.stdout)["build"]["state"] == "cached", again.stderr
    rebuilt = project.run("build", "--json", "--no-cache")
    assert only(rebuilt.stdout)["state"] == "built", rebuilt.stderr


def test_a_step_that_fails_is_the_answer(project: TinyProject) -> None:
    project.declare('one\nrun = ["echo before; echo swamped >&2; exit 7"]')
    assert project.run("lock").returncode == 0
    done = project.run("build", "--json")
    assert done.returncode == 1, done.stderr
    image = only(done.stdout)
    assert image["state"] == "failed"
    assert "exit 7" in image["failed_step"]
    assert {"before", "swamped"} <= set(image["last_lines"])
    assert image["reason"].startswith("a step failed")
    assert (
        "ERROR: building at STEP" in Path(image["log"]).read_text()
        or "exit status 7" in Path(image["log"]).read_text()
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_an_interrupt_leaves_nothing(
    project: TinyProject, podman: PodmanHost, number: signal.Signals
) -> None:
    project.declare('one\nrun = ["echo now; sleep 100"]')
    assert project.run("lock").returncode == 0
    mark = f"cudaforge-test-{os.getpid()}"
    log = project.root / ".cudaforge/logs/one.log"
    with project.start("build", CUDAFORGE_TEST_MARK=mark) as child:
        wait_until(lambda: log.is_file() and " now\n" in log.read_text(), timeout=300, what="the step runs")
        child.send_signal(number)
        started = time.monotonic()
        _, said = child.communicate(timeout=60)
    assert child.returncode == 128 + number, said
    assert "built in" not in said
    assert time.monotonic() - started < STOP_SECONDS
    wait_until(lambda: not processes_with(mark), timeout=STOP_SECONDS, what="every process has ended")
    assert podman.containers() == []


def test_the_next_run_sweeps_what_a_killed_one_left(project: TinyProject, podman: PodmanHost) -> None:
    mark = f"cudaforge-test-{os.getpid()}"
    project.declare(f'one\nrun = ["MARK={mark} sleep 100"]')
    assert project.run("lock").returncode == 0
    temporary = Path(project.environment["TMPDIR"])
    with project.start("build", CUDAFORGE_TEST_MARK=mark) as child:
        # One that has not begun yet when the others are killed would outlive them.
        wait_until(
            lambda: any(line.startswith("sleep ") for line in processes_with(mark)),
            timeout=300,
            what="the step runs",
        )
        kill_processes_with(mark)
        child.communicate(timeout=60)
    assert list(temporary.glob("*/buildah*/mnt"))
    wait_until(lambda: not processes_with(mark), timeout=STOP_SECONDS, what="every process has ended")
    project.declare("one")
    assert project.run("lock").returncode == 0
    done = project.run("build", "--json")
    assert only(done.stdout)["state"] == "built", done.stderr
    assert podman.containers() == []


def test_secrets_reach_steps_and_nothing_else(project: TinyProject, podman: PodmanHost) -> None:
    project.declare(
        'one\nsecrets = ["TOKEN"]\ncopy = [{ from = ".", to = "/app" }]\n'
        'run = ["wc -c < /run/secrets/TOKEN > /size; cat /run/secrets/TOKEN"]'
    )
    assert project.run("lock").returncode == 0
    refused = project.run("build")
    assert refused.returncode == 2
    assert "TOKEN" in refused.stderr
    done = project.run("build", "--json", TOKEN=VALUE)
    assert done.returncode == 0, done.stderr
    assert int(project.run("run", "one", "--", "cat", "/size").stdout) == len(VALUE)
    assert VALUE not in (project.root / ".cudaforge/logs/one.log").read_text()
    archive = project.root.parent / "image.tar"
    podman.run("save", "--format", "docker-archive", "--output", str(archive), f"{project.name}:one")
    assert VALUE.encode() not in archive.read_bytes()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--reproducible",), "--reproducible"),
        (("--reproduce",), "--reproduce"),
        (("--cache-to", "type=local,dest=cache/{name}"), "--cache-to"),
        (("--builder", "elsewhere"), "--builder"),
    ],
)
def test_what_podman_cannot_do_is_refused_by_name(
    project: TinyProject, options: tuple[str, ...], named: str
) -> None:
    assert project.run("lock").returncode == 0
    done = project.run("build", *options)
    assert done.returncode in (2, 3)
    assert named in done.stderr
    assert "Podman" in done.stderr
    assert not (project.root / ".cudaforge/logs").exists()


def test_devices_come_by_cdi(project: TinyProject, podman: PodmanHost) -> None:
    assert project.run("lock").returncode == 0
    assert project.run("build").returncode == 0
    kind = f"cudaforge.invalid/test{os.getpid()}"
    edits = {"env": ["DEVICE=there"], "deviceNodes": [{"path": "/dev/made-up", "hostPath": "/dev/null"}]}
    spec = {"cdiVersion": "0.5.0", "kind": kind, "devices": [{"name": "all", "containerEdits": edits}]}
    code = CDI_RUN.format(kind=kind, image=f"{project.name}:one")
    with cdi_spec(json.dumps(spec)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=project.environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=True,
        )
    assert done.stdout.splitlines() == ["there", "/dev/made-up", "fed", "True"]
    assert podman.containers() == []


def test_doctor_and_clean_know_podman(project: TinyProject) -> None:
    assert project.run("lock").returncode == 0
    assert project.run("build").returncode == 0
    seen = {one["id"]: one for one in json.loads(project.run("doctor", "--json").stdout)["findings"]}
    assert seen["engine"]["detail"].startswith("Podman ")
    assert seen["buildx"]["state"] == "ok"
    cleaned = project.run("clean", "--yes", "--json")
    assert cleaned.returncode == 0, cleaned.stderr
    assert f"{project.name}:one" in cleaned.stdout
    assert project.run("run", "one", "--", "true").returncode == 2


def test_clean_all_takes_the_bases_and_none_of_somebody_else(
    project: TinyProject, podman: PodmanHost, tmp_path: Path
) -> None:
    assert project.run("lock").returncode == 0
    assert project.run("build").returncode == 0
    (base,) = [name for name in podman.names() if name.startswith("localhost/cudaforge-base-")]
    podman.run("tag", base, "localhost/cudaforge-base-mine:latest", "localhost/mine:1")
    own_cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    cleaned = project.run("clean", "--all", "--yes", "--json", **own_cache)
    assert cleaned.returncode == 0, cleaned.stderr
    bases = [one for one in json.loads(cleaned.stdout)["items"] if one["kind"] == "base-image"]
    assert [(one["name"], one["kept"]) for one in bases] == [(base, False)]
    assert podman.names() == {"localhost/cudaforge-base-mine:latest", "localhost/mine:1"}
