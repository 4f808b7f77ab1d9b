"""The snapshot of the OS archive that a lock names: asked for, kept, moved, refused."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.lockfile.compose import entry_digest
from cudaforge.lockfile.model import LockedBase, LockedImage, LockedSnapshot, OsPackage
from cudaforge.lockfile.snapshots import SnapshotQuestion, choose_snapshot
from cudaforge.lockfile.store import read_lock, write_lock
from cudaforge.lockfile.text import dump_lock
from cudaforge.pipeline import locking
from cudaforge.pipeline.decide import load, matrix_of, resolve
from cudaforge.records import replace
from tests.unit.pipeline.conftest import World

IMAGE = 'framework = "jax"\ncuda = "none"\n'
UBUNTU = f'{IMAGE}os = "ubuntu22.04"\nbase = "ubuntu:22.04"\n'
DEBIAN = f'{IMAGE}base = "debian:12-slim"\n'


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def run(*words: str) -> tuple[int, str, str]:
        code = run_command_line(list(words))
        printed = capsys.readouterr()
        return code, " ".join(printed.out.split()), " ".join(printed.err.split())

    return run


def image() -> LockedImage:
    (found,) = read_lock(Path("cudaforge.lock")).images
    return found


def snapshot() -> LockedSnapshot | None:
    return image().snapshot


def date_back(day: str) -> None:
    """The lock as it would have been made on another day."""
    path = Path("cudaforge.lock")
    stamp = f"{day.replace('-', '')}T000000Z"
    lock = read_lock(path)
    (one,) = lock.images
    archives = tuple(line.replace(one.snapshot.timestamp, stamp) for line in one.snapshot.archives)
    dated = replace(one, snapshot=replace(one.snapshot, timestamp=stamp, archives=archives))
    write_lock(replace(lock, images=(replace(dated, digest=entry_digest(dated)),)), {}, path)


def test_a_day_is_locked_with_the_lines_of_debian(world: World, run) -> None:
    world.declare(one=f'{DEBIAN}os_snapshot = "2026-06-01"')
    assert run("lock")[0] == 0
    assert snapshot() == LockedSnapshot(
        service="debian",
        timestamp="20260601T000000Z",
        url="http://snapshot.debian.org/archive",
        keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
        archives=(
            "debian/20260601T000000Z bookworm main",
            "debian/20260601T000000Z bookworm-updates main",
            "debian-security/20260601T000000Z bookworm-security main",
        ),
    )
    assert run("lock", "--check")[0] == 0


def test_a_day_is_locked_with_the_lines_of_ubuntu(world: World, run) -> None:
    world.declare(one=f'{UBUNTU}os_snapshot = "2026-06-01"')
    assert run("lock")[0] == 0
    found = snapshot()
    assert (found.service, found.url) == ("ubuntu", "http://snapshot.ubuntu.com/ubuntu")
    assert found.archives == tuple(
        f"20260601T000000Z jammy{pocket} main universe" for pocket in ("", "-updates", "-security")
    )
    assert run("render")[0] == 0
    dockerfile = next(Path().rglob("Dockerfile")).read_text()
    assert (
        "'deb [check-valid-until=no signed-by=/usr/share/keyrings/ubuntu-archive-keyring.gpg] "
        "http://snapshot.ubuntu.com/ubuntu/20260601T000000Z jammy-security main universe'"
    ) in dockerfile


def test_without_the_key_there_is_none(world: World, run) -> None:
    world.declare(one=DEBIAN)
    assert run("lock")[0] == 0
    assert snapshot() is None
    assert "snapshot" not in Path("cudaforge.lock").read_text()


def test_the_key_makes_a_lock_stale_and_the_mirror_does_not(world: World, run) -> None:
    world.declare(one=DEBIAN)
    assert run("lock")[0] == 0
    world.declare(one=f"{DEBIAN}os_snapshot = true")
    code, _, said = run("lock", "--check")
    assert (code, "stale" in said) == (1, True)
    assert run("lock")[0] == 0
    before = Path("cudaforge.lock").read_bytes()
    file = Path("cudaforge.toml")
    file.write_text(file.read_text() + '[network]\nos_snapshots.debian = "http://mirror.example/snapshots"\n')
    assert run("lock", "--check")[0] == 0
    assert Path("cudaforge.lock").read_bytes() == before


def test_the_day_of_locking_stays_until_an_upgrade(world: World, run) -> None:
    world.declare(one=f"{DEBIAN}os_snapshot = true")
    assert run("lock")[0] == 0
    today = datetime.now(tz=timezone.utc).strftime("%Y%m%dT000000Z")
    assert snapshot().timestamp == today
    date_back("2026-06-01")
    world.declare(one=f'{DEBIAN}os_snapshot = true\npackages = ["numpy"]')
    assert run("lock")[0] == 0
    assert snapshot().timestamp == "20260601T000000Z"
    assert run("upgrade")[0] == 0
    assert snapshot().timestamp == today


def test_another_base_moves_the_day_of_locking(world: World, run) -> None:
    world.declare(one=f"{DEBIAN}os_snapshot = true")
    assert run("lock")[0] == 0
    date_back("2026-06-01")
    world.declare(one=f'{IMAGE}base = "debian:13-slim"\nos_snapshot = true')
    assert run("lock")[0] == 0
    assert snapshot().timestamp == datetime.now(tz=timezone.utc).strftime("%Y%m%dT000000Z")


def test_as_of_sets_the_day(world: World, run) -> None:
    world.declare(one=DEBIAN)
    assert run("lock", "--as-of", "2026-06-01")[0] == 0
    assert snapshot().timestamp == "20260601T000000Z"
    assert run("lock", "--as-of", "none")[0] == 0
    assert snapshot() is None


@pytest.mark.parametrize(
    ("wish", "timestamp"),
    [
        ("true", "20260601T000000Z"),
        ("false", None),
        ('"2026-05-01"', "20260501T000000Z"),
        ('"2026-07-01"', "20260601T000000Z"),
    ],
)
def test_as_of_limits_what_is_declared(world: World, run, wish: str, timestamp: str | None) -> None:
    world.declare(one=f"{DEBIAN}os_snapshot = {wish}")
    assert run("lock", "--as-of", "2026-06-01")[0] == 0
    assert (snapshot().timestamp if snapshot() else None) == timestamp


@pytest.mark.parametrize(
    ("lines", "because"),
    [
        (f'{DEBIAN}os_snapshot = "2999-01-01"', "2999-01-01 is still to come"),
        (f'{UBUNTU}os_snapshot = "2023-01-01"', "the snapshots of ubuntu begin on 2023-03-02"),
        (
            f'{IMAGE}base = "x.example/y"\nos = "rockylinux9"\npython = "3.12"\nos_snapshot = true',
            "rockylinux9",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(world: World, run, lines: str, because: str) -> None:
    world.declare(one=lines)
    code, _, said = run("lock")
    assert code == 2, said
    assert because in said
    assert "images.one.os_snapshot" in said
    assert "os_snapshot = false" in said
    assert not Path("cudaforge.lock").exists()


def test_a_base_out_of_the_archive_takes_what_is_declared_alone(world: World) -> None:
    world.declare(one=f'{IMAGE}base = "bootstrap:debian12"\nos_snapshot = true')
    declaration = load(Path("cudaforge.toml"))
    (answer,) = resolve(declaration)
    question = SnapshotQuestion(
        services=matrix_of(declaration).snapshots,
        as_of=None,
        today=date(2026, 7, 1),
        file="cudaforge.toml",
    )
    (wanted,) = declaration.images
    choice = choose_snapshot(wanted, answer.answer, question, earlier=None)
    assert choice.snapshot is not None
    assert choice.snapshot.timestamp == "20260701T000000Z"
    unasked = replace(wanted, contents=replace(wanted.contents, os_snapshot=None))
    dated = replace(question, as_of="2026-06-01")
    choice = choose_snapshot(unasked, answer.answer, dated, earlier=None)
    assert choice.snapshot is None
    assert "bootstrap:debian12 is made from the archive of this host" in str(choice.obstacle)
    assert "os_snapshot takes both from a snapshot" in str(choice.obstacle)


def made_here(request, **_: object) -> LockedBase:
    """A base of a host's archive with the packages that were asked for."""
    packages = [
        OsPackage(name=name, version="1", architecture="amd64", filename="x", sha256="0" * 64, size=1)
        for name in request.bootstrap_packages
    ]
    return LockedBase(
        reference=request.reference,
        digest=f"sha256:{'1' * 64}",
        codename=request.codename,
        packages=tuple(packages),
    )


