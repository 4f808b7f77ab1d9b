"""What is locked stays until it is upgraded, and then all of it moves together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cudaforge.errors import NegativeAnswer, Problem
from cudaforge.lockfile.store import read_lock
from cudaforge.versions import Version
from tests.unit.pipeline.conftest import World

OLD = 'framework = "pytorch==2.7.*"\ncuda = "12.6"\npackages = ["numpy"]'
LOOSE = 'framework = "pytorch>=2.7,<2.13"\npackages = ["numpy"]'
TWIN = 'framework = "jax"\ncuda = "none"'


def entry(name: str):
    return next(image for image in read_lock(Path("cudaforge.lock")).images if image.name == name)


@pytest.fixture
def old_lock(world: World, run) -> World:
    """A lock of an old PyTorch, under a declaration that allows newer ones by now."""
    world.declare(train=OLD, twin=TWIN)
    assert run("lock")[0] == 0
    world.declare(train=LOOSE, twin=TWIN)
    assert run("lock")[0] == 0
    return world


def test_what_is_locked_stays_where_it_still_fits(old_lock: World) -> None:
    assert entry("train").frameworks[0].reported == "2.7.1+cu126"


def test_a_wish_that_excludes_what_is_locked_moves_no_more_than_it_has_to(world: World, run) -> None:
    world.declare(train=OLD, twin=TWIN + '\npython = "3.12"')
    assert run("lock")[0] == 0
    jax = entry("twin").frameworks
    world.declare(train=LOOSE + '\npython = "3.11"', twin=TWIN + '\npython = ">=3.12"')
    world.push("s390x")
    assert run("lock")[0] == 0
    assert entry("train").frameworks[0].reported == "2.7.1+cu126"
    assert entry("train").python == "3.11"
    assert (entry("twin").python, entry("twin").frameworks) == ("3.12", jax)


def test_losses_come_first_and_an_upgrade_leaves_nothing_to_move(old_lock: World, run) -> None:
    old_lock.versions["numpy"] = "2.2.0"
    code, said, _ = run("outdated", "train")
    assert code == 1
    lines = said.splitlines()
    assert lines[0] == "train: could move"
    assert "  loses    drops sm_70 (V100, TITAN V, Quadro GV100)" in lines
    assert "  loses    driver floor 525.60.13 -> 580" in lines
    assert "  loses    CUDA 12.6.3 -> 13.0.2" in lines
    assert "  moves    pytorch 2.7.1+cu126 -> 2.12.1+cu130" in lines
    assert "numpy 2.1.0 -> 2.2.0" in said
    assert '  held     pytorch 2.15.0 is held back by framework = "pytorch>=2.7,<2.13"' in lines
    labels = [line.split()[0] for line in lines[1:] if line.startswith("  ") and line[2] != " "]
    order = ["loses", "gains", "moves", "held"]
    assert labels == sorted(labels, key=order.index)
    assert set(labels) == set(order)

    code, moved, _ = run("upgrade")
    assert code == 0
    told = lines[1 : next(index for index, line in enumerate(lines) if line.startswith("  held"))]
    assert moved.splitlines()[: len(told) + 1] == ["train: changed", *told]
    assert entry("train").driver_floor == "580"
    code, said, _ = run("outdated", "--json")
    assert code == 0
    answer = json.loads(said)
    assert answer["up_to_date"] is True
    assert [image["status"] for image in answer["images"]] == ["same", "same"]
    assert answer["not_asked"] == []
    assert "nothing moved" in run("upgrade")[1]


def test_a_dry_run_says_the_same_and_writes_nothing(old_lock: World, run) -> None:
    before = old_lock.files()
    code, dry, _ = run("upgrade", "--dry-run")
    assert code == 0
    document = json.loads(run("upgrade", "--dry-run", "--json")[1])
    run("outdated")
    assert old_lock.files() == before
    real = run("upgrade")[1]
    assert dry.splitlines()[:-1] == real.splitlines()[:-1]
    assert dry.splitlines()[-1].startswith("dry run: ")
    assert "dry run" not in real
    assert document["dry_run"] is True
    assert [image["name"] for image in document["images"]] == ["train"]


def test_the_others_stay_byte_for_byte_even_on_a_base_that_moved(world: World, run) -> None:
    lines = 'framework = "jax"\ncuda = "none"\npython = "3.12"\npackages = ["numpy"]'
    world.declare(a=lines, b=lines)
    assert run("lock")[0] == 0
    before, closure = entry("b"), Path("cudaforge.lock.d/pylock.b.toml").read_bytes()
    world.push("s390x")
    world.versions["numpy"] = "2.2.0"
    assert run("upgrade", "a")[0] == 0
    assert entry("b") == before
    assert Path("cudaforge.lock.d/pylock.b.toml").read_bytes() == closure
    a, b = entry("a"), entry("b")
    assert a.base.reference == b.base.reference
    assert a.base.digest != b.base.digest
    assert {wheel.version for wheel in a.closure.wheels} - {wheel.version for wheel in b.closure.wheels} == {
        "2.2.0"
    }
    assert run("lock", "--check")[0] == 0
    # A lock that is made again for another reason keeps both, each with its own base.
    world.declare(a=lines, b=lines, c=lines)
    assert run("lock")[0] == 0
    assert (entry("a"), entry("b")) == (a, b)
    code, said, _ = run("outdated", "a", "b")
    assert code == 1
    assert "a: up to date" in said
    assert "b: could move" in said


def test_a_base_that_moved_under_its_tag_is_told(world: World, run) -> None:
    world.declare(twin=TWIN)
    assert run("lock")[0] == 0
    was = entry("twin").base.digest
    world.push("s390x")
    code, said, _ = run("outdated")
    assert code == 1
    assert "moved under its tag" in said
    assert was[:19] in said
    (image,) = json.loads(run("outdated", "--json")[1])["images"]
    (change,) = image["changes"]
    assert (change["field"], change["old"], change["effect"]) == ("base.digest", was, "move")
    assert run("upgrade")[0] == 0
    assert entry("twin").base.digest == change["new"]


def test_an_upgrade_keeps_the_driver_and_the_gpus_that_are_declared(world: World, run) -> None:
    fleet = 'driver = "525.60.13"\ngpus = ["V100"]'
    world.declare(train=f"{OLD}\n{fleet}")
    assert run("lock")[0] == 0
    world.declare(train=f"{LOOSE}\n{fleet}")
    assert run("lock")[0] == 0
    assert run("upgrade")[0] == 0
    image = entry("train")
    assert image.frameworks[0].reported == "2.12.1+cu126"
    assert Version(image.driver_floor) <= Version("525.60.13")
    assert "sm_70" in image.architectures


def test_where_a_registry_is_silent_nothing_is_called_up_to_date(world: World, run) -> None:
    world.declare(twin=TWIN)
    assert run("lock")[0] == 0
    world.answer_with(500)
    code, said, _ = run("outdated")
    assert code == 3
    assert "not asked: python:" in said
    assert "twin: nothing to move that is known" in said
    assert json.loads(run("outdated", "--json")[1])["up_to_date"] is None
    world.cut()
    code, _, told = run("outdated")
    assert code == 3
    assert "nothing of what the lock depends on could be asked" in told
    assert "pypi.example is silent" in told
    code, said, _ = run("outdated", "--offline")
    assert code == 0
    assert "--offline" in said


def test_a_lock_may_go_on_without_a_digest_and_says_so(world: World, run) -> None:
    world.declare(twin=TWIN)
    world.answer_with(418)
    code, _, told = run("lock")
    assert code == 3
    assert "try name a mirror under [registries]; --allow-unpinned goes on without a digest" in " ".join(
        told.split()
    )
    assert run("lock", "--allow-unpinned")[0] == 0


def test_an_upgrade_that_would_fail_is_told_as_such(world: World, run) -> None:
    world.declare(twin=TWIN)
    assert run("lock")[0] == 0
    before = world.files()
    world.failing = NegativeAnswer(Problem(what="no set of wheels", because=("a needs b",)))
    code, said, _ = run("outdated")
    assert code == 1
    assert "twin: cannot be upgraded\n  because  no set of wheels\n  because  a needs b" in said
    (image,) = json.loads(run("outdated", "--json")[1])["images"]
    assert image["status"] == "blocked"
    assert image["blocked"][0]["what"] == "no set of wheels"
    code, _, told = run("upgrade")
    assert code == 1
    assert "no set of wheels" in told
    assert world.files() == before


@pytest.mark.parametrize("command", ["outdated", "upgrade"])
def test_a_lock_that_is_missing_or_stale_is_told_as_elsewhere(command: str, world: World, run) -> None:
    world.declare(twin=TWIN)
    code, _, told = run(command)
    assert code == 1
    assert "there is no lock yet" in told
    assert run("lock")[0] == 0
    world.declare(twin=TWIN + '\npython = "3.11"')
    code, _, told = run(command)
    assert code == 1
    assert "the lock is stale" in told
    assert run("lock")[0] == 0
    code, _, told = run(command, "nobody")
    assert code == 2
    assert "'nobody'" in told
    assert "twin" in told
    assert "known: twin" in told


def test_a_dropped_point_stays_dropped_and_is_nothing_to_move(world: World, run) -> None:
    world.declare(lab='cuda = "none"\n[images.lab.matrix]\nframework = ["jax"]\npython = ["3.7", "3.12"]')
    assert run("lock")[0] == 0
    dropped = read_lock(Path("cudaforge.lock")).dropped
    assert len(dropped) == 1
    code, said, _ = run("outdated")
    assert code == 0
    assert dropped[0].name not in said
    assert run("upgrade", "lab")[0] == 0
    assert read_lock(Path("cudaforge.lock")).dropped == dropped


def test_the_option_that_upgrade_replaced_is_gone(world: World, run) -> None:
    code, _, told = run("lock", "--upgrade")
    assert code == 2
    assert "--upgrade" in told


def versions(name: str) -> dict[str, str]:
    return {wheel.package: wheel.version for wheel in entry(name).closure.wheels}


def test_a_package_moves_alone(world: World, run) -> None:
    lines = 'packages = ["numpy", "six"]'
    world.versions |= {"numpy": "2.1.0", "six": "1.0"}
    world.declare(train=f"{LOOSE.partition('packages')[0]}{lines}", twin=f"{TWIN}\n{lines}", bare=TWIN)
    assert run("lock")[0] == 0
    before, bare = versions("train"), entry("bare")
    base = entry("train").base
    world.versions |= {"numpy": "2.2.0", "six": "2.0"}
    world.push("s390x")
    code, said, _ = run("upgrade", "--dry-run", "NumPy")
    assert code == 0
    assert "numpy 2.1.0 -> 2.2.0" in said
    assert versions("train") == before
    assert run("upgrade", "train", "numpy")[0] == 0
    assert versions("train") == {**before, "numpy": "2.2.0"}
    assert versions("twin")["numpy"] == "2.1.0"
    assert run("upgrade", "numpy")[0] == 0
    assert (versions("twin")["numpy"], versions("twin")["six"]) == ("2.2.0", "1.0")
    assert entry("train").base == base
    assert entry("bare") == bare
    assert run("lock", "--check")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("numpi",), "'numpi' is neither an image nor a package of the lock"),
        (("numpi",), "did you mean numpy? images known: train, twin"),
        (("torch",), "torch does not move alone: it is chosen with the framework of train"),
        (("twin", "numpy"), "none of the images that are named has the package numpy"),
    ],
)
def test_what_cannot_move_alone_is_refused(old_lock: World, run, words: tuple[str, ...], said: str) -> None:
    before = old_lock.files()
    code, _, error = run("upgrade", *words)
    assert code == 2
    assert said in " ".join(error.split())
    assert {name: text for name, text in old_lock.files().items() if ".pid" not in name} == {
        name: text for name, text in before.items() if ".pid" not in name
    }
