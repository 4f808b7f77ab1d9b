"""OS packages as they were on a day: from a recorded snapshot service, on a base with sources of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cudaforge.bootstrap import loaded_reference, write_archive
from tests.engine.test_surroundings import (  # noqa: F401 -- fixtures
    check_message,
    docker,
    index,
    project,
    search_image,
    unique_step,
)
from tests.support.bases import cache_for_tests, make_base, plan_base
from tests.support.snapshots import Snapshots, recorded
from tests.support.tiny import TinyProject

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
    pytest.mark.skipif(shutil.which("gpg") is None, reason="there is no gpg to sign an archive with"),
]

PUBLIC = "python:3.11-slim-bookworm"
PACKAGE = "cudaforge-snapshot-test"
OWN = "base-own.invalid"
BASE = f"""\
RUN for name in python3 python3.11; do ln -s /usr/bin/python3.11 /usr/local/bin/$name; done
COPY keyring.gpg /usr/share/keyrings/debian-archive-keyring.gpg
RUN echo 'deb http://{OWN}/debian bookworm main' > /etc/apt/sources.list && \\
    printf 'Types: deb\\nURIs: http://{OWN}/debian\\nSuites: bookworm-updates\\nComponents: main\\n' \\
        > /etc/apt/sources.list.d/debian.sources
"""
"""Both of apt's formats, and an archive that nobody can reach: it must not be asked."""


@pytest.fixture
def snapshots(tmp_path: Path) -> Iterator[Snapshots]:
    with recorded(tmp_path / "snapshots") as snapshots:
        snapshots.record("20260601T000000Z", "bookworm", {PACKAGE: "1.0"})
        snapshots.record("20260701T000000Z", "bookworm", {PACKAGE: "2.0"})
        yield snapshots


@pytest.fixture
def hub(registry: str, snapshots: Snapshots, tmp_path: Path) -> Iterator[str]:
    """A mirror of Docker Hub whose Python image has the key of the recorded archive."""
    plain, hub = make_base("bookworm"), f"{registry}/snapshots"
    write_archive(plain, tmp_path / "base.tar")
    docker("load", "--quiet", "--input", str(tmp_path / "base.tar"))
    context = tmp_path / "base"
    context.mkdir()
    shutil.copy(snapshots.keyring, context / "keyring.gpg")
    (context / "Dockerfile").write_text(f"FROM {loaded_reference(plain)}\n{BASE}")
    reference = f"{hub}/library/{PUBLIC}"
    docker("buildx", "build", "--quiet", "--push", "--provenance=false", "--tag", reference, str(context))
    yield hub
    docker("rmi", "--force", loaded_reference(plain), reference)


def declare(project: TinyProject, hub: str, snapshots: Snapshots, lines: str) -> None:  # noqa: F811
    head = f'[registries]\n"docker.io" = "{hub}"\n[network]\nos_snapshots = {{ debian = "{snapshots.url}/" }}'
    project.declare(f'one\napt = ["{PACKAGE}"]\n{lines}', base=PUBLIC, head=head)


def inside(project: TinyProject, *words: str) -> str:  # noqa: F811
    return docker("run", "--rm", "--network=none", f"{project.name}:one", *words)


