"""Which OS archive steps read, as the secrets and contexts that say so."""

from pathlib import Path

import pytest

from cudaforge.bootstrap import ArchiveAccess, describe_deb
from cudaforge.builder import archives
from cudaforge.builder.archives import (
    blame_snapshot,
    site_archive,
    vendored_archive,
    write_archive_secrets,
)
from cudaforge.builder.failures import classify_failure
from cudaforge.builder.protocol import BuildEnd
from cudaforge.lockfile.model import LockedImage
from cudaforge.packages.site import Site
from cudaforge.records import replace
from cudaforge.renderer import render_image
from tests.support.locks import CPU_IMAGE, GPU_IMAGE, SNAPSHOT
from tests.unit.bootstrap.debs import make_deb

DATED = replace(GPU_IMAGE, snapshot=SNAPSHOT)
MADE = replace(CPU_IMAGE, os_packages=("python3.11", "hello"))


def of_site(image: LockedImage, **site: object) -> archives.OsArchive:
    return site_archive(
        image,
        Site(named_indexes={}, proxies={}, registries={}, origins={}, **site),
        render_image(image).dockerfile,
    )


def test_a_base_of_a_registry_has_its_own():
    assert of_site(GPU_IMAGE).secrets == {}
    assert of_site(DATED).secrets == {}


def test_a_mirror_of_snapshots_is_handed_in():
    archive = of_site(DATED, os_snapshots={"debian": "http://127.0.0.1:8080/snapshot"})
    (lines,) = archive.secrets.values()
    assert list(archive.secrets) == ["cudaforge-apt-snapshot"]
    assert "http://127.0.0.1:8080/snapshot/debian/20260601T000000Z bookworm main\n" in lines
    assert archive.needs_host_network
    far = of_site(DATED, os_snapshots={"debian": "http://mirror.example/snapshot"})
    assert not far.needs_host_network


def test_a_bootstrapped_base_takes_this_hosts(monkeypatch: pytest.MonkeyPatch):
    access = ArchiveAccess(sources="deb http://mirror.example/debian bookworm main\n", config="Acquire::x;\n")
    monkeypatch.setattr(archives, "find_archive_access", lambda codename: access)
    archive = of_site(MADE)
    assert archive.secrets["cudaforge-apt-sources"] == access.sources
    assert access.config in archive.secrets["cudaforge-apt-config"]
    assert archive.contexts == {}


@pytest.mark.parametrize("image", [GPU_IMAGE, MADE, DATED], ids=["registry", "bootstrapped", "dated"])
def test_files_stand_in_for_every_archive(image: LockedImage, tmp_path: Path):
    path = tmp_path / "git"
    control = b"Package: git\nVersion: 1\nArchitecture: all\n"
    path.write_bytes(make_deb(control={"control": control}, data=[]))
    archive = vendored_archive(image, {describe_deb(path): path}, tmp_path / "debs")
    assert archive.contexts == {"cudaforge-debs": str(tmp_path / "debs")}
    assert not archive.needs_host_network
    name = "cudaforge-apt-snapshot" if image.snapshot else "cudaforge-apt-sources"
    assert archive.secrets[name].startswith("deb [trusted=yes] file:/run/cudaforge/debs ")
    dockerfile = render_image(image).dockerfile
    assert "--mount=type=bind,from=cudaforge-debs,target=/run/cudaforge/debs " in dockerfile
    assert all(f"id={secret}," in dockerfile for secret in archive.secrets)
    written = write_archive_secrets(archive, tmp_path)
    assert {key: file.read_text() for key, file in written.items()} == archive.secrets


def test_an_image_that_installs_nothing_gets_no_files(tmp_path: Path):
    assert vendored_archive(CPU_IMAGE, {}, tmp_path / "debs").contexts == {}
    assert not (tmp_path / "debs").exists()


PUBLIC = SNAPSHOT.url
MIRROR = "http://mirror.example/snapshot"


@pytest.mark.parametrize(
    ("addresses", "line"),
    [
        ({}, f"E: Failed to fetch {PUBLIC}/debian/20260601T000000Z/dists/x  404  Not Found"),
        ({"debian": f"{MIRROR}/"}, f"Err:1 {MIRROR}/debian/20260601T000000Z bookworm InRelease"),
    ],
)
def test_a_step_that_cannot_read_the_snapshot_names_it(addresses: dict[str, str], line: str):
    site = Site(named_indexes={}, proxies={}, registries={}, origins={}, os_snapshots=addresses)
    end = BuildEnd(failure=classify_failure(error="exit code: 100", lines=(line,)), last_lines=(line,))
    failure = blame_snapshot(end, DATED, site).failure
    assert failure is not None
    assert failure.kind.is_surroundings
    assert f"the snapshot service debian at {addresses.get('debian', PUBLIC)}" in failure.reason
    assert "[network.os_snapshots] debian" in (failure.remedy or "")
    assert blame_snapshot(end, GPU_IMAGE, site) is end
    other = replace(end, last_lines=("error: Failed to fetch: `https://index.example/x.whl`",))
    assert blame_snapshot(other, DATED, site) is other
