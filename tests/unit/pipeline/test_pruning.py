"""What `vendor --prune` takes out of a directory, and what it never does."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cudaforge.bootstrap.layout import write_layout
from cudaforge.bootstrap.tree import Entry, Kind
from cudaforge.errors import NegativeAnswer, SurroundingsError
from cudaforge.lockfile.model import LockedImage, LockedWheel
from cudaforge.packages import foreign
from cudaforge.packages.collect import wheel_file
from cudaforge.packages.foreign import uv_directory
from cudaforge.pipeline import decide, pruning
from cudaforge.pipeline.collected_records import StepRecord, record_file, save_record
from cudaforge.pipeline.places import base_directory, python_file, source_file
from cudaforge.pipeline.pruning import Pruned, has_lists, list_needs, prune
from cudaforge.pipeline.store import open_store, tidy_store
from cudaforge.records import replace
from tests.support.locks import BOTH_IMAGE, BOTH_PLATFORMS, CPU_IMAGE, SOURCES, make_lock
from tests.support.tiny import read_files

Run = Callable[..., Pruned]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(foreign, "uv_version", lambda: "0.9.0")
    directory = tmp_path / "store"
    open_store(directory)
    return directory


@pytest.fixture
def run(store: Path, tmp_path: Path) -> Run:
    """Prunes for a project that has these images."""

    def run(*images: LockedImage, project: str = "one") -> Pruned:
        return prune(store, listed(store, tmp_path / project, *images), is_listed=True)

    return run


def listed(store: Path, root: Path, *images: LockedImage) -> Path:
    root.mkdir(exist_ok=True)
    file = root / "cudaforge.toml"
    file.write_text('schema = 1\n[images.a]\nframework = "jax"\ncuda = "none"\n')
    return list_needs(make_lock(*images), decide.load(file), store)


def put(path: Path, content: bytes = b"12345") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def with_base(store: Path, image: LockedImage, name: str) -> LockedImage:
    """The image on a base of its own, which is collected."""
    entry = Entry(path=name, kind=Kind.DIRECTORY, mode=0o755, uid=0, gid=0, mtime=0, target="", content=b"")
    digest = write_layout(store.parent / name, [entry], architecture="amd64")
    image = replace(image, base=replace(image.base, digest=digest))
    place = base_directory(store, image.base)
    place.parent.mkdir(exist_ok=True)
    (store.parent / name).rename(place)
    return image


def wheel(name: str) -> LockedWheel:
    return LockedWheel(
        package=name,
        version="1.0",
        filename=f"{name}-1.0-py3-none-any.whl",
        index="default",
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        size=None,
    )


def image(store: Path, *names: str, base: str = "base") -> LockedImage:
    """An image with these wheels, all of which is collected."""
    made = with_base(store, CPU_IMAGE, base)
    wheels = tuple(map(wheel, names))
    made = replace(made, closure=replace(made.closure, wheels=wheels), os_packages=("git",))
    for one in wheels:
        put(wheel_file(store, one))
    for platform in made.platforms:
        save_record(store, made, platform, StepRecord(packages=(), wheels=()))
    return made


def test_what_an_earlier_lock_needed_goes_and_what_is_needed_stays(store: Path, run: Run) -> None:
    old = image(store, "numpy", "pillow", base="old")
    new = image(store, "numpy", base="new")
    before = read_files(store)
    gone = {
        name
        for name in before
        if name.startswith(
            ("wheels/" + wheel("pillow").sha256, f"bases/{base_directory(store, old.base).name}/")
        )
        or name == record_file(store, old, old.platforms[0]).relative_to(store).as_posix()
    }
    pruned = run(new)
    after = read_files(store)
    assert before.keys() - after.keys() == gone
    assert (pruned.files, pruned.size) == (len(gone), sum(len(before[name]) for name in gone))
    assert not (store / "wheels" / wheel("pillow").sha256).exists()
    assert not base_directory(store, old.base).exists()
    assert (run(new).files, run(new).strange) == (0, ())


def test_all_kinds_that_a_lock_needs_stay(store: Path, run: Run) -> None:
    made = with_base(store, replace(BOTH_IMAGE, os_packages=()), "both")
    made = replace(made, closure=replace(made.closure, wheels=(*made.closure.wheels, *SOURCES)))
    assert made.standalone is not None
    for one in made.closure.wheels:
        put(source_file(store, one) if one.is_built else wheel_file(store, one))
    for platform in BOTH_PLATFORMS:
        archive = made.standalone.find_archive(platform)
        directory = uv_directory(platform, store)
        assert archive is not None
        assert directory is not None
        put(python_file(store, archive))
        put(directory / "uv")
        put(directory / "lock.pid")
        put(directory / "wheels" / ("a" * 64) / "uv-1.whl")
        save_record(store, made, platform, StepRecord(packages=(), wheels=()))
    before = read_files(store)
    assert run(made).files == 0
    assert {name: content for name, content in read_files(store).items() if "projects" not in name} == before
    put(store / "uv/0.0.1-x86_64/uv")
    put(store / "uv/0.0.1-x86_64/lock.pid")
    put(store / "pythons" / f"{'b' * 64}.tar.gz")
    put(store / "sources/x.tar.gz" / ("c" * 64))
    put(store / "sources/y.tar.gz/commit")
    put(store / "debs" / f"{'d' * 64}.deb")
    assert run(made).files == 6
    assert {name: content for name, content in read_files(store).items() if "projects" not in name} == before
    assert not (store / "sources/x.tar.gz").exists()


def test_what_another_project_needs_stays_until_its_list_is_removed(store: Path, run: Run) -> None:
    mine, other = image(store, "numpy", "mine"), image(store, "numpy", "other", base="other")
    listed(store, store.parent / "two", other)
    before = read_files(store)
    pruned = run(mine)
    assert pruned.files == 0
    (kept,) = pruned.kept
    assert kept.declaration == str(store.parent / "two/cudaforge.toml")
    assert kept.files > 4
    assert before.items() <= read_files(store).items()
    kept.list.unlink()
    assert run(mine).files == kept.files
    assert wheel_file(store, wheel("numpy")).is_file()
    assert not wheel_file(store, wheel("other")).exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 2, "declaration": "x", "needs": []}', "[" * 100_000]
)
def test_a_list_that_cannot_be_read_removes_nothing(text: str, store: Path, run: Run) -> None:
    image(store, "old", base="old")
    file = put(store / "projects" / f"{'e' * 64}.json", text.encode())
    before = read_files(store)
    with pytest.raises(SurroundingsError, match="nothing was removed") as caught:
        run(image(store, "new"))
    assert str(file) in caught.value.problems[0].what
    assert before.items() <= read_files(store).items()


def test_what_was_there_before_lists_is_not_taken_for_ones_own(store: Path, tmp_path: Path) -> None:
    image(store, "old", base="old")
    new = image(store, "new")
    before = read_files(store)
    assert not has_lists(store)
    own = listed(store, tmp_path / "one", new)
    with pytest.raises(NegativeAnswer, match=r"nothing was removed: \d+ files \(.*\) may be those of other"):
        prune(store, own, is_listed=False)
    assert before.items() <= read_files(store).items()
    assert has_lists(store)
    assert prune(store, own, is_listed=True).files > 1
    assert prune(store, own, is_listed=False).files == 0


def test_what_vendor_did_not_write_stays(store: Path, run: Run, tmp_path: Path) -> None:
    old = image(store, "old", base="old")
    new = image(store, "new")
    outside = put(tmp_path / "outside/x.deb")
    mine = [
        put(store / "README"),
        put(store / "wheels/notes.txt"),
        put(wheel_file(store, wheel("old")).with_name("NOTES")),
        put(store / "wheels/mine-1.0-py3-none-any.whl"),
        put(base_directory(store, old.base) / "mine"),
        put(store / "debs/mine.deb"),
        put(store / "other" / f"{'a' * 64}.deb"),
    ]
    link = store / "debs" / f"{'f' * 64}.deb"
    link.symlink_to(outside)
    pruned = run(new)
    assert all(path.is_file() for path in (*mine, outside, link))
    assert (base_directory(store, old.base) / "index.json").is_file()
    assert not wheel_file(store, wheel("old")).exists()
    left = {mine[1], mine[2], mine[3], base_directory(store, old.base), mine[5], link}
    assert set(pruned.strange) == left


def test_a_part_that_is_a_link_to_elsewhere_is_left_alone(store: Path, run: Run, tmp_path: Path) -> None:
    made = image(store, "new")
    shutil.move(store / "wheels", tmp_path / "disk")
    (store / "wheels").symlink_to(tmp_path / "disk")
    put(wheel_file(store, wheel("old")))
    assert run(made).strange == (store / "wheels",)
    assert wheel_file(store, wheel("old")).is_file()


class Killed(BaseException):
    """The end of the process at this very point."""


@pytest.mark.parametrize("after", range(6))
def test_a_run_that_is_killed_is_completed_by_the_next(
    after: int, store: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    image(store, "a", "b", "c", base="old")
    new = image(store, "new", "b")
    needed = read_files(base_directory(store, new.base))
    count = 0

    def dying(act: Callable[..., object]) -> Callable[..., object]:
        def acting(*words: object, **named: object) -> object:
            nonlocal count
            if count == after:
                raise Killed
            count += 1
            return act(*words, **named)

        return acting

    with monkeypatch.context() as patch:
        patch.setattr(pruning.shutil, "rmtree", dying(shutil.rmtree))
        patch.setattr(Path, "unlink", dying(Path.unlink))
        patch.setattr(Path, "rmdir", dying(Path.rmdir))
        with pytest.raises(Killed):
            run(new)
    tidy_store(store)
    run(new)
    names = set(read_files(store))
    assert {name for name in names if name.startswith("wheels/")} == {
        wheel_file(store, wheel(name)).relative_to(store).as_posix() for name in ("new", "b")
    }
    assert [path.name for path in (store / "bases").iterdir()] == [base_directory(store, new.base).name]
    assert read_files(base_directory(store, new.base)) == needed
    assert list((store / "wheels").glob("*/")) == list((store / "wheels").glob("*"))
    assert all(any(path.iterdir()) for path in (store / "wheels").iterdir())


def test_a_list_says_what_the_last_lock_of_a_project_needs(store: Path, tmp_path: Path) -> None:
    file = listed(store, tmp_path / "one", image(store, "a"))
    assert listed(store, tmp_path / "one", image(store, "b", base="b")) == file
    document = json.loads(file.read_text())
    assert document["declaration"] == str(tmp_path / "one/cudaforge.toml")
    assert any(place.endswith("/b-1.0-py3-none-any.whl") for place in document["needs"])
    assert not any(place.endswith("/a-1.0-py3-none-any.whl") for place in document["needs"])
