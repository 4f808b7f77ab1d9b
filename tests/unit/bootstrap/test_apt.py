from pathlib import Path

import pytest

from cudaforge.bootstrap import SnapshotSite, apt
from cudaforge.bootstrap.sources import Source
from cudaforge.errors import InputError, SurroundingsError
from cudaforge.process import Completed

SHOWN = """\
Package: bash
Architecture: amd64
Version: 5.2-1
Filename: pool/updates/main/b/bash/bash_5.2-1_amd64.deb
Size: 7
SHA256: {0}
Description: shell
 of GNU

Package: bash
Architecture: amd64
Version: 5.2-1
Filename: pool/main/b/bash/bash_5.2-1_amd64.deb
Size: 7
SHA256: {0}

Package: adduser
Architecture: all
Version: 3.134
Filename: pool/main/a/adduser/adduser_3.134_all.deb
Size: 5
SHA256: {1}
""".format("a" * 64, "b" * 64)


def failed(stderr: str) -> Completed:
    return Completed(argv=("apt-get", "update"), returncode=100, stdout="", stderr=stderr)


def test_packages_are_sorted_and_taken_from_one_archive():
    packages = apt.parse_packages(SHOWN)
    assert [(package.name, package.filename, package.size) for package in packages] == [
        ("adduser", "pool/main/a/adduser/adduser_3.134_all.deb", 5),
        ("bash", "pool/main/b/bash/bash_5.2-1_amd64.deb", 7),
    ]


def test_the_plan_of_an_installation_is_read():
    line = "Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable, Debian-Security:12/oldstable [amd64]) []"
    match = apt._INSTALLED.match(line)
    assert match
    assert match.groupdict() == {"name": "libc6", "version": "2.36-9+deb12u14", "architecture": "amd64"}


def translated(done, sources=()):
    return apt._translate(done, sources, place=Path("/cache/apt"))


def test_a_bad_signature_is_said_to_be_one():
    error = translated(
        failed("W: GPG error: http://x InRelease: NO_PUBKEY 0E98\nE: The repository is not signed.")
    )
    assert isinstance(error, SurroundingsError)
    assert "not signed by a key that is trusted" in error.problems[0].what
    assert error.problems[0].because == (
        "GPG error: http://x InRelease: NO_PUBKEY 0E98",
        "The repository is not signed.",
    )


def test_an_unknown_package_is_the_users_mistake():
    error = translated(failed("E: Unable to locate package nosuch\n"))
    assert isinstance(error, InputError)
    assert error.problems[0].what == "the OS archive has no package nosuch"


def test_packages_that_exclude_each_other_are_the_users_mistake():
    output = "The following packages have unmet dependencies:\nE: Unable to correct problems"
    assert isinstance(translated(failed(output)), InputError)


def test_a_full_disk_and_an_unreachable_archive_are_told_apart():
    full = translated(failed("E: Write error - write (28: No space left on device)"))
    away = translated(failed("E: Failed to fetch http://x  Could not resolve 'x'"))
    other = translated(failed("E: Something else"))
    assert full.problems[0].what == "the disk of /cache/apt is full"
    assert "XDG_CACHE_HOME" in (full.problems[0].remedy or "")
    assert away.problems[0].what == "the OS archive cannot be reached"
    assert other.problems[0].what == "the OS archive cannot be used: `apt-get update` failed"
    assert away.problems[0].because == ("Failed to fetch http://x  Could not resolve 'x'",)


def test_the_private_state_takes_over_only_how_archives_are_reached(tmp_path):
    state = apt.prepare_state(
        tmp_path, sources=(), architecture="arm64", reaching='Acquire::http::Proxy "http://proxy.example";\n'
    )
    text = state.config.read_text()
    assert 'APT::Architecture "arm64";' in text
    assert 'Dir::Etc::parts "/dev/null";' in text
    assert text.endswith('Acquire::http::Proxy "http://proxy.example";\n')
    assert "AllowInsecure" not in text


def test_a_release_that_the_archive_lacks_is_said():
    error = translated(failed("E: The repository 'http://x nosuch Release' does not have a Release file."))
    assert error.problems[0].what == "the host's OS archive does not have that release"


def test_complaints_that_say_nothing_are_left_out():
    output = "Err:1 http://x\nE: one\nW: two\nE: one\nE: Some index files failed to download. They ...\n"
    assert apt.find_complaints(output) == ("one", "two")


DATED = Source(
    address="http://snapshot.example/archive/debian/20260601T000000Z",
    suite="bookworm",
    components=("main",),
    keyring="/k.gpg",
    is_dated=True,
    service=SnapshotSite(name="debian", address="http://snapshot.example/archive"),
)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Could not connect to snapshot.example:80", "cannot be reached"),
        ("Failed to fetch http://snapshot.example  500  Internal Server Error", "does not serve what it was"),
        ("The repository 'http://snapshot.example x' does not have a Release file.", "does not serve what"),
        ("The repository 'http://snapshot.example x' is not signed.", "not signed by a key that is trusted"),
    ],
)
def test_a_snapshot_service_is_named_with_its_setting(said: str, words: str):
    (problem,) = translated(failed(f"E: {said}"), (DATED,)).problems
    assert problem.what.startswith("the snapshot service debian at http://snapshot.example/archive")
    assert words in problem.what
    assert "[network.os_snapshots] debian" in (problem.remedy or "")
    assert "apt-get" not in f"{problem.what} {problem.remedy}"
