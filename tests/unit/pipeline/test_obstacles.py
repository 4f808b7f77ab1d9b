"""What has the place of a file or directory of a project, and is none: every command says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.pipeline.conftest import Run, World

TORCH = 'framework = "pytorch>=2.7"\n'
LOCK, CLOSURES, STATE = Path("cudaforge.lock"), Path("cudaforge.lock.d"), Path(".cudaforge")


def as_file(path: Path) -> str:
    path.write_text("mine")
    return f"{path.name} is a file, where a directory has to be"


def as_dangling_link(path: Path) -> str:
    path.symlink_to("nowhere")
    return f"{path.name} is a symbolic link to nothing"


OBSTACLES = pytest.mark.parametrize("obstruct", [as_file, as_dangling_link])


@pytest.fixture
def locked(world: World, run: Run) -> World:
    """A project that is locked."""
    world.declare(train=TORCH)
    assert run("lock")[0] == 0
    return world


def refused(run: Run, *words: str) -> tuple[str, str]:
    """What is wrong, and the remedy, of a command that ends with exit code 2."""
    code, said, noted = run(*words, "--json")
    assert code == 2, (said, noted)
    (problem,) = json.loads(said)["errors"]
    return problem["what"], problem["try"]


@OBSTACLES
@pytest.mark.parametrize(
    "words", ["lock", "lock --check", "render -o out", "build", "vendor store", "report", "verify", "upgrade"]
)
def test_the_closures_are_no_directory(
    words: str, obstruct: Callable[[Path], str], locked: World, run: Run
) -> None:
    CLOSURES.rename("aside")
    told = obstruct(locked.root / CLOSURES)
    what, remedy = refused(run, *words.split())
    assert what.endswith(told)
    assert remedy == "move it away"
    assert not Path("out").exists()


@OBSTACLES
@pytest.mark.parametrize("words", ["lock", "upgrade"])
def test_the_state_is_no_directory(
    words: str, obstruct: Callable[[Path], str], locked: World, run: Run
) -> None:
    (STATE / ".gitignore").unlink()
    (STATE / "lock.pid").unlink()
    STATE.rmdir()
    told = obstruct(locked.root / STATE)
    what, remedy = refused(run, *words.split())
    assert what.endswith(told)
    assert remedy == "move it away"


@pytest.mark.parametrize("words", ["lock", "lock --check", "render -o out", "build", "report"])
def test_the_lock_is_a_link_to_nothing(words: str, locked: World, run: Run) -> None:
    LOCK.unlink()
    told = as_dangling_link(locked.root / LOCK)
    what, remedy = refused(run, *words.split())
    assert what.endswith(told)
    assert remedy == "move it away"


@OBSTACLES
@pytest.mark.parametrize("below", ["x", "x/y"])
def test_the_way_to_what_is_rendered_is_no_directory(
    below: str, obstruct: Callable[[Path], str], locked: World, run: Run
) -> None:
    told = obstruct(locked.root / "dir")
    what, remedy = refused(run, "render", "-o", f"dir/{below}")
    assert what == told
    assert remedy == "move it away, or name another directory"


@OBSTACLES
def test_the_way_to_a_report_is_no_directory(
    obstruct: Callable[[Path], str], locked: World, run: Run
) -> None:
    told = obstruct(locked.root / "dir")
    what, remedy = refused(run, "report", "-o", "dir/page.html")
    assert what.endswith(told)
    assert remedy == "move it away"


def test_a_link_in_the_place_of_a_lock_between_runs(locked: World, run: Run) -> None:
    (STATE / "lock.pid").unlink()
    (locked.root / "theirs").write_text("precious")
    (STATE / "lock.pid").symlink_to(locked.root / "theirs")
    what, remedy = refused(run, "upgrade")
    assert what.endswith("lock.pid is a symbolic link, and cudaforge writes only plain files")
    assert remedy == "move it away"
    assert (locked.root / "theirs").read_text() == "precious"
