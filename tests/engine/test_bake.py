"""`docker buildx bake` on what `render --inputs` wrote: no cudaforge, no option, the same image."""

from __future__ import annotations

import json
import stat
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.test_surroundings import docker, remove_images
from tests.support.engine import Engine
from tests.support.index import Index, serve
from tests.support.tiny import TinyProject, clean_environment, make_tiny_wheel, read_files
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.engine

PASSWORD = "indexword2290"
TOKEN = "tokenword4186"


@pytest.fixture
def project(engine: Engine, tmp_path: Path) -> Iterator[TinyProject]:
    """Two images, one with a file of the project, a wheel of the project and a secret."""
    if "io.containerd.snapshotter" not in docker("info", "--format", "{{json .DriverStatus}}"):
        pytest.skip("the older image store takes no base from an OCI layout")
    make_tiny_wheel(tmp_path / "wheels")
    with serve(Index(files=tmp_path / "wheels", credentials=f"me:{PASSWORD}")) as index:
        address = index.url.replace("http://", f"http://me:{PASSWORD}@")
        # The wheels are files, too: buildx 0.13 gives no step of bake the network of the index.
        links = {"UV_FIND_LINKS": str(tmp_path / "wheels"), "PIP_FIND_LINKS": str(tmp_path / "wheels")}
        variables = clean_environment(tmp_path, UV_DEFAULT_INDEX=address, **links)
        project = TinyProject(root=tmp_path / "project", environment=variables)
        own = make_wheel(project.root / "own", "mine", "1.0", body="print('mine')")
        (project.root / "hello.txt").write_text("hello")
        project.declare(
            "one",
            f'two\npackages = ["./own/{own.name}"]\ncopy = [{{ from = "hello.txt", to = "/hello.txt" }}]\n'
            f'secrets = ["TOKEN"]\nrun = [": {uuid.uuid4()}; wc -c < /run/secrets/TOKEN > /length"]',
        )
        assert project.run("lock").returncode == 0
        yield project
        remove_images(project)


def bake(project: TinyProject, directory: Path, *words: str) -> str:
    environment = {
        **project.environment,
        "TOKEN": TOKEN,
        # Newer releases ask before they read above the directory, and before steps use the host's network.
        "BUILDX_BAKE_ENTITLEMENTS_FS": "0",
        "PWD": str(directory),
    }
    allowed = ("--allow=network.host",) if "--allow" in docker("buildx", "bake", "--help") else ()
    done = subprocess.run(
        ["docker", "buildx", "bake", *allowed, *words],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("place", ["docker", "elsewhere/deep"])
def test_bake_builds_what_was_rendered(project: TinyProject, tmp_path: Path, place: str) -> None:
    output = tmp_path / place if "/" in place else project.root / place
    output.parent.mkdir(exist_ok=True)
    done = project.run("render", "-o", str(output), "--inputs")
    assert done.returncode == 0, done.stderr
    bake(project, output)
    python = ("docker", "run", "--rm", "--network=none")
    for name, module, said in (("one", "tiny_frame", ""), ("two", "mine", "mine\n")):
        words = [*python, f"{project.name}:{name}", "python", "-c", f"import {module}"]
        assert subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout == said
    read = docker("run", "--rm", f"{project.name}:two", "cat", "/hello.txt", "/length")
    assert read.split() == [f"hello{len(TOKEN)}"]

    # It is the image that cudaforge knows as its own: the same lock entry, so that nothing is built again.
    built = project.run("build", "one", "--json")
    assert built.returncode == 0, built.stderr
    assert json.loads(built.stdout)["images"][0]["state"] == "cached"

    inputs = project.root / ".cudaforge" / "bake"
    held = [name for name, content in read_files(inputs).items() if PASSWORD.encode() in content]
    assert held, "the closure has the addresses"
    for name in held:
        assert stat.S_IMODE((inputs / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(inputs.stat().st_mode) == 0o700
    rendered = b"".join(read_files(output).values())
    assert PASSWORD.encode() not in rendered
    assert TOKEN.encode() not in b"".join(read_files(inputs).values())


def test_inputs_follow_the_lock(project: TinyProject) -> None:
    output = project.root / "docker"
    assert project.run("render", "--inputs").returncode == 0
    again = project.run("render", "--inputs", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["written"] == []
    override = output / "docker-bake.override.json"
    assert override.is_file()
    project.declare("one")
    assert project.run("lock").returncode == 0
    assert project.run("render", "--inputs").returncode == 0
    assert [path.name for path in (project.root / ".cudaforge" / "bake").iterdir()] == ["one"]
    assert list(json.loads(bake(project, output, "--print"))["target"]) == ["one"]
    # Without inputs, what this site added is taken away: it may be of another lock.
    done = project.run("render", "--json")
    assert json.loads(done.stdout)["removed"] == [override.name]
    assert not override.exists()