def test_packages_of_the_day_of_building_are_told_once_and_only_where_there_are_any(
    world: World, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "bootstrapped_base", made_here)
    base = f'{IMAGE}base = "bootstrap:debian12"\n'
    apt = f'{base}apt = ["git"]\n'
    world.declare(plain=base, one=apt, two=apt, dated=f'{apt}os_snapshot = "2026-06-01"')
    code, _, said = run("lock", "--as-of", "2026-06-01")
    assert code == 0, said
    assert said.count("the day of building") == 1
    assert "OS packages that builds of one, two install are those of the day of building" in said
    world.declare(plain=base)
    code, _, said = run("lock", "--as-of", "2026-06-02")
    assert (code, "the day of building" in said) == (0, False), said
    assert "plain: bootstrap:debian12 is made from the archive of this host as it is now" in said


def test_diff_tells_the_days(world: World, run) -> None:
    world.declare(one=f'{DEBIAN}os_snapshot = "2026-06-01"')
    assert run("lock")[0] == 0
    old = Path("old").joinpath("cudaforge.lock")
    old.parent.mkdir()
    old.write_text(dump_lock(read_lock(Path("cudaforge.lock"))))
    world.declare(one=f'{DEBIAN}os_snapshot = "2026-07-01"')
    assert run("lock")[0] == 0
    said = run("diff", str(old), "cudaforge.lock")[1]
    assert "OS snapshot debian 20260601T000000Z -> debian 20260701T000000Z" in said
    changes = json.loads(run("diff", "--json", str(old), "cudaforge.lock")[1])["images"][0]["changes"]
    assert [one["field"] for one in changes if one["field"] == "snapshot"] == ["snapshot"]


@pytest.mark.parametrize(
    ("table", "name", "meant"),
    [("os_snapshots", "debain", "debian"), ("indexes", "pytorch-cu999", "pytorch-cu")],
)
def test_an_address_for_what_nobody_knows_is_refused(world: World, run, table: str, name: str, meant: str):
    world.declare(one=DEBIAN)
    file = Path("cudaforge.toml")
    file.write_text(file.read_text() + f'[network.{table}]\n{name} = "http://mirror.example/x"\n')
    code, _, said = run("lock")
    assert code == 2, said
    assert f"network.{table}.{name}" in said
    assert f"did you mean {meant}" in said
