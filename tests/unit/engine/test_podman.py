"""Which Podman of this machine works on a service's images, and why one cannot."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cudaforge import process
from cudaforge.engine import PodmanUnusable
from cudaforge.engine.locate import EngineAddress
from cudaforge.engine.podman import find_local, find_platforms, parse_info
from cudaforge.errors import Problem

LOCAL = EngineAddress(host="unix:///run/podman/podman.sock", said_by="DOCKER_HOST")
IS_ROOTLESS = os.geteuid() != 0


def info(root: str, *, is_rootless: bool = IS_ROOTLESS) -> str:
    """As much of `podman info` as is read."""
    store = {"graphRoot": root, "runRoot": "/run/x", "graphDriverName": "overlay", "graphStatus": {}}
    store["imageCopyTmpDir"] = "/big"
    return json.dumps({"host": {"security": {"rootless": is_rootless}}, "store": store})


def answer(monkeypatch: pytest.MonkeyPatch, *, service: str, own: str) -> None:
    def run(words: tuple[str, ...], *, timeout: float) -> process.Completed:
        assert timeout > 0
        assert words[0] == "podman"
        text = service if "--url" in words else own
        return process.Completed(argv=words, returncode=0 if text else 125, stdout=text, stderr="")

    monkeypatch.setattr(process, "run", run)


def test_the_program_as_it_is_where_the_store_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, service=info("/var/lib/x"), own=info("/var/lib/x"))
    found = find_local(LOCAL, "4.3.1")
    assert found.words == ("podman", "--remote=false")
    assert found.containers == Path("/var/lib/x/overlay-containers")
    assert found.temporary == Path("/big")


@pytest.mark.parametrize("own", [info("/var/lib/y"), "", "no JSON", "[]"])
def test_the_service_s_store_is_named_where_it_is_another(monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    answer(monkeypatch, service=info("/var/lib/x"), own=own)
    options = ("--root", "/var/lib/x", "--runroot", "/run/x", "--storage-driver", "overlay")
    found = find_local(LOCAL, "5.4.0")
    assert found.words == ("podman", "--remote=false", *options)
    assert found.temporary == Path("/big" if "/var/lib/y" in own else "/var/tmp")


@pytest.mark.parametrize(
    ("address", "version", "service", "said"),
    [
        (EngineAddress(host="tcp://far:1", said_by="DOCKER_HOST"), "4.3.1", info("/x"), "may be another"),
        (LOCAL, "3.4.4", info("/x"), "4.3 or newer"),
        (LOCAL, "4.3.1", "", "does not say where"),
        (LOCAL, "4.3.1", info("/x", is_rootless=not IS_ROOTLESS), "'s, and so are its images"),
    ],
)
def test_what_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, address: EngineAddress, version: str, service: str, said: str
) -> None:
    answer(monkeypatch, service=service, own=info("/x"))
    with pytest.raises(PodmanUnusable, match=said) as caught:
        find_local(address, version)
    assert caught.value.problems[0].remedy


@pytest.mark.parametrize(
    ("user", "own"),
    [(0, "sudo systemctl start podman.socket"), (1000, "systemctl --user start podman.socket")],
)
def test_the_service_of_another_is_told_with_how_the_own_is_started(
    monkeypatch: pytest.MonkeyPatch, user: int, own: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    answer(monkeypatch, service=info("/x", is_rootless=user == 0), own=info("/x"))
    with pytest.raises(PodmanUnusable) as caught:
        find_local(LOCAL, "4.3.1")
    assert f"use your own: start Podman's service and name it: {own};" in (
        caught.value.problems[0].remedy or ""
    )


def test_a_program_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(words: tuple[str, ...], *, timeout: float) -> process.Completed:
        raise process.ProgramNotFound(Problem(what=f"cannot start {words[0]} for {timeout} s"))

    monkeypatch.setattr(process, "run", run)
    with pytest.raises(PodmanUnusable, match="not installed"):
        find_local(LOCAL, "4.3.1")


@pytest.mark.parametrize("text", ["", "null", "{}", '{"store": 1}', '{"store": {}, "host": []}'])
def test_nonsense_is_no_store(text: str) -> None:
    assert parse_info(text) is None


def test_platforms_are_this_machine_s_and_the_emulated(tmp_path: Path) -> None:
    assert find_platforms("amd64", emulators=tmp_path / "none") == {"linux/amd64"}
    (tmp_path / "qemu-aarch64").write_text("enabled\n")
    assert find_platforms("amd64", emulators=tmp_path) == {"linux/amd64", "linux/arm64"}
