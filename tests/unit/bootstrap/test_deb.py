import tarfile
from pathlib import Path

import pytest

from cudaforge.bootstrap.deb import Deb, parse_ar, read_deb
from cudaforge.bootstrap.tree import Kind
from cudaforge.errors import SurroundingsError
from tests.unit.bootstrap.debs import make_deb


def info(name: str, kind: bytes = tarfile.REGTYPE, **more: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    for key, value in more.items():
        setattr(member, key, value)
    return member


def read(content: bytes, scratch: Path) -> Deb:
    return read_deb(content, name="x", scratch=scratch)


def test_a_package_gives_its_control_files_and_entries(tmp_path):
    deb = make_deb(
        control={"control": b"Package: x\n", "postinst": b"#!/bin/sh\n"},
        data=[
            (info("./", tarfile.DIRTYPE), b""),
            (info("./usr/bin/", tarfile.DIRTYPE, mode=0o755), b""),
            (info("./usr/bin/su", mode=0o4755, gid=42, mtime=3), b"program"),
            (info("./usr/bin/link", tarfile.SYMTYPE, linkname="su"), b""),
            (info("./usr/bin/hard", tarfile.LNKTYPE, linkname="./usr/bin/su"), b""),
        ],
    )
    result = read(deb, tmp_path)
    assert result.control == {"control": b"Package: x\n", "postinst": b"#!/bin/sh\n"}
    assert [(entry.path, entry.kind, entry.target) for entry in result.entries] == [
        ("usr/bin", Kind.DIRECTORY, ""),
        ("usr/bin/su", Kind.FILE, ""),
        ("usr/bin/link", Kind.SYMLINK, "su"),
        ("usr/bin/hard", Kind.HARDLINK, "usr/bin/su"),
    ]
    program = result.entries[1]
    assert (program.mode, program.gid, program.mtime, program.read()) == (0o4755, 42, 3, b"program")


@pytest.mark.parametrize("content", [b"", b"<html>", b"!<arch>\n", b"!<arch>\n" + b"x" * 60])
def test_what_is_no_package_is_said(content: bytes, tmp_path):
    with pytest.raises(SurroundingsError, match="the package x cannot be read"):
        read(content, tmp_path)


def test_a_package_that_was_cut_off_is_said(tmp_path):
    deb = make_deb(control={"control": b"Package: x\n"}, data=[(info("a"), b"1" * 500)])
    with pytest.raises(SurroundingsError):
        read(deb[:-40], tmp_path)


@pytest.mark.parametrize(
    "member", [info("./../etc/passwd"), info("./dev/null", tarfile.CHRTYPE), info("a/../../b")]
)
def test_a_package_cannot_reach_outside_or_bring_devices(member: tarfile.TarInfo, tmp_path):
    with pytest.raises(SurroundingsError):
        read(make_deb(control={"control": b""}, data=[(member, b"")]), tmp_path)


def test_ar_members_have_names_and_contents():
    deb = make_deb(control={}, data=[])
    assert dict(parse_ar(deb))["debian-binary"] == b"2.0\n"
