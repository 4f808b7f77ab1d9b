"""A damaged lock is made anew from what is whole of it: the day, and the images that nobody touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.lockfile.store import read_lock
from tests.unit.pipeline.conftest import Run, World

DAY = "2026-06-01"
TORCH = 'framework = "pytorch>=2.7"\npackages = ["numpy"]\n'
LOCK = Path("cudaforge.lock")
CLOSURES = Path("cudaforge.lock.d")
OLD = "2.12.0+cu130"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        code = run_command_line(list(words))
        printed = capsys.readouterr()
        return code, printed.out, " ".join(printed.err.split())

    return run


@pytest.fixture
def dated(world: World, run: Run) -> World:
    """Two images as of a day, and a world that has moved since."""
    world.declare(a=TORCH, b=TORCH)
    assert run("lock", "--as-of", DAY)[0] == 0
    assert chosen() == {"a": (OLD, "2.1.0"), "b": (OLD, "2.1.0")}
    world.versions["numpy"] = "2.2.0"
    world.push("s390x")
    return world


def chosen() -> dict[str, tuple[str, str]]:
    """The framework and NumPy of each image."""
    return {
        image.name: (
            image.frameworks[0].reported,
            next(wheel.version for wheel in image.closure.wheels if wheel.package == "numpy"),
        )
        for image in read_lock(LOCK).images
    }


def edit(old: str, new: str) -> None:
    text = LOCK.read_text()
    assert old in text
    LOCK.write_text(text.replace(old, new, 1))


def test_a_closure_that_is_gone_costs_the_packages_of_its_image_alone(dated: World, run: Run) -> None:
    before = {image.name: image for image in read_lock(LOCK).images}
    (CLOSURES / "pylock.b.toml").unlink()
    code, said, noted = run("lock", "--json")
    assert code == 0
    assert "the closure is gone: it is made anew, and what is whole of it is kept" in noted
    assert f"b: the closure is gone, or is not the one that was locked: pytorch {OLD} and Python" in noted
    assert f"as of {DAY}, as the lock was made" in noted
    after = {image.name: image for image in read_lock(LOCK).images}
    assert read_lock(LOCK).as_of == DAY
    assert after["a"] == before["a"]
    assert after["b"].base == before["b"].base, "its tag has moved since"
    assert chosen() == {"a": (OLD, "2.1.0"), "b": (OLD, "2.2.0")}
    (change,) = json.loads(said)["changes"]
    assert (change["name"], change["status"]) == ("b", "changed")
    assert {one["field"] for one in change["changes"]} == {"closure"}


def test_a_closure_that_comes_out_the_same_changes_nothing(dated: World, run: Run) -> None:
    dated.versions["numpy"] = "2.1.0"
    before = dated.files()
    shutil.rmtree(CLOSURES)
    code, said, _ = run("lock")
    assert (code, "nothing changed" in said) == (0, True)
    assert dated.files() == before


def test_a_closure_that_was_edited_is_not_trusted(dated: World, run: Run) -> None:
    file = CLOSURES / "pylock.b.toml"
    file.write_text(file.read_text().replace("2.1.0", "9.9.9"))
    assert run("lock")[0] == 0
    assert chosen() == {"a": (OLD, "2.1.0"), "b": (OLD, "2.2.0")}


def test_an_edited_entry_is_chosen_anew_and_the_others_stay(dated: World, run: Run) -> None:
    before = {image.name: image for image in read_lock(LOCK).images}
    edit("steps = 20", "steps = 21")
    code, said, noted = run("lock", "--json")
    assert code == 0
    assert f"a: the entry was edited: all that it says (pytorch {OLD} and Python" in noted
    assert "b: " not in noted
    assert read_lock(LOCK).as_of == DAY
    assert read_lock(LOCK).images[1] == before["b"]
    assert chosen() == {"a": (OLD, "2.2.0"), "b": (OLD, "2.1.0")}
    (change,) = json.loads(said)["changes"]
    fields = {one["field"]: (one["old"], one["new"]) for one in change["changes"]}
    assert change["status"] == "changed"
    assert fields["verify.steps"] == (21, 20)
    assert fields["packages.numpy"] == ("2.1.0", "2.2.0")


def test_an_edited_value_is_no_preference(dated: World, run: Run) -> None:
    edit(f'reported = "{OLD}"', 'reported = "2.11.0+cu130"')
    edit('version = "2.12.0"', 'version = "2.11.0"')
    assert run("lock")[0] == 0
    assert chosen()["a"][0] == OLD


def test_up_keeps_the_day_of_a_damaged_lock_too(
    dated: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    (CLOSURES / "pylock.b.toml").unlink()
    assert f"as of {DAY}, as the lock was made" in run("up")[2]
    assert read_lock(LOCK).as_of == DAY
    assert chosen()["a"] == (OLD, "2.1.0")


def conflict(ours: str, theirs: str, *, base: str | None = None) -> str:
    middle = "" if base is None else f"||||||| base\n{base}"
    return f"<<<<<<< HEAD\n{ours}{middle}=======\n{theirs}>>>>>>> theirs\n"


@pytest.mark.parametrize("base", [None, 'declaration = "1"\n'])
def test_of_a_conflict_stays_what_both_sides_say(dated: World, run: Run, base: str | None) -> None:
    line = next(line for line in LOCK.read_text().splitlines(keepends=True) if "declaration = " in line)
    edit(line, conflict(line, f'declaration = "{"0" * 64}"\n', base=base))
    code, said, noted = run("lock")
    assert (code, "nothing changed" in said) == (0, True)
    assert "the lock has merge-conflict markers" in noted
    assert read_lock(LOCK).as_of == DAY
    assert chosen() == {"a": (OLD, "2.1.0"), "b": (OLD, "2.1.0")}


def test_what_the_sides_of_a_conflict_say_otherwise_is_lost_and_told(dated: World, run: Run) -> None:
    edit("steps = 20\n", conflict("steps = 20\n", "steps = 30\n"))
    edit(f'as_of = "{DAY}"\n', conflict(f'as_of = "{DAY}"\n', 'as_of = "2026-07-01"\n'))
    code, _, noted = run("lock")
    assert code == 0
    assert f"a: the sides of the merge locked different things (pytorch {OLD} and Python" in noted
    assert f"the day is lost: the sides of the merge have {DAY} and 2026-07-01;" in noted
    assert "cudaforge lock --as-of DAY names it again" in noted
    assert read_lock(LOCK).as_of is None
    assert chosen()["a"][0] != OLD
    assert chosen()["b"] == (OLD, "2.1.0"), "an entry that is whole stays without the day, too"


def test_a_day_that_is_named_again_is_not_told_lost(dated: World, run: Run) -> None:
    edit(f'as_of = "{DAY}"\n', conflict(f'as_of = "{DAY}"\n', ""))
    code, _, noted = run("lock", "--as-of", DAY)
    assert (code, "is lost" in noted) == (0, False)
    assert read_lock(LOCK).as_of == DAY
    assert chosen()["a"][0] == OLD


def test_a_lock_that_was_cut_off_keeps_its_day_and_what_stands_before_the_cut(dated: World, run: Run) -> None:
    text = LOCK.read_text()
    LOCK.write_text(text[: text.rindex("[[images.frameworks]]") + 30])
    code, said, noted = run("lock")
    assert code == 0
    assert read_lock(LOCK).as_of == DAY
    assert "b: the entry cannot be read, and is made anew" in noted
    assert "a: " not in noted
    assert "b: new: pytorch" in said
    assert chosen() == {"a": (OLD, "2.1.0"), "b": (OLD, "2.2.0")}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"nonsense",
        b"schema = 1\nas_of = 7\n",
        b"[images]\nname = 1\n",
        b"images = [1, {}]\n",
    ],
)
def test_of_a_lock_of_which_nothing_can_be_read_all_is_told_lost(
    content: bytes, dated: World, run: Run
) -> None:
    LOCK.write_bytes(content)
    code, said, noted = run("lock")
    assert code == 0
    assert "no image can be read in it: all are chosen anew" in noted
    assert "if it was made as of a day, that is lost: cudaforge lock --as-of DAY names it again" in noted
    assert "a: new: pytorch" in said
    assert chosen()["a"][0] != OLD


def test_entries_of_any_shape_are_lost_alone(dated: World, run: Run) -> None:
    edit("[[images]]\n", '[[images]]\nname = "odd"\nbase = []\n[[images]]\nname = 3\n[[images]]\n')
    code, _, noted = run("lock")
    assert code == 0
    assert "odd: the entry cannot be read, and is made anew" in noted
    assert chosen() == {"a": (OLD, "2.1.0"), "b": (OLD, "2.1.0")}


def test_a_lock_of_a_newer_format_keeps_the_day_alone(dated: World, run: Run) -> None:
    edit("schema = 1", "schema = 9")
    code, _, noted = run("lock")
    assert (code, "no image can be read in it" in noted) == (0, True)
    assert read_lock(LOCK).as_of == DAY
    assert chosen()["a"][0] == OLD


@pytest.mark.parametrize("day", ["2026-02-30", "9999-12-31", "2026-6-1", ""])
def test_what_is_no_day_of_a_lock_is_lost_alone(day: str, dated: World, run: Run) -> None:
    edit(f'as_of = "{DAY}"', f'as_of = "{day}"')
    assert run("lock", "--check")[0] == 1
    dated.declare(a=TORCH, b=TORCH + 'env = { A = "1" }')
    code, _, noted = run("lock")
    assert code == 0
    assert f"as_of is '{day}', and no day" in noted
    assert "if it was made as of a day, that is lost" in noted
    assert chosen() == {"a": (OLD, "2.1.0"), "b": (OLD, "2.1.0")}


@pytest.mark.parametrize("words", [("lock",), ("upgrade",)])
def test_what_a_killed_run_left_is_swept_by_the_next(words: tuple[str, ...], world: World, run: Run) -> None:
    world.declare(a=TORCH)
    assert run("lock")[0] == 0
    before = world.files()
    dead = 2**22 + 1
    (CLOSURES / "wheels").mkdir()
    for name in (
        "cudaforge.lock.d/.pylock.a.toml.new",
        f"cudaforge.lock.d/.pylock.a.toml.{dead}.abcdefgh",
        f"cudaforge.lock.d/..pylock.a.toml.new.{dead}.abcdefgh",
        f"cudaforge.lock.d/wheels/.own-1-py3-none-any.whl.{dead}.abcdefgh",
        f".cudaforge.lock.{dead}.abcdefgh",
        "cudaforge.lock.d/pylock.of-a-lock-that-was-never-written.toml",
    ):
        Path(name).write_text("half")
    assert run(*words)[0] == 0
    assert world.files() == before


def test_a_lock_that_fails_leaves_the_project_as_it_was(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.declare(a=TORCH)
    assert run("lock")[0] == 0
    world.declare(a=TORCH.replace("numpy", "scipy"), b=TORCH)
    before = world.files()
    replace = Path.replace

    def failing(source: Path, target: Path) -> Path:
        if target.name == "cudaforge.lock":
            raise OSError(28, "No space left on device")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", failing)
    code, _, noted = run("lock")
    assert code == 3
    assert "free some space" in noted
    assert world.files() == before