def made(project: TinyProject, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:  # noqa: F811
    done = project.run(*words, **variables)
    assert done.returncode == 0, done.stderr
    return done


def version(project: TinyProject) -> str:  # noqa: F811
    return inside(project, "cat", f"/usr/share/{PACKAGE}/version")


def test_the_day_of_the_lock_decides(
    project: TinyProject,  # noqa: F811
    hub: str,
    snapshots: Snapshots,
    tmp_path: Path,
) -> None:
    declare(project, hub, snapshots, 'os_snapshot = "2026-06-01"')
    made(project, "lock")
    assert snapshots.url not in project.lock.read_text()
    assert "20260601T000000Z bookworm-updates main" in project.lock.read_text()
    made(project, "build", "--no-cache")
    assert version(project) == "1.0"
    assert {path.split("/")[2] for path in snapshots.asked} == {"20260601T000000Z"}
    # The image keeps the sources of its base, and nothing of the site's or the snapshot's.
    assert OWN in inside(project, "cat", "/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources")
    shutil.rmtree(project.root / ".cudaforge/logs")  # in the log of this machine apt names what it asks
    search_image(project, tmp_path, [snapshots.url.removeprefix("http://")])
    assert inside(project, "find", "/run", "/var/lib/apt/lists", "-name", "*snapshot*") == ""
    declare(project, hub, snapshots, 'os_snapshot = "2026-07-01"')
    assert project.run("lock", "--check").returncode == 1
    made(project, "lock")
    made(project, "build")
    assert version(project) == "2.0"


def test_as_of_takes_the_snapshot_of_that_day(
    project: TinyProject,  # noqa: F811
    hub: str,
    snapshots: Snapshots,
) -> None:
    declare(project, hub, snapshots, "")
    made(project, "lock", "--as-of", "2026-06-01")
    assert 'timestamp = "20260601T000000Z"' in project.lock.read_text()
    made(project, "build")
    assert version(project) == "1.0"


def test_a_snapshot_that_is_changed_is_refused(
    project: TinyProject,  # noqa: F811
    hub: str,
    snapshots: Snapshots,
) -> None:
    declare(project, hub, snapshots, f'os_snapshot = "2026-06-01"\nrun = ["{unique_step()}"]')
    made(project, "lock")
    release = snapshots.files / "debian/20260601T000000Z/dists/bookworm/InRelease"
    release.write_bytes(release.read_bytes().replace(b"Origin: Test", b"Origin: Evil"))
    done = project.run("build", "--no-cache")
    assert done.returncode == 3, done.stderr
    assert "BADSIG" in done.stderr


@pytest.mark.parametrize("path", ["", "nowhere/"], ids=["no-answer", "not-found"])
def test_a_service_that_gives_nothing_is_named(
    project: TinyProject,  # noqa: F811
    hub: str,
    snapshots: Snapshots,
    tmp_path: Path,
    path: str,
) -> None:
    declare(project, hub, snapshots, 'os_snapshot = "2026-06-01"')
    made(project, "lock")
    place = f"{snapshots.url}/{path}" if path else "http://127.0.0.1:9/"
    file = project.root / "cudaforge.toml"
    file.write_text(file.read_text().replace(f"{snapshots.url}/", place))
    for command in (("build", "--no-cache"), ("vendor", str(tmp_path / "store"))):
        done = project.run(*command)
        assert done.returncode == 3, done.stderr
        check_message(
            done.stderr,
            f"the snapshot service debian at {place.rstrip('/')}",
            "[network.os_snapshots] debian",
        )
        assert "apt-get update" not in done.stderr


def test_a_base_out_of_the_archive_of_a_day(
    project: TinyProject,  # noqa: F811
    snapshots: Snapshots,
    tmp_path: Path,
) -> None:
    """Made from the snapshot when it is locked, and again, byte for byte, when it is built elsewhere."""
    make_base("bookworm")
    debs = [cache_for_tests() / "debs" / f"{one.sha256}.deb" for one in plan_base("bookworm").packages]
    for day in ("20260801T000000Z", "20260802T000000Z"):
        snapshots.record(day, "bookworm", {}, files=debs)
    head = f'[network]\nos_snapshots = {{ debian = "{snapshots.url}/" }}'
    project.declare('one\nos_snapshot = "2026-08-01"', 'two\nos_snapshot = "2026-08-02"', head=head)
    (project.root / "keyring.toml").write_text(
        'schema = 1\n[sources]\nhere = { strength = "measured", checked = "2026-11-22", text = "a test" }\n'
        f'[[snapshots]]\nname = "debian"\nkeyring = "{snapshots.keyring}"\nsource = "here"\n'
    )
    file = project.root / "cudaforge.toml"
    file.write_text(file.read_text().replace('["facts.toml"]', '["facts.toml", "keyring.toml"]'))
    made(project, "lock", XDG_CACHE_HOME=str(tmp_path / "first"))
    lock = project.lock.read_text()
    assert snapshots.url not in lock
    assert 'snapshot = "20260801T000000Z"' in lock
    assert 'snapshot = "20260802T000000Z"' in lock
    made(project, "lock", "--check")
    before = len(snapshots.asked)
    made(project, "build", "one", XDG_CACHE_HOME=str(tmp_path / "second"))
    fetched = [path for path in snapshots.asked[before:] if path.endswith(".deb")]
    assert len(fetched) == len(debs)
    assert {path.split("/")[2] for path in fetched} == {"20260801T000000Z"}
    assert inside(project, "cat", "/etc/os-release").count("bookworm")
    made(project, "lock", XDG_CACHE_HOME=str(tmp_path / "third"))
    assert project.lock.read_text() == lock
