"""Everything that builds need in one directory, and builds out of it with the network really off."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cudaforge.builder import BuildState
from cudaforge.pipeline.decide import load, load_current_lock
from cudaforge.pipeline.make import build
from cudaforge.pipeline.vendoring import vendor
from cudaforge.records import replace
from tests.engine.test_snapshots import (  # noqa: F401 -- fixtures
    PACKAGE,
    PUBLIC,
    declare,
    hub,
    snapshots,
)
from tests.engine.test_sources import Place, place  # noqa: F401 -- a fixture
from tests.engine.test_surroundings import (  # noqa: F401 -- fixtures
    check_message,
    docker,
    index,
    mirror,
    project,
    search_image,
    unique_step,
)
from tests.support.index import Index
from tests.support.snapshots import Snapshots
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
    # Whatever would be installed on the real one this stand-in has; it knows no archive.
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


def image_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    (image,) = json.loads(done.stdout)["images"]
    assert image["state"] == "built"
    return image["image_id"]


def inside(project: TinyProject, *words: str) -> str:  # noqa: F811
    return docker("run", "--rm", "--network=none", f"{project.name}:one", *words)


def test_os_packages_on_a_bootstrapped_base(project: TinyProject, tmp_path: Path):  # noqa: F811
    """From the host's archive, by many packages with scripts and triggers: the same image, and no trace."""
    project.declare('one\napt = ["git", "hello"]', f'two\napt = ["hello"]\nrun = [{json.dumps(ALONE)}]')
    locked(project)
    store = tmp_path / "store"
    online = image_of(project.run("build", "one", "--no-cache", "--reproducible", "--json"))
    done = project.run("vendor", str(store))
    assert done.returncode == 0, done.stderr
    assert "one: collecting OS packages for linux/amd64" in done.stderr
    before = contents(store)
    names = [[row["name"] for row in json.loads(text)["packages"]] for text in records(store).values()]
    assert sorted(map(len, names))[0] == 1
    assert "git" in max(names, key=len)
    assert len(list((store / "debs").glob("*.deb"))) == len({name for group in names for name in group})
    done = without_network(
        project, "build", "one", "--offline", str(store), "--no-cache", "--reproducible", "--json"
    )
    assert image_of(done) == online
    assert inside(project, "hello").startswith("Hello")
    assert inside(project, "git", "--version").startswith("git version")
    assert (
        inside(project, "sh", "-c", "ls -A /run/cudaforge /etc/apt/sources.list.d 2>&1; true").count("deb")
        == 0
    )
    assert without_network(project, "build", "two", "--offline", str(store), "--no-cache").returncode == 0
    assert contents(store) == before
    again = project.run("vendor", str(store))
    assert again.returncode == 0
    assert "OS packages" not in again.stderr
    assert contents(store) == before


def records(store: Path) -> dict[str, bytes]:
    return {name: text for name, text in contents(store).items() if name.startswith("collected/")}


def test_os_packages_that_are_not_there_or_damaged_are_told(project: TinyProject, tmp_path: Path):  # noqa: F811
    project.declare('one\napt = ["hello"]')
    locked(project)
    store = tmp_path / "store"
    assert project.run("vendor", str(store)).returncode == 0
    (deb,) = (store / "debs").glob("*.deb")
    content = deb.read_bytes()
    for damage, words in (
        (deb.unlink, "the OS package hello"),
        (lambda: deb.write_bytes(b"x"), "is damaged"),
    ):
        damage()
        done = without_network(project, "build", "--offline", str(store), "--no-cache")
        assert done.returncode == 3, done.stderr
        check_message(done.stderr, words, f"cudaforge vendor {store}")
    assert project.run("vendor", str(store)).returncode == 0
    assert deb.read_bytes() == content
    shutil.rmtree(store / "collected")
    done = without_network(project, "build", "--offline", str(store), "--no-cache")
    assert done.returncode == 3, done.stderr
    check_message(done.stderr, "what the steps of one install on linux/amd64", f"cudaforge vendor {store}")


def test_os_packages_of_a_day_on_a_base_of_a_registry(
    project: TinyProject,  # noqa: F811
    hub: str,  # noqa: F811
    snapshots: Snapshots,  # noqa: F811
    tmp_path: Path,
):
    """What a lock with `os_snapshot` makes is the same to the digest with the network off."""
    snapshots.record(
        "20260801T000000Z", "bookworm", {PACKAGE: "3.0", "needed": "1:2.0"}, depends={PACKAGE: "needed"}
    )
    declare(project, hub, snapshots, 'os_snapshot = "2026-08-01"')
    locked(project)
    online = image_of(project.run("build", "--no-cache", "--reproducible", "--json"))
    store = tmp_path / "store"
    done = project.run("vendor", str(store))
    assert done.returncode == 0, done.stderr
    assert snapshots.url.encode() not in b"".join(records(store).values())
    asked, files = len(snapshots.asked), contents(store)
    assert project.run("vendor", str(store)).returncode == 0
    assert len(snapshots.asked) == asked
    assert contents(store) == files
    docker("rmi", "--force", f"{hub}/library/{PUBLIC}", f"{project.name}:one")
    done = without_network(
        project, "build", "--offline", str(store), "--no-cache", "--reproducible", "--json"
    )
    assert image_of(done) == online
    assert len(snapshots.asked) == asked
    assert inside(project, "cat", f"/usr/share/{PACKAGE}/version", "/usr/share/needed/version") == "3.01:2.0"
    shutil.rmtree(project.root / ".cudaforge/logs")  # in the log apt names what it reads
    search_image(project, tmp_path, ["cudaforge/debs", "trusted=yes"])


