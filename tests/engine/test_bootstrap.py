"""Bases made from the host's package archive, on a real engine."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cudaforge.bootstrap import (
    BootstrapImage,
    assemble_bootstrap,
    find_archive_access,
    find_host_codename,
    loaded_reference,
    plan_bootstrap,
    write_archive,
)
from cudaforge.bootstrap.download import refuse_missing
from cudaforge.errors import InputError
from tests.support.bases import PACKAGES, cache_for_tests, make_base, plan_base
from tests.support.engine import Engine

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]

CHECKS = """\
import ctypes, ctypes.util, pwd, sqlite3, ssl
assert ctypes.util.find_library("stdc++") == "libstdc++.so.6"
ctypes.CDLL("libgomp.so.1")
assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 50
assert pwd.getpwnam("nobody").pw_shell == "/usr/sbin/nologin"
"""
INSTALL = """\
FROM base
RUN --mount=type=secret,id=sources,target=/etc/apt/sources.list.d/site.list \\
    --mount=type=secret,id=config,target=/etc/apt/apt.conf.d/99site \\
    apt-get update && apt-get check && apt-get install --yes --no-install-recommends git less \\
    && rm -rf /var/lib/apt/lists/*
RUN git --version && test -z "$(dpkg --audit)" && [ "$(readlink -f /usr/bin/pager)" = /usr/bin/less ] \\
    && ldconfig -p | grep -q libcurl
RUN ! grep -rE '^[^#]*(http|ftp)s?://' /etc/apt/sources.list* /etc/apt/apt.conf*
"""


@pytest.fixture(scope="module", params=sorted(PACKAGES))
def codename(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def base(codename: str, engine: Engine) -> BootstrapImage:
    return make_base(codename)


def docker(*words: str | Path) -> str:
    done = subprocess.run(
        ["docker", *map(str, words)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def has_oci_layouts() -> bool:
    return "io.containerd.snapshotter" in docker("info", "--format", "{{json .DriverStatus}}")


@pytest.fixture
def context(base: BootstrapImage, tmp_path: Path):
    """The base as buildx's named context, in the way that this engine's image store takes."""
    if has_oci_layouts():
        yield f"base={base.build_context}"
        return
    write_archive(base, tmp_path / "base.tar")
    docker("load", "--quiet", "--input", tmp_path / "base.tar")
    yield f"base=docker-image://{loaded_reference(base)}"
    docker("rmi", loaded_reference(base))


@pytest.fixture
def tag(codename: str):
    name = f"cudaforge.invalid/test-bootstrap:{codename}"
    yield name
    subprocess.run(["docker", "rmi", "--force", name], capture_output=True, timeout=60, check=False)


def build(dockerfile: str, directory: Path, *words: str) -> None:
    (directory / "context").mkdir()
    (directory / "Dockerfile").write_text(dockerfile)
    docker("buildx", "build", *words, "--file", directory / "Dockerfile", directory / "context")


def test_python_runs_in_a_container(context: str, tag: str, tmp_path: Path):
    dockerfile = "FROM base\nRUN useradd --create-home app\nUSER app\n"
    build(dockerfile, tmp_path, "--build-context", context, "--tag", tag)
    docker("run", "--rm", tag, "python3", "-c", CHECKS)
    assert docker("run", "--rm", tag, "sh", "-c", "id -un; which awk").split() == ["app", "/usr/bin/awk"]
    as_nobody = ("su", "nobody", "-s", "/bin/sh", "-c", "id -un")
    assert docker("run", "--rm", "--user", "root", tag, *as_nobody) == "nobody\n"


def test_dpkg_finds_nothing_wrong(context: str, tag: str, tmp_path: Path):
    build("FROM base\n", tmp_path, "--build-context", context, "--tag", tag)
    assert docker("run", "--rm", tag, "dpkg", "--audit") == ""
    changed = docker("run", "--rm", tag, "sh", "-c", "dpkg --verify || true").splitlines()
    assert [line for line in changed if not line.startswith("missing") or " /usr/share/" not in line] == []


def test_the_loaders_cache_is_what_ldconfig_makes(context: str, tag: str, tmp_path: Path):
    build("FROM base\n", tmp_path, "--build-context", context, "--tag", tag)
    compare = "ldconfig -p >/tmp/ours; ldconfig; ldconfig -p | grep -v ^Cache | diff /tmp/ours -"
    assert docker("run", "--rm", tag, "sh", "-c", compare) == ""


def test_apt_installs_on_top_and_leaves_no_address(context: str, codename: str, tmp_path: Path):
    access = find_archive_access(codename)
    (tmp_path / "sources").write_text(access.sources)
    (tmp_path / "config").write_text(access.config)
    build(
        INSTALL,
        tmp_path,
        "--no-cache",
        "--output",
        "type=cacheonly",
        "--build-context",
        context,
        "--secret",
        f"id=sources,src={tmp_path / 'sources'}",
        "--secret",
        f"id=config,src={tmp_path / 'config'}",
    )


def test_the_bytes_depend_on_the_packages_alone(
    base: BootstrapImage, codename: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "debs").symlink_to(cache_for_tests() / "debs")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    again = assemble_bootstrap(plan_base(codename), cache=tmp_path, fetch=refuse_missing)
    assert again.digest == base.digest


def test_the_image_has_one_layer_and_no_site_settings(base: BootstrapImage):
    manifest = json.loads((base.layout / "blobs" / base.digest.replace(":", "/")).read_bytes())
    config = json.loads((base.layout / "blobs" / manifest["config"]["digest"].replace(":", "/")).read_bytes())
    assert len(manifest["layers"]) == 1
    assert [entry.split("=")[0] for entry in config["config"]["Env"]] == ["PATH"]


def test_an_unknown_package_is_named(engine: Engine):
    with pytest.raises(InputError, match="no package nosuchpackage"):
        plan_bootstrap(
            codename=find_host_codename(),
            architecture="amd64",
            packages=["nosuchpackage"],
            cache=cache_for_tests(),
        )
