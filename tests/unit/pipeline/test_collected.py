"""What steps install, in a vendored directory: there, missing, damaged, out of reach."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cudaforge.builder import collect
from cudaforge.engine import DOCKER
from cudaforge.errors import InputError, SurroundingsError
from cudaforge.lockfile.model import LockedImage
from cudaforge.pipeline.collected import (
    collect_steps,
    find_built,
    find_debs,
    find_uncollected,
    refuse_others,
)
from cudaforge.records import replace
from tests.support.locks import BOTH_IMAGE, CPU_IMAGE, GPU_IMAGE, SNAPSHOT, SOURCES
from tests.unit.bootstrap.debs import make_deb

AMD = "linux/amd64"
Fill = Callable[..., list[str]]


def deb(name: str, version: str = "1.0") -> bytes:
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nDescription: x\n"
    return make_deb(control={"control": control.encode()}, data=[])


@pytest.fixture
def fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fill:
    """Collects by steps that leave the given files; returns the notes."""

    def run(
        *images: LockedImage,
        files: dict[str, bytes] | None = None,
        built: dict[str, bytes] | None = None,
        platforms: frozenset[str] = frozenset(),
    ) -> list[str]:
        def leave(content: dict[str, bytes], directory: Path) -> None:
            for name, data in content.items():
                (directory / name).write_bytes(data)

        notes: list[str] = []
        debs = files or {"x.deb": deb("git"), "y.deb": deb("libgomp1")}
        monkeypatch.setattr(collect, "collect_debs", lambda _, directory: leave(debs, directory))
        monkeypatch.setattr(collect, "collect_built", lambda _, directory: leave(built or {}, directory))
        collect_steps(
            find_uncollected(images, tmp_path),
            tmp_path,
            named=SimpleNamespace(find_platforms=lambda: platforms, engine=SimpleNamespace(words=DOCKER)),
            prepare=lambda image, platform: (image, platform),
            on_note=notes.append,
        )
        return notes

    return run


def test_what_is_collected_is_found_again_and_not_collected_twice(fill: Fill, tmp_path: Path):
    assert fill(GPU_IMAGE) == ["train: collecting OS packages for linux/amd64"]
    found = find_debs(tmp_path, GPU_IMAGE, AMD)
    assert [one.name for one in found] == ["git", "libgomp1"]
    assert {path.name for path in found.values()} == {path.name for path in (tmp_path / "debs").iterdir()}
    assert fill(GPU_IMAGE) == []


def test_images_in_which_apt_installs_the_same_are_asked_once(fill: Fill, tmp_path: Path):
    twin = replace(GPU_IMAGE, name="twin", env={"A": "b"})
    dated = replace(GPU_IMAGE, name="dated", snapshot=SNAPSHOT)
    assert fill(GPU_IMAGE, twin, dated) == [
        "train: collecting OS packages for linux/amd64",
        "dated: collecting OS packages for linux/amd64",
    ]
    assert find_debs(tmp_path, twin, AMD) == find_debs(tmp_path, dated, AMD)
    assert len(list((tmp_path / "debs").iterdir())) == 2


def test_an_image_whose_base_has_all_needs_nothing(fill: Fill, tmp_path: Path):
    assert fill(CPU_IMAGE) == []
    assert find_debs(tmp_path, CPU_IMAGE, AMD) == {}


def test_what_is_missing_is_named(fill: Fill, tmp_path: Path):
    with pytest.raises(SurroundingsError, match="what the steps of train install on linux/amd64 is not in"):
        find_debs(tmp_path, GPU_IMAGE, AMD)
    fill(GPU_IMAGE)
    path = next(path for one, path in find_debs(tmp_path, GPU_IMAGE, AMD).items() if one.name == "git")
    path.unlink()
    with pytest.raises(SurroundingsError, match=r"the OS package git 1\.0 of train is not in") as caught:
        find_debs(tmp_path, GPU_IMAGE, AMD)
    assert f"cudaforge vendor {tmp_path}" in str(caught.value.problems[0].remedy)
    assert find_uncollected([GPU_IMAGE], tmp_path) == ((GPU_IMAGE, AMD),)
    fill(GPU_IMAGE)
    assert path.is_file()


def test_what_is_damaged_is_named_and_collected_anew(fill: Fill, tmp_path: Path):
    fill(GPU_IMAGE)
    path = next(iter(find_debs(tmp_path, GPU_IMAGE, AMD).values()))
    path.write_bytes(deb("git", "6.6.6"))
    with pytest.raises(SurroundingsError, match=f"{path.name} is damaged"):
        find_debs(tmp_path, GPU_IMAGE, AMD)
    assert fill(GPU_IMAGE) != []
    assert len(find_debs(tmp_path, GPU_IMAGE, AMD)) == 2


@pytest.mark.parametrize("change", [{"schema": 2}, {"packages": [{}]}, {"packages": 3}])
def test_a_record_that_was_edited_counts_for_nothing(change: dict[str, object], fill: Fill, tmp_path: Path):
    fill(GPU_IMAGE)
    (record,) = (tmp_path / "collected").iterdir()
    written = json.loads(record.read_text())
    for text in (json.dumps({**written, **change}), "[" * 100_000, ""):
        record.write_text(text)
        with pytest.raises(SurroundingsError, match="is not in"):
            find_debs(tmp_path, GPU_IMAGE, AMD)
    written["packages"][0]["sha256"] = "../../etc/passwd"
    record.write_text(json.dumps(written))
    assert find_uncollected([GPU_IMAGE], tmp_path) != ()


def test_names_of_files_that_arrive_count_for_nothing(fill: Fill, tmp_path: Path):
    fill(GPU_IMAGE, files={"..%2f..%2fevil.deb": deb("git")})
    assert [one.name for one in find_debs(tmp_path, GPU_IMAGE, AMD)] == ["git"]
    assert {path.name for path in tmp_path.iterdir()} == {"debs", "collected"}


def test_what_arrives_and_is_no_package_is_refused_whole(fill: Fill, tmp_path: Path):
    with pytest.raises(SurroundingsError, match="the package x cannot be read"):
        fill(GPU_IMAGE, files={"x": b"<html>"})
    assert list((tmp_path / "debs").iterdir()) == []
    assert not (tmp_path / "collected").exists()


def test_a_platform_that_the_engine_does_not_run_is_told_after_the_others(fill: Fill, tmp_path: Path):
    with pytest.raises(SurroundingsError) as caught:
        fill(BOTH_IMAGE, platforms=frozenset({AMD}))
    (problem,) = caught.value.problems
    assert problem.what.startswith("what the steps of both install on linux/arm64 is not collected")
    assert "binfmt" in str(problem.remedy)
    assert f"cudaforge vendor {tmp_path} on a machine of that platform" in str(problem.remedy)
    assert len(find_debs(tmp_path, BOTH_IMAGE, AMD)) == 2
    assert fill(BOTH_IMAGE, platforms=frozenset({"linux/arm64"})) == [
        "both: collecting OS packages for linux/arm64"
    ]


def test_what_apt_does_not_install_is_refused_by_name():
    rocky = replace(GPU_IMAGE, os="rockylinux9", os_family="rockylinux")
    with pytest.raises(
        InputError, match=r"train installs OS packages on rockylinux9.*libgomp1, git"
    ) as caught:
        refuse_others([rocky, CPU_IMAGE])
    assert "Debian or Ubuntu base" in str(caught.value.problems[0].remedy)
    refuse_others([GPU_IMAGE, replace(rocky, os_packages=())])


BUILT = replace(CPU_IMAGE, closure=replace(CPU_IMAGE.closure, wheels=SOURCES))


def test_wheels_that_are_built_are_collected_as_they_come_out(fill: Fill, tmp_path: Path):
    wheels = {"docopt-0.6.2-py3-none-any.whl": b"1", "my_ops-1.0-cp311-cp311-linux_x86_64.whl": b"2"}
    assert fill(BUILT, built=wheels) == ["quick: building docopt, my-ops for linux/amd64"]
    found = find_built(tmp_path, BUILT, AMD)
    assert {name: path.read_bytes() for name, path in found.items()} == wheels
    assert all(path.parent.parent == tmp_path / "wheels" for path in found.values())
    assert fill(BUILT, built=wheels) == []
    assert find_debs(tmp_path, BUILT, AMD) == {}
    other = replace(SOURCES[1], git=None, sha256="7" * 64)
    moved = replace(BUILT, closure=replace(BUILT.closure, wheels=(SOURCES[0], other)))
    assert find_uncollected([BUILT, moved], tmp_path) == ((moved, AMD),)
    next(iter(found.values())).write_bytes(b"3")
    with pytest.raises(SurroundingsError, match=r"is damaged.*the wheel docopt-0\.6\.2"):
        find_built(tmp_path, BUILT, AMD)


@pytest.mark.parametrize("name", ["evil.sh", "..%2fa-1-py3-none-any.whl", ".a-1-py3-none-any.whl"])
def test_what_is_built_and_no_wheel_is_refused(name: str, fill: Fill, tmp_path: Path):
    with pytest.raises(SurroundingsError, match="which is no wheel"):
        fill(BUILT, built={name: b"1"})
    assert list((tmp_path / "wheels").iterdir()) == []