def test_an_archive_that_is_changed_is_not_collected(
    project: TinyProject,  # noqa: F811
    hub: str,  # noqa: F811
    snapshots: Snapshots,  # noqa: F811
    tmp_path: Path,
):
    declare(project, hub, snapshots, 'os_snapshot = "2026-06-01"')
    locked(project)
    release = snapshots.files / "debian/20260601T000000Z/dists/bookworm/InRelease"
    release.write_bytes(release.read_bytes().replace(b"Origin: Test", b"Origin: Evil"))
    done = project.run("vendor", str(tmp_path / "store"))
    assert done.returncode == 3, done.stderr
    assert "error: the OS packages of one for linux/amd64 cannot be collected" in done.stderr
    assert "BADSIG" in done.stderr
    assert "RUN" not in done.stderr
    assert not (tmp_path / "store/collected").exists()
    assert list((tmp_path / "store/debs").iterdir()) == []


def test_a_package_that_no_archive_has_is_told(project: TinyProject, tmp_path: Path):  # noqa: F811
    project.declare('one\napt = ["cudaforge-no-such-package"]')
    locked(project)
    done = project.run("vendor", str(tmp_path / "store"))
    assert done.returncode == 1, done.stderr
    check_message(done.stderr, "the OS packages of one", "Unable to locate package cudaforge-no-such-package")


@pytest.mark.skipif(shutil.which("git") is None, reason="this host has no git")
def test_wheels_that_are_built_from_their_source(place: Place, tmp_path: Path):  # noqa: F811
    """They are built where they are collected: compilers and what builds them are wanted there alone."""
    made = place.project
    lines = f'packages = ["{place.reference}", "only-source"]\nbuild_from_source = ["only_source"]'
    made.declare(f"one\n{lines}\nrun = [{json.dumps(ALONE)}]")
    locked(made)
    store = tmp_path / "store"
    done = made.run("vendor", str(store), timeout=600)
    assert done.returncode == 0, done.stderr
    assert "one: building gitted, only-source for linux/amd64" in done.stderr
    assert not (store / "debs").exists()
    before = contents(store)
    done = without_network(made, "build", "--offline", str(store), "--no-cache")
    assert done.returncode == 0, done.stderr
    code = "import gitted, only_source; print(gitted.kind, gitted.version, only_source.version)"
    assert inside(made, "python", "-c", code) == "commit 2.1 1.5\n"
    assert contents(store) == before
    asked = len(place.index.asked)
    assert made.run("vendor", str(store)).returncode == 0
    assert contents(store) == before
    assert len(place.index.asked) == asked


def test_pruning_leaves_what_a_build_needs(project: TinyProject, tmp_path: Path):  # noqa: F811
    project.declare(f'one\napt = ["jq"]\nrun = [{json.dumps(ALONE)}]')
    locked(project)
    store = tmp_path / "store"
    assert project.run("vendor", str(store)).returncode == 0
    project.declare(f'one\napt = ["less"]\nrun = [{json.dumps(ALONE)}]')
    locked(project)
    done = project.run("vendor", str(store), "--prune", "--json")
    assert done.returncode == 0, done.stderr
    pruned = json.loads(done.stdout)["pruned"]
    assert pruned["files"] > 1
    assert pruned["bytes"] > 100_000
    assert (pruned["kept_for"], pruned["left_alone"]) == ([], [])
    names = [path.read_bytes() for path in (store / "collected").iterdir()]
    assert len(names) == 1
    assert b'"jq"' not in names[0]
    done = without_network(project, "build", "--offline", str(store), "--no-cache", "--json")
    image_of(done)
    assert "less" in inside(project, "less", "--version")
    before = contents(store)
    # So many that they take a while, and a kill comes in the middle of it.
    for number in range(30_000):
        (store / "debs" / f"{number:064x}.deb").touch()
    child = project.start("vendor", str(store), "--prune")
    while child.poll() is None and (store / "debs" / f"{99:064x}.deb").exists():
        time.sleep(0.001)
    child.kill()
    child.communicate()
    left = len(list((store / "debs").iterdir()))
    assert child.returncode == -9
    assert 1000 < left < 29_990
    done = project.run("vendor", str(store), "--prune", "--json")
    assert done.returncode == 0, done.stderr
    assert contents(store) == before
    debs = sum(name.startswith("debs/") for name in before)
    assert json.loads(done.stdout)["pruned"]["files"] == left - debs
    done = project.run("vendor", str(store), "--prune")
    assert "removed: nothing" in done.stdout
