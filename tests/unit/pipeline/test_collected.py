"""What steps install, in a vendored directory: there, missing, damaged, out of reach."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cudaforge.builder import collect
from cudaforge.engine import DOCKER
from cudaforge.errors import InputError, Problem, SurroundingsError
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
            find_uncollected(images, tmp_path, on_note=notes.append),
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
    assert find_uncollected([GPU_IMAGE], tmp_path, on_note=print) == ((GPU_IMAGE, AMD),)
    fill(GPU_IMAGE)
    assert path.is_file()


def test_what_is_damaged_is_named_and_collected_anew(fill: Fill, tmp_path: Path):
    fill(GPU_IMAGE)
    path = next(iter(find_debs(tmp_path, GPU_IMAGE, AMD).values()))
    path.write_bytes(deb("git", "6.6.6"))
    with pytest.raises(SurroundingsError, match=f"{path.name} is damaged"):
        find_debs(tmp_path, GPU_IMAGE, AMD)
    assert fill(GPU_IMAGE)[0] == (
        f"{path} is damaged: it is not what was collected as the OS package git 1.0; collecting anew"
    )
    assert len(find_debs(tmp_path, GPU_IMAGE, AMD)) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 9}, "it has format 9"),
        ({"apt": ["git"]}, "its apt is not what its name stands for"),
        ({"base": "sha256:" + "4" * 64, "platform": "linux/arm64"}, "its base and platform are not what"),
        ({"more": 1}, "it was edited"),
        ({"packages": []}, "it was edited"),
        ({"packages": [{}]}, "it was edited"),
        ({"packages": 3, "sha256": 3}, "it was edited"),
    ],
)
def test_a_record_that_was_edited_is_refused_and_collected_anew(
    change: dict[str, object], reason: str, fill: Fill, tmp_path: Path
):
    fill(GPU_IMAGE)
    (record,) = (tmp_path / "collected").iterdir()
    before = record.read_text()
    record.write_text(json.dumps({**json.loads(before), **change}))
    refusal = refused_record(tmp_path)
    assert f"{record} is not as cudaforge vendor wrote it: {reason}" in refusal.what
    assert f"cudaforge vendor {tmp_path}" in str(refusal.remedy)
    assert reason in (notes := fill(GPU_IMAGE))[0]
    assert notes[0].endswith("; collecting anew")
    assert record.read_text() == before


def refused_record(directory: Path) -> Problem:
    with pytest.raises(SurroundingsError) as caught:
        find_debs(directory, GPU_IMAGE, AMD)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize("text", ["[" * 100_000, "", "[]", "3", "\x00", '{"schema": 1' + "0" * 5000 + "}"])
def test_a_record_that_is_no_json_object_is_refused(text: str, fill: Fill, tmp_path: Path):
    fill(GPU_IMAGE)
    (record,) = (tmp_path / "collected").iterdir()
    record.write_text(text)
    assert f"{record} is not as cudaforge vendor wrote it" in refused_record(tmp_path).what
    assert len(fill(GPU_IMAGE)) == 2


def forged(record: Path, **values: object) -> None:
    """The record with other values of its first package, and the checksum that goes with them."""
    document = json.loads(record.read_text())
    document["packages"][0] |= values
    document.pop("sha256")
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    record.write_text(json.dumps({**document, "sha256": hashlib.sha256(text.encode()).hexdigest()}))


@pytest.mark.parametrize(
    "values", [{"sha256": "../../etc/passwd"}, {"name": "a b"}, {"size": -1}, {"size": "x"}]
)
def test_a_record_of_what_no_package_can_be_is_refused(values: dict[str, object], fill: Fill, tmp_path: Path):
    fill(GPU_IMAGE)
    (record,) = (tmp_path / "collected").iterdir()
    forged(record, **values)
    assert "it names a file that none can be" in refused_record(tmp_path).what
    assert len(fill(GPU_IMAGE)) == 2


@pytest.mark.parametrize("values", [{"name": "openssl"}, {"version": "9.9"}, {"size": 12}])
def test_a_package_is_held_against_what_the_record_calls_it(
    values: dict[str, object], fill: Fill, tmp_path: Path
):
    fill(GPU_IMAGE)
    (record,) = (tmp_path / "collected").iterdir()
    forged(record, **values)
    problem = refused_record(tmp_path)
    assert problem.what.endswith(".deb is another package than the record of it says")
    assert any("git 1.0 (amd64" in line for line in problem.because)
    assert any("collecting anew" in note for note in fill(GPU_IMAGE))
    assert [one.name for one in find_debs(tmp_path, GPU_IMAGE, AMD)] == ["git", "libgomp1"]


def test_a_record_of_another_image_under_this_name_is_refused(fill: Fill, tmp_path: Path):
    dated = replace(GPU_IMAGE, name="dated", snapshot=SNAPSHOT)
    fill(GPU_IMAGE)
    (record,) = (tmp_path / "collected").iterdir()
    fill(dated)
    (other,) = (path for path in (tmp_path / "collected").iterdir() if path != record)
    other.replace(record)
    assert "its snapshot is not what its name stands for" in refused_record(tmp_path).what


@pytest.mark.parametrize("place", ["debs", "collected"])
def test_a_directory_in_the_place_of_a_file_is_told_with_what_to_do(place: str, fill: Fill, tmp_path: Path):
    fill(GPU_IMAGE)
    path = next((tmp_path / place).iterdir())
    path.unlink()
    path.mkdir()
    problem = refused_record(tmp_path)
    assert problem.what == f"{path} is a directory, where a file has to be"
    assert problem.remedy == (
        f"remove it, and collect again where there is a network: cudaforge vendor {tmp_path}"
    )
    with pytest.raises(SurroundingsError) as caught:
        fill(GPU_IMAGE)
    assert caught.value.problems == (problem,)


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
    assert find_uncollected([BUILT, moved], tmp_path, on_note=print) == ((moved, AMD),)
    next(iter(found.values())).write_bytes(b"3")
    with pytest.raises(SurroundingsError, match=r"is damaged.*the wheel docopt-0\.6\.2"):
        find_built(tmp_path, BUILT, AMD)


@pytest.mark.parametrize("name", ["evil.sh", "..%2fa-1-py3-none-any.whl", ".a-1-py3-none-any.whl"])
def test_what_is_built_and_no_wheel_is_refused(name: str, fill: Fill, tmp_path: Path):
    with pytest.raises(SurroundingsError, match="which is no wheel"):
        fill(BUILT, built={name: b"1"})
    assert list((tmp_path / "wheels").iterdir()) == []
