"""Locks as of a day: what keeps the day, and what tells of it."""

from __future__ import annotations

import json

from tests.unit.pipeline.conftest import Run, World

DAY = "2026-06-01"
TORCH = 'framework = "pytorch>=2.7"\npackages = ["numpy"]\n'


def test_outdated_says_what_an_upgrade_would_move(world: World, run: Run) -> None:
    world.declare(a=TORCH, b=TORCH + 'apt = ["git"]')
    assert run("lock", "--as-of", DAY)[0] == 0
    code, said, _ = run("outdated")
    upgraded = run("upgrade")
    assert (code, "nothing moved" in upgraded[1]) == (0, True)
    assert f"as of {DAY}, as the lock was made; cudaforge lock --as-of DAY moves it" in upgraded[2]
    assert said.startswith("a: up to date\n\nb: up to date\n\n")
    assert f"the lock is as of {DAY}, and an upgrade stays on that day" in said
    assert "cudaforge lock --as-of DAY" in " ".join(said.split())
    assert f"as of {DAY}, pytorch has no 2.12.1 (2026-06-17), " in " ".join(said.split())
    document = json.loads(run("outdated", "--json")[1])
    assert (document["up_to_date"], document["as_of"]) == (True, DAY)
    assert document["later"][0].startswith(f"as of {DAY}, pytorch has no ")


def test_what_moves_on_the_day_is_outdated_there_too(world: World, run: Run) -> None:
    world.declare(a=TORCH)
    assert run("lock", "--as-of", DAY)[0] == 0
    world.versions["numpy"] = "2.2.0"
    code, said, _ = run("outdated")
    assert (code, "numpy 2.1.0 -> 2.2.0" in said, "pytorch 2." in said.partition("the lock is")[0]) == (
        1,
        True,
        False,
    )


def test_a_lock_of_no_day_has_no_word_of_one(world: World, run: Run) -> None:
    world.declare(a=TORCH + 'apt = ["git"]\nos_snapshot = true')
    assert run("lock")[0] == 0
    code, said, _ = run("outdated")
    assert (code, said) == (0, "a: up to date\n")
    document = json.loads(run("outdated", "--json")[1])
    assert (document["as_of"], document["later"]) == (None, [])


def test_lock_tells_that_the_day_moves(world: World, run: Run) -> None:
    world.declare(a='framework = "pytorch==2.11.*"')
    assert "as of" not in run("lock")[1]
    code, said, _ = run("lock", "--as-of", DAY)
    assert (code, f"as of none -> {DAY}\n" in said) == (0, True)
    code, said, _ = run("lock", "--as-of", "none", "--json")
    document = json.loads(said)
    assert (code, document["as_of"]) == (0, None)
