"""Closures filled with the addresses of a site, and installed from there by the real uv."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from cudaforge.errors import NegativeAnswer, SurroundingsError
from cudaforge.packages.closure import resolve_closure
from cudaforge.packages.fetch import fill_closure
from cudaforge.packages.uv import uv_binary
from tests.index.conftest import Serve, request, site
from tests.support.wheels import make_wheel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CPU = "pytorch-cpu"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    files = tmp_path / "files"
    make_wheel(files, "torch", "2.13.0", requires=("numpy",))
    make_wheel(files, "numpy", "2.2.0")
    return files


def fill(wheels, here, tmp_path, indexes=None):
    return fill_closure(
        wheels,
        python="3.11",
        indexes=indexes or {},
        site=here,
        staging=tmp_path / "staging",
        own=tmp_path / "own",
        find_source=no_source,
    )


def no_source(wheel, url: str) -> Path:
    raise AssertionError(f"{wheel.package} is a wheel, and nothing is built for it from {url}")


def wheels_of(text: str) -> dict[str, dict[str, str]]:
    return {package["name"]: package["wheels"][0] for package in tomllib.loads(text)["packages"]}


def test_a_lock_made_behind_one_address_builds_behind_another(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    here, there = serve_index(shelf), serve_index(shelf)
    wheels = resolve_closure(request("torch==2.13.0"), site(tmp_path, index=here.url))
    assert wheels == resolve_closure(request("torch==2.13.0"), site(tmp_path, index=there.url))
    filled = fill(wheels, site(tmp_path, index=there.url), tmp_path)
    found = wheels_of(filled.pylock_text)
    assert {found[wheel.package]["hashes"]["sha256"] for wheel in wheels} == {one.sha256 for one in wheels}
    assert all(one["url"].startswith(f"http://{there.host}/files/") for one in found.values())
    assert here.host not in filled.pylock_text
    assert filled.needs_host_network


def test_files_of_this_machine_are_staged(tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    here = site(tmp_path, find_links=("files",))
    wheels = resolve_closure(request("torch==2.13.0"), here)
    filled = fill(wheels, here, tmp_path)
    assert filled.local_files == ("numpy-2.2.0-py3-none-any.whl", "torch-2.13.0-py3-none-any.whl")
    for name in filled.local_files:
        assert (tmp_path / "staging" / name).read_bytes() == (shelf / name).read_bytes()
    assert wheels_of(filled.pylock_text)["torch"]["path"] == "wheels/torch-2.13.0-py3-none-any.whl"
    assert not filled.needs_host_network


def test_what_is_filled_in_installs_with_its_hashes(tmp_path: Path, shelf: Path, serve_index: Serve):
    """One wheel from an address, one from a file, as in a build."""
    links = tmp_path / "links"
    links.mkdir()
    (shelf / "torch-2.13.0-py3-none-any.whl").rename(links / "torch-2.13.0-py3-none-any.whl")
    here = site(tmp_path, index=serve_index(shelf).url, find_links=("links",))
    wheels = resolve_closure(request("torch==2.13.0"), here)
    filled = fill_closure(
        wheels,
        python="3.11",
        indexes={},
        site=here,
        staging=tmp_path / "run" / "wheels",
        own=tmp_path,
        find_source=no_source,
    )
    assert filled.local_files == ("torch-2.13.0-py3-none-any.whl",)
    _install(filled.pylock_text, tmp_path / "run", "venv")
    assert (tmp_path / "run" / "venv" / "torch.py").read_text().startswith("version = '2.13.0'")
    assert (tmp_path / "run" / "venv" / "numpy.py").exists()

    wrong = filled.pylock_text.replace(wheels[0].sha256, "0" * 64)
    with pytest.raises(subprocess.CalledProcessError) as error:
        _install(wrong, tmp_path / "run", "other")
    assert "hash" in error.value.stderr.lower()


def _install(text: str, directory: Path, target: str) -> None:
    (directory / "pylock.toml").write_text(text.replace('requires-python = "==3.11.*"\n', ""))
    command = [
        str(uv_binary("linux/amd64")),
        "pip",
        "install",
        "--target",
        target,
        "--require-hashes",
        "--no-deps",
    ]
    subprocess.run(
        [*command, "--no-cache", "--python", sys.executable, "--requirements", "pylock.toml"],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "UV_PREVIEW_FEATURES": "pylock"},
    )


def test_another_file_of_the_same_name_is_refused(tmp_path: Path, shelf: Path, serve_index: Serve):
    wheels = resolve_closure(request("torch==2.13.0"), site(tmp_path, index=serve_index(shelf).url))
    rebuilt = tmp_path / "rebuilt"
    make_wheel(rebuilt, "torch", "2.13.0", requires=("numpy",), body="rebuilt = True\n")
    make_wheel(rebuilt, "numpy", "2.2.0")
    with pytest.raises(NegativeAnswer, match=r"torch-2\.13\.0-py3-none-any\.whl is another file here"):
        fill(wheels, site(tmp_path, index=serve_index(rebuilt).url), tmp_path)
    assert not (tmp_path / "staging").exists()


def test_a_file_that_was_changed_after_its_page_was_made_is_refused(tmp_path: Path, shelf: Path):
    """The page of a `file:` index can promise a hash that the file does not have."""
    page = tmp_path / "simple" / "numpy" / "index.html"
    page.parent.mkdir(parents=True)
    wheel = shelf / "numpy-2.2.0-py3-none-any.whl"
    here = site(tmp_path, index=(tmp_path / "simple").as_uri())
    from tests.support.wheels import hash_of

    page.write_text(f'<a href="{wheel.as_uri()}#sha256={hash_of(wheel)}">{wheel.name}</a>')
    wheels = resolve_closure(request("numpy==2.2.0"), here)
    make_wheel(shelf, "numpy", "2.2.0", body="changed = True\n")
    with pytest.raises(NegativeAnswer, match="is another file here"):
        fill(wheels, here, tmp_path)


def test_a_version_that_is_not_served_here_is_named_with_its_index(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    wheels = resolve_closure(request("torch==2.13.0"), site(tmp_path, index=serve_index(shelf).url))
    poorer = tmp_path / "poorer"
    make_wheel(poorer, "numpy", "2.2.0")
    make_wheel(poorer, "torch", "2.12.0")
    with pytest.raises(SurroundingsError, match=r"do not have torch 2\.13\.0 \(index 'default'\)"):
        fill(wheels, site(tmp_path, index=serve_index(poorer).url), tmp_path)


def test_a_named_index_is_asked_only_where_the_site_lacks_its_packages(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    cpu_files = tmp_path / "cpu-files"
    make_wheel(cpu_files, "torch", "2.13.0+cpu", requires=("numpy",))
    default, cpu = serve_index(shelf), serve_index(cpu_files)
    asked = request("torch==2.13.0+cpu", indexes={CPU: cpu.url}, index_of={"torch==2.13.0+cpu": CPU})
    wheels = resolve_closure(asked, site(tmp_path, index=default.url))
    filled = fill(wheels, site(tmp_path, index=default.url), tmp_path, {CPU: cpu.url})
    assert wheels_of(filled.pylock_text)["torch"]["url"].startswith(f"http://{cpu.host}/")
    assert wheels_of(filled.pylock_text)["numpy"]["url"].startswith(f"http://{default.host}/")
    assert cpu.packages_asked == {"torch"}
    before = len(cpu.asked)
    own = site(tmp_path, index=default.url, find_links=("cpu-files",))
    assert fill(wheels, own, tmp_path, {CPU: cpu.url}).local_files == (wheels[-1].filename,)
    assert len(cpu.asked) == before
    with pytest.raises(SurroundingsError, match="no address is known for the package index pytorch-cpu"):
        fill(wheels, site(tmp_path, index=default.url), tmp_path)


def test_passwords_are_in_the_secret_and_nowhere_else(
    tmp_path: Path, shelf: Path, serve_index: Serve, monkeypatch: pytest.MonkeyPatch
):
    index = serve_index(shelf, credentials="alice:s3cret")
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url.replace("://", "://alice:s3cret@"))
    wheels = resolve_closure(request("torch==2.13.0"), site(tmp_path))
    assert "s3cret" not in repr(wheels)
    filled = fill(wheels, site(tmp_path), tmp_path)
    assert all(f"alice:s3cret@{index.host}/" in one["url"] for one in wheels_of(filled.pylock_text).values())
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    (tmp_path / "home" / ".netrc").write_text("machine 127.0.0.1 login alice password s3cret\n")
    (tmp_path / "home" / ".netrc").chmod(0o600)
    filled = fill(wheels, site(tmp_path), tmp_path)
    assert all(f"alice:s3cret@{index.host}/" in one["url"] for one in wheels_of(filled.pylock_text).values())


@pytest.mark.network
@pytest.mark.parametrize(
    ("requirement", "constraints", "expected"),
    [
        ("jax==0.9.0", (), {"jaxlib": "0.9.0"}),
        ("tensorflow-cpu==2.20.0", (), {"keras": None}),
        ("jax[cuda12]==0.9.0", ("cuda-toolkit[cublas]==12.9.1",), {"nvidia-cublas-cu12": "12.9.1.4"}),
    ],
)
def test_real_frameworks_lock_and_fill_here(tmp_path: Path, requirement, constraints, expected):
    here = site(tmp_path)
    wheels = resolve_closure(request(requirement, constraints=constraints), here)
    versions = {wheel.package: wheel.version for wheel in wheels}
    for package, version in expected.items():
        assert versions[package] == version if version else package in versions
    assert all(canonicalize_name(wheel.package) == wheel.package for wheel in wheels)
    found = wheels_of(fill(wheels, here, tmp_path).pylock_text)
    assert found.keys() == versions.keys()


def test_a_wheel_of_the_project_comes_from_beside_the_lock_and_is_checked(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    own = make_wheel(tmp_path / "own", "mine", "1.0", requires=("numpy",))
    asked = request("torch==2.13.0", packages=("mine==1.0",), files={"mine": own})
    here = site(tmp_path, index=serve_index(shelf).url)
    wheels = resolve_closure(asked, here)
    filled = fill(wheels, here, tmp_path)
    assert filled.local_files == (own.name,)
    assert (tmp_path / "staging" / own.name).read_bytes() == own.read_bytes()
    make_wheel(tmp_path / "own", "mine", "1.0", body="other = 1")
    with pytest.raises(NegativeAnswer, match="is another file here than the one that was locked"):
        fill(wheels, here, tmp_path)
    own.unlink()
    with pytest.raises(NegativeAnswer, match="beside the lock is gone"):
        fill(wheels, here, tmp_path)
