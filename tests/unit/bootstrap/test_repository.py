import hashlib
from pathlib import Path

import pytest

from cudaforge.bootstrap import CollectedDeb, describe_deb, is_sound, write_repository
from cudaforge.bootstrap.deb import read_control
from cudaforge.bootstrap.sources import parse_stanzas
from cudaforge.errors import SurroundingsError
from cudaforge.records import replace
from tests.unit.bootstrap.debs import make_deb

CONTROL = "Package: {0}\nVersion: 1:2.0~rc1-1\nArchitecture: {1}\nDepends: b\nDescription: a\n b\n .\n c\n"


def place(directory: Path, name: str, architecture: str = "amd64", control: str = CONTROL) -> Path:
    path = directory / f"{name}-{architecture}"
    path.write_bytes(make_deb(control={"control": control.format(name, architecture).encode()}, data=[]))
    return path


def index_of(line: str, directory: Path) -> list[dict[str, str]]:
    """What apt is told, found by the line as apt finds it."""
    start, suite = line.split("file:/seen ")
    assert start == "deb [trusted=yes] "
    content = (directory / suite.strip() / "Packages").read_bytes()
    release = (directory / suite.strip() / "Release").read_text()
    assert f" {hashlib.sha256(content).hexdigest()} {len(content)} Packages\n" in release
    return list(parse_stanzas(content.decode()))


def test_an_archive_has_what_its_packages_say_and_their_hashes(tmp_path: Path):
    paths = [place(tmp_path, "zlib"), place(tmp_path, "zlib", "arm64"), place(tmp_path, "adduser", "all")]
    debs = {describe_deb(path): path for path in paths}
    line = write_repository(debs, tmp_path / "made", seen_as="/seen")
    stanzas = index_of(line, tmp_path / "made")
    assert [(one["package"], one["architecture"]) for one in stanzas] == [
        ("adduser", "all"),
        ("zlib", "amd64"),
        ("zlib", "arm64"),
    ]
    for stanza in stanzas:
        file = tmp_path / "made" / stanza["filename"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == stanza["sha256"]
        assert file.stat().st_size == int(stanza["size"])
        assert file.stat().st_mode & 0o777 == 0o644
        assert (stanza["depends"], stanza["description"]) == ("b", "a\nb\n.\nc")
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o755


def test_the_same_packages_make_the_same_archive_and_others_another_path(tmp_path: Path):
    debs = {describe_deb(path): path for path in (place(tmp_path, "bb"), place(tmp_path, "aa"))}
    turned = dict(reversed(debs.items()))
    first = write_repository(debs, tmp_path / "first", seen_as="/seen")
    assert write_repository(turned, tmp_path / "second", seen_as="/seen") == first
    fewer = dict([next(iter(debs.items()))])
    assert write_repository(fewer, tmp_path / "third", seen_as="/seen") != first
    assert index_of(write_repository({}, tmp_path / "none", seen_as="/seen"), tmp_path / "none") == []


def test_files_that_apt_could_not_read_are_copied(tmp_path: Path):
    path = place(tmp_path, "aa")
    path.chmod(0o600)
    deb = describe_deb(path)
    write_repository({deb: path}, tmp_path / "made", seen_as="/seen")
    assert (tmp_path / "made/pool" / f"{deb.sha256}.deb").stat().st_mode & 0o777 == 0o644
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    write_repository({deb: path}, tmp_path / "linked", seen_as="/seen")
    assert path.samefile(tmp_path / "linked/pool" / f"{deb.sha256}.deb")


def test_a_file_that_changed_is_refused(tmp_path: Path):
    path = place(tmp_path, "aa")
    deb = describe_deb(path)
    place(tmp_path, "aa", control=CONTROL + "Evil: yes\n")
    with pytest.raises(SurroundingsError, match="changed while it was used"):
        write_repository({deb: path}, tmp_path / "made", seen_as="/seen")


def test_what_a_package_says_of_its_file_does_not_count(tmp_path: Path):
    control = CONTROL + "Filename: ../../etc/passwd\nSHA256: 00\n 11\nSize: 1\n"
    path = place(tmp_path, "aa", control=control)
    (stanza,) = index_of(
        write_repository({describe_deb(path): path}, tmp_path / "made", seen_as="/seen"), tmp_path / "made"
    )
    assert stanza["filename"] == f"pool/{describe_deb(path).sha256}.deb"
    assert stanza["sha256"] == describe_deb(path).sha256


@pytest.mark.parametrize(
    "control",
    [
        CONTROL.replace("{0}", "../x"),
        CONTROL.replace("1:2.0~rc1-1", "1 2"),
        CONTROL.replace("{1}", "a/b"),
        CONTROL + "\nPackage: other\nVersion: 1\nArchitecture: all\n",
        "Description: nothing else\n",
    ],
)
def test_names_that_no_package_has_are_refused(control: str, tmp_path: Path):
    with pytest.raises(SurroundingsError, match="the package aa-amd64 cannot be"):
        describe_deb(place(tmp_path, "aa", control=control))


@pytest.mark.parametrize("content", [b"", b"<html>", b"!<arch>\n", b"!<arch>\n" + b"x" * 60])
def test_what_is_no_package_is_said(content: bytes, tmp_path: Path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(SurroundingsError, match="the package x cannot be read"):
        describe_deb(tmp_path / "x")


def test_control_data_is_found_whatever_stands_before_it(tmp_path: Path):
    content = place(tmp_path, "aa").read_bytes()
    odd = f"{'_odd':<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{3:<10}`\nxyz\n".encode()
    (tmp_path / "x").write_bytes(content[:8] + odd + content[8:])
    assert read_control(tmp_path / "x").startswith("Package: aa\n")
    (tmp_path / "cut").write_bytes(content[:150])
    with pytest.raises(SurroundingsError, match="cannot be read"):
        read_control(tmp_path / "cut")


def test_values_that_were_written_down_are_checked():
    good = CollectedDeb(name="aa", version="1.0", architecture="all", sha256="a" * 64, size=1)
    assert is_sound(good)
    for change in (
        {"name": "a/b"},
        {"sha256": "../a"},
        {"size": 0},
        {"version": "1\n"},
        {"architecture": ""},
    ):
        assert not is_sound(replace(good, **change))
