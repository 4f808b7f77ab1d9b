"""Everything that builds need in one directory, and builds out of it with the network really off."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cudaforge.builder import BuildState
from cudaforge.pipeline.decide import load, load_current_lock
from cudaforge.pipeline.make import build
from cudaforge.pipeline.vendoring import vendor
from cudaforge.records import replace
from tests.engine.test_surroundings import (  # noqa: F401 -- fixtures
    check_message,
    docker,
    index,
    mirror,
    project,
    unique_step,
)
from tests.support.index import Index
from tests.support.tiny import TinyProject, read_files

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can take the network away"),
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]
NO_NETWORK = ("unshare", "--net", sys.executable, "-m", "cudaforge")
# Fails wherever the step has an interface besides the loopback.
ALONE = "test $(ls /sys/class/net | grep -cv '^lo$') = 0"


def without_network(project: TinyProject, *words: str) -> subprocess.CompletedProcess[str]:  # noqa: F811
    """The program where no interface is up; the engine is reached by its socket."""
    variables = {**project.environment, "XDG_CACHE_HOME": str(project.root.parent / "empty-cache")}
    variables |= {"UV_CACHE_DIR": str(project.root.parent / "empty-uv")}
    argv = [*NO_NETWORK, *words]
    return subprocess.run(
        argv, cwd=project.root, env=variables, capture_output=True, text=True, timeout=300, check=False
    )


def contents(store: Path) -> dict[str, bytes]:
    """All of it but the mark of whoever fills it."""
    return {name: content for name, content in read_files(store).items() if name != "vendor.pid"}


def locked(project: TinyProject) -> None:  # noqa: F811
    done = project.run("lock")
    assert done.returncode == 0, done.stderr


def test_a_build_with_the_network_off(project: TinyProject, index: Index, tmp_path: Path):  # noqa: F811
    project.declare(f"one\nrun = [{json.dumps(unique_step())}, {json.dumps(ALONE)}]")
    locked(project)
    store = tmp_path / "store"
    done = project.run("vendor", str(store), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] > 50_000_000
    before = contents(store)
    asked = len(index.asked)
    done = without_network(project, "build", "--offline", str(store), "--no-cache", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"][0]["state"] == "built"
    assert len(index.asked) == asked
    assert contents(store) == before
    assert "1.0" in docker(
        *("run", "--rm", "--network=none", f"{project.name}:one", "python", "-c"),
        "import tiny_frame; print(tiny_frame.__version__)",
    )
    # A second time there is nothing to fetch.
    again = project.run("vendor", str(store))
    assert again.returncode == 0
    assert contents(store) == before


def test_a_base_of_a_registry(
    project: TinyProject,  # noqa: F811
    mirror: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    base = "python:3.11-slim-bookworm"
    run = f"run = [{json.dumps(unique_step())}, {json.dumps(ALONE)}]"
    project.declare(f"one\n{run}", base=base, head=f'[registries]\n"docker.io" = "{mirror}"')
    locked(project)
    for name in ("UV_DEFAULT_INDEX", "UV_NO_CONFIG", "PIP_CONFIG_FILE", "UV_CACHE_DIR"):
        monkeypatch.setenv(name, project.environment[name])
    declaration = load(project.root / "cudaforge.toml")
    known = load_current_lock(declaration)
    # What has to be installed on a base is not collected: this stand-in has it.
    bare = replace(known, images=tuple(replace(image, os_packages=()) for image in known.images))
    store = tmp_path / "store"
    vendor(bare, declaration, store, on_note=print)
    assert (store / "bases" / bare.images[0].base.digest.replace(":", "-") / "index.json").is_file()
    docker("rmi", "--force", f"{mirror}/library/{base}")
    unreachable = replace(declaration, registries={"docker.io": "127.0.0.1:9"})
    (result,) = build(bare, declaration=unreachable, vendored=store, no_cache=True)
    assert result.state is BuildState.BUILT, result


def test_what_is_not_there_is_told(project: TinyProject, tmp_path: Path):  # noqa: F811
    locked(project)
    store = tmp_path / "store"
    assert project.run("vendor", str(store)).returncode == 0
    for part in ("wheels", "bases"):
        (store / part).rename(store / "away")
        done = without_network(project, "build", "--offline", str(store), "--no-cache")
        assert done.returncode == 3, done.stderr
        check_message(done.stderr, f"is not in {store}", f"cudaforge vendor {store}")
        (store / "away").rename(store / part)
    wheel = next(path for path in (store / "wheels").rglob("*.whl"))
    wheel.write_bytes(b"other")
    done = without_network(project, "build", "--offline", str(store), "--no-cache")
    assert done.returncode == 1, done.stderr
    check_message(done.stderr, "another file", wheel.name)


def test_a_directory_of_something_else_is_left_alone(project: TinyProject, tmp_path: Path):  # noqa: F811
    locked(project)
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine").write_text("x")
    for words in (("vendor", str(other)), ("build", "--offline", str(other))):
        done = project.run(*words)
        assert done.returncode == 2, done.stderr
        check_message(done.stderr, "is no directory that cudaforge vendor filled")
    assert [path.name for path in other.iterdir()] == ["mine"]
    (other / "mine").unlink()
    (other / "cudaforge-vendor.json").write_text('{"schema": 9}')
    done = project.run("build", "--offline", str(other))
    assert done.returncode == 2
    check_message(done.stderr, "has format 9")


def test_os_packages_are_not_collected_and_that_is_told(project: TinyProject, tmp_path: Path):  # noqa: F811
    project.declare('one\napt = ["hello"]')
    locked(project)
    done = project.run("vendor", str(tmp_path / "store"))
    assert done.returncode == 2, done.stderr
    check_message(done.stderr, "one installs OS packages on its base", "hello")
    assert not (tmp_path / "store").exists()
