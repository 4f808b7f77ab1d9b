"""The lock's text: byte-stable, read back as it was, and never trusted when it was touched."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from cudaforge.errors import InputError, NegativeAnswer, SurroundingsError
from cudaforge.lockfile.compose import entry_digest
from cudaforge.lockfile.model import Lock, LockedBase, OsPackage
from cudaforge.lockfile.pylock import closure_file, dump_closure, load_closure
from cudaforge.lockfile.store import read_lock, settle_closures, write_lock
from cudaforge.lockfile.text import dump_lock, load_lock
from cudaforge.packages.model import LockedWheel
from cudaforge.records import replace
from tests.support.locks import BOTH_IMAGE, CPU_IMAGE, SOURCES, STANDALONE, STANDALONE_IMAGE, make_lock

WHEELS = (
    LockedWheel(
        package="jax",
        version="0.8.1",
        filename="jax-0.8.1-py3-none-any.whl",
        index="default",
        sha256="ab" * 32,
        size=100,
    ),
    LockedWheel(
        package="torch",
        version="2.13.0+cpu",
        filename="torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
        index="pytorch-cpu",
        sha256="cd" * 32,
        size=None,
    ),
)
LIBC = OsPackage(
    name="libc6",
    version="2.36-9+deb12u10",
    architecture="amd64",
    filename="pool/main/g/glibc/libc6_2.36-9+deb12u10_amd64.deb",
    sha256="ef" * 32,
    size=2_700_000,
)


@pytest.fixture
def closure_text() -> str:
    return dump_closure(WHEELS, python="3.11")


@pytest.fixture
def lock(closure_text: str) -> Lock:
    base = LockedBase(
        reference="bootstrap:debian12", digest="sha256:" + "12" * 32, codename="bookworm", packages=(LIBC,)
    )
    image = CPU_IMAGE
    image = replace(
        image, base=base, gate="", closure=load_closure(closure_text, file=closure_file(image.name))
    )
    image = replace(image, digest=entry_digest(image))
    return Lock(
        project="vision",
        declaration="sha256:" + "34" * 32,
        matrix="sha256:" + "56" * 32,
        tools={"uv": "0.9.0", "cudaforge": "0.1.0"},
        images=(image,),
    )


@pytest.fixture
def path(lock: Lock, closure_text: str, tmp_path: Path) -> Path:
    path = tmp_path / "cudaforge.lock"
    write_lock(lock, {lock.images[0].closure.file: closure_text}, path)
    return path


def test_a_lock_is_read_back_as_it_was_written(lock: Lock, path: Path) -> None:
    assert read_lock(path) == lock
    assert dump_lock(read_lock(path)) == path.read_text()


def test_the_order_of_wheels_does_not_matter(closure_text: str) -> None:
    assert dump_closure(WHEELS[::-1], python="3.11") == closure_text


def test_closures_are_what_the_standard_says(closure_text: str) -> None:
    pylock = pytest.importorskip("packaging.pylock")
    import tomli

    read = pylock.Pylock.from_dict(tomli.loads(closure_text))
    read.validate()
    assert [str(package.name) for package in read.packages] == ["jax", "torch"]
    assert "http" not in closure_text


def test_writing_again_touches_nothing_and_obsolete_closures_go(
    lock: Lock, closure_text: str, path: Path
) -> None:
    closure = path.parent / lock.images[0].closure.file
    old = closure.with_name("pylock.gone.toml")
    old.write_text("x")
    before = path.stat().st_ino, closure.stat().st_ino
    write_lock(lock, {lock.images[0].closure.file: closure_text}, path)
    assert (path.stat().st_ino, closure.stat().st_ino) == before
    assert not old.exists()


@pytest.mark.parametrize("point", range(8))
def test_a_run_that_is_cut_off_anywhere_leaves_the_old_lock_or_the_new_one(
    lock: Lock, path: Path, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    text = dump_closure(WHEELS[:1], python="3.11")
    file = lock.images[0].closure.file
    image = replace(lock.images[0], closure=load_closure(text, file=file))
    newer = replace(lock, images=(replace(image, digest=entry_digest(image)),))
    left = point

    class CutOff(BaseException):
        pass

    def counting(act):
        def step(*arguments, **options):
            nonlocal left
            if left == 0:
                raise CutOff
            left -= 1
            return act(*arguments, **options)

        return step

    for name in ("replace", "unlink", "mkdir"):
        monkeypatch.setattr(Path, name, counting(getattr(Path, name)))
    try:
        write_lock(newer, {file: text}, path)
    except CutOff:
        assert point < 6
    monkeypatch.undo()
    assert read_lock(path) in (lock, newer)
    write_lock(newer, {file: text}, path)
    assert read_lock(path) == newer
    assert (path.parent / file).read_text() == text
    assert [one.name for one in (path.parent / file).parent.iterdir()] == [Path(file).name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('python = "3.1', 'python = "3.0'), "was edited"),
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: text.replace("schema = 1", "schema = 2"), "format 2"),
        (lambda text: text.replace("schema = 1", "schema = 0"), "format is 0"),
        (lambda text: "<<<<<<< ours\n" + text, "merge-conflict"),
        (lambda text: "", "damaged: it is empty"),
        (lambda text: text.replace("schema = 1\n", ""), "schema is missing"),
        (lambda text: text.replace("[[images]]\n", '[[images]]\nsurprise = "x"\n'), "surprise"),
        (lambda text: text.replace("cudaforge.lock.d/pylock", "../pylock"), "no closure file"),
        (lambda text: text.replace("libc6 2.36-9+deb12u10 amd64", "libc6 2.36-9"), "damaged"),
        (lambda text: text.replace("libc6 2.36-9+deb12u10", "libc6 2.36-9+deb12u11"), "edited"),
    ],
)
def test_a_touched_lock_is_refused_with_the_command_that_mends_it(path: Path, change, message: str) -> None:
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))
    with pytest.raises(NegativeAnswer) as caught:
        read_lock(path)
    (problem,) = caught.value.problems
    assert message in problem.what
    assert "cudaforge lock" in (problem.remedy or "")


def test_a_touched_or_missing_closure_is_refused(lock: Lock, path: Path) -> None:
    closure = path.parent / lock.images[0].closure.file
    closure.write_text(closure.read_text().replace("ab" * 32, "ba" * 32))
    with pytest.raises(NegativeAnswer, match="not the closure that was locked"):
        read_lock(path)
    closure.unlink()
    with pytest.raises(NegativeAnswer, match="closure is gone"):
        read_lock(path)


def test_a_missing_lock_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(NegativeAnswer, match="no lock yet"):
        read_lock(tmp_path / "cudaforge.lock")


def test_links_are_never_followed(lock: Lock, closure_text: str, path: Path, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    path.unlink()
    path.symlink_to(target)
    with pytest.raises(Exception, match="symbolic link"):
        write_lock(lock, {lock.images[0].closure.file: closure_text}, path)
    assert target.read_text() == "precious"


def test_a_standalone_python_is_in_the_lock_by_name_and_hash_without_an_address(
    tmp_path: Path, closure_text: str
) -> None:
    closure = load_closure(closure_text, file=closure_file("alone"))
    image = replace(STANDALONE_IMAGE, closure=closure)
    image = replace(image, digest=entry_digest(image))
    write_lock(make_lock(image), {closure.file: closure_text}, tmp_path / "cudaforge.lock")
    text = (tmp_path / "cudaforge.lock").read_text(encoding="utf-8")
    assert STANDALONE.archives[0].path in text
    assert "://" not in text
    read = read_lock(tmp_path / "cudaforge.lock")
    assert read.images[0].standalone == STANDALONE
    (tmp_path / "cudaforge.lock").write_text(text.replace("8" * 64, "9" * 64), encoding="utf-8")
    with pytest.raises(NegativeAnswer, match="the entry of 'alone' was edited"):
        read_lock(tmp_path / "cudaforge.lock")


def test_what_is_built_is_read_as_it_was_written() -> None:
    text = dump_closure(SOURCES, python="3.11")
    assert load_closure(text, file="x").wheels == SOURCES
    assert 'vcs = { type = "git"' in text or "[packages.vcs]" in text
    pylock = pytest.importorskip("packaging.pylock")
    import tomli

    archive, commit = pylock.Pylock.from_dict(tomli.loads(text)).packages
    assert archive.sdist.hashes == {"sha256": "5" * 64}
    assert (commit.vcs.commit_id, commit.vcs.subdirectory) == ("6" * 40, "python")


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("6" * 40, "main"),
        ("https://git", "https://u:p@git"),
        ("https://git.example.org/team", "--upload-pack=x"),
        ('"python"', '"../python"'),
        ('"my-ops"', '"my-ops; id"'),
        ('"1.0"\n', '"1.0 -x"\n'),
        ("docopt-0.6.2.tar.gz", "../docopt-0.6.2.tar.gz"),
        ("5" * 64, "5"),
    ],
)
def test_a_source_that_was_edited_is_refused(was: str, now: str) -> None:
    text = dump_closure(SOURCES, python="3.11")
    assert was in text
    with pytest.raises(NegativeAnswer, match="damaged"):
        load_closure(text.replace(was, now), file="x")


def test_the_day_of_a_lock_is_kept_and_checked(tmp_path: Path):
    lock = replace(make_lock(), as_of="2026-06-01")
    write_lock(lock, {}, tmp_path / "cudaforge.lock")
    assert read_lock(tmp_path / "cudaforge.lock") == lock
    text = dump_lock(lock)
    assert 'as_of = "2026-06-01"' in text
    for wrong in ('"yesterday"', "2026", "2026-06-01", '["2026-06-01"]'):
        (tmp_path / "cudaforge.lock").write_text(text.replace('"2026-06-01"', wrong))
        with pytest.raises(NegativeAnswer, match="no day"):
            read_lock(tmp_path / "cudaforge.lock")


@pytest.mark.parametrize("name", ["", ".", "..", "../x.toml", "/x.toml", "a\0b", 5, ["x.toml"]])
def test_what_is_no_name_of_a_declaration_is_damage(name: object, path: Path) -> None:
    path.write_text(path.read_text().replace("schema = 1\n", f"schema = 1\nfile = {json.dumps(name)}\n"))
    with pytest.raises(NegativeAnswer, match="no name of a declaration"):
        read_lock(path)


def test_a_lock_of_several_platforms_is_read_back_as_it_was_written() -> None:
    text = dump_closure(BOTH_IMAGE.closure.wheels, python="3.11", platforms=BOTH_IMAGE.platforms)
    closure = load_closure(text, file=BOTH_IMAGE.closure.file)
    assert {one.filename: one.platforms for one in closure.wheels} == {
        one.filename: one.platforms for one in BOTH_IMAGE.closure.wheels
    }
    alone = replace(
        BOTH_IMAGE, name="one", platforms=("linux/amd64",), base=replace(BOTH_IMAGE.base, manifests=())
    )
    made = [replace(image, closure=closure) for image in (BOTH_IMAGE, alone)]
    lock = make_lock(*(replace(image, digest=entry_digest(image)) for image in made))
    written = dump_lock(lock)
    assert load_lock(written, file="cudaforge.lock", read_closure=lambda file: text) == lock
    for digest in ("a", "b"):
        assert written.count(f"sha256:{digest * 64}") == 1


def test_a_closure_of_several_platforms_says_so_in_the_standard_s_words() -> None:
    pylock = pytest.importorskip("packaging.pylock")
    import tomli

    text = dump_closure(BOTH_IMAGE.closure.wheels, python="3.11", platforms=BOTH_IMAGE.platforms)
    read = pylock.Pylock.from_dict(tomli.loads(text))
    assert [str(one) for one in read.environments] == [
        'platform_machine == "x86_64"',
        'platform_machine == "aarch64"',
    ]
    for machine in ("x86_64", "aarch64"):
        (package,) = [one for one in read.packages if one.marker.evaluate({"platform_machine": machine})]
        assert package.wheels[0].name.endswith(f"{machine}.whl")
    assert "environments" not in dump_closure(WHEELS, python="3.11", platforms=("linux/amd64",))


@pytest.mark.parametrize("marker", ["python_version >= '3.11'", "platform_machine == 'x86_64' and true", 3])
def test_a_marker_that_is_none_of_platforms_is_refused(marker: object) -> None:
    wheels = BOTH_IMAGE.closure.wheels[:1]
    text = dump_closure(wheels, python="3.11", platforms=BOTH_IMAGE.platforms)
    written = re.sub(r"(?m)^marker = .*$", f"marker = {json.dumps(marker)}", text)
    with pytest.raises(NegativeAnswer, match="the closure is damaged"):
        load_closure(written, file="pylock.toml")


@pytest.fixture
def newer(lock: Lock) -> tuple[Lock, dict[str, str]]:
    """The lock with another closure of its image and with one image more, and the closures' texts."""
    text = dump_closure(WHEELS[:1], python="3.11")
    made = []
    for name in (lock.images[0].name, "more"):
        closure = load_closure(text, file=closure_file(name))
        image = replace(lock.images[0], name=name, closure=closure)
        made.append(replace(image, digest=entry_digest(image)))
    return replace(lock, images=tuple(made)), {image.closure.file: text for image in made}


def beside(path: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in sorted(path.parent.rglob("*")) if one.is_file()}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("point", range(3))
def test_a_write_that_fails_leaves_everything_as_it_was(
    lock: Lock,
    newer: tuple[Lock, dict[str, str]],
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException | type[BaseException],
    point: int,
) -> None:
    before = beside(path)
    left, fsync = point, os.fsync

    def failing(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left == -1:
            raise error
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", failing)
    with pytest.raises((KeyboardInterrupt, SurroundingsError)):
        write_lock(*newer, path)
    assert beside(path) == before
    assert read_lock(path) == lock


def test_a_stop_just_after_the_lock_is_written_leaves_the_new_one(
    newer: tuple[Lock, dict[str, str]], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Path.replace

    def stopping(source: Path, target: Path) -> None:
        move(source, target)
        if target == path:
            monkeypatch.undo()
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stopping)
    with pytest.raises(KeyboardInterrupt):
        write_lock(*newer, path)
    assert read_lock(path) == newer[0]
    assert sorted(beside(path)) == ["cudaforge.lock", *sorted(Path(file).name for file in newer[1])]


def test_the_first_lock_that_cannot_be_written_leaves_no_closure(
    lock: Lock, closure_text: str, tmp_path: Path
) -> None:
    path = tmp_path / "cudaforge.lock"
    path.mkdir()
    with pytest.raises(InputError, match="is a directory"):
        write_lock(lock, {lock.images[0].closure.file: closure_text}, path)
    assert beside(path) == {}


def test_a_closure_waits_for_its_own_image_alone(
    lock: Lock, newer: tuple[Lock, dict[str, str]], path: Path
) -> None:
    write_lock(*newer, path)
    file, other = newer[1]
    here = path.parent / file
    (path.parent / other).write_text("broken by hand")
    waiting = here.with_name(f".{Path(other).name}.new")
    waiting.write_text(newer[1][other])
    stray = here.with_name(f".{here.name}.new")
    stray.write_text(dump_closure(WHEELS, python="3.11"))
    settle_closures(path)
    assert read_lock(path) == newer[0], "what the lock means takes its place"
    assert sorted(beside(path)) == sorted(["cudaforge.lock", here.name, Path(other).name])
