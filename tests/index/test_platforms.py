"""Closures of images for several platforms: one version of each package, in the files that each takes."""

from pathlib import Path

import pytest

from cudaforge.errors import SurroundingsError
from cudaforge.packages import foreign
from cudaforge.packages.closure import find_versions, resolve_closure
from cudaforge.packages.fetch import fill_closure
from cudaforge.packages.uv import NoClosure, uv_version
from cudaforge.pipeline.vendoring import find_uv
from cudaforge.records import replace
from tests.index.conftest import Serve, request, site
from tests.support.wheels import make_wheel

AMD, ARM = "linux/amd64", "linux/arm64"
TAGS = {AMD: "cp311-cp311-manylinux_2_28_x86_64", ARM: "cp311-cp311-manylinux_2_28_aarch64"}


def for_both(*requirements: str, **others: object):
    return request(*requirements, platform=AMD, others=(ARM,), **others)


def seen(wheels):
    return [(one.package, one.version, one.platforms) for one in wheels]


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    files = tmp_path / "files"
    for tag in TAGS.values():
        make_wheel(
            files,
            "torch",
            "2.13.0",
            tag=tag,
            requires=("numpy", "triton; platform_machine == 'x86_64'"),
        )
        make_wheel(files, "numpy", "2.1.0", tag=tag)
    make_wheel(files, "triton", "3.0", tag=TAGS[AMD])
    make_wheel(files, "idna", "3.10")
    return files


def test_each_platform_has_its_files_in_the_same_versions(tmp_path: Path, shelf: Path, serve_index: Serve):
    here = site(tmp_path, index=serve_index(shelf).url)
    wheels = resolve_closure(for_both("torch==2.13.0", packages=("idna",)), here)
    assert seen(wheels) == [
        ("idna", "3.10", ()),
        ("numpy", "2.1.0", (ARM,)),
        ("numpy", "2.1.0", (AMD,)),
        ("torch", "2.13.0", (ARM,)),
        ("torch", "2.13.0", (AMD,)),
        ("triton", "3.0", (AMD,)),
    ]
    assert find_versions(for_both("torch==2.13.0"), here) == {
        "torch": "2.13.0",
        "numpy": "2.1.0",
        "triton": "3.0",
    }


def test_where_one_platform_has_an_older_version_both_take_it(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    make_wheel(shelf, "numpy", "2.2.0", tag=TAGS[AMD])
    wheels = resolve_closure(for_both("torch==2.13.0"), site(tmp_path, index=serve_index(shelf).url))
    assert {one.version for one in wheels if one.package == "numpy"} == {"2.1.0"}


def test_a_package_that_no_version_joins_is_named(tmp_path: Path, shelf: Path, serve_index: Serve):
    make_wheel(shelf, "ops", "1.0", tag=TAGS[ARM])
    make_wheel(shelf, "ops", "2.0", tag=TAGS[AMD])
    here = site(tmp_path, index=serve_index(shelf).url)
    refusal = find_versions(for_both("torch==2.13.0", packages=("ops",)), here)
    assert isinstance(refusal, NoClosure)
    (problem,) = refusal.problems
    text = " ".join((problem.what, *problem.because))
    assert "ops is 2.0 on linux/amd64 and 1.0 on linux/arm64" in text
    with pytest.raises(NoClosure):
        resolve_closure(for_both("torch==2.13.0", packages=("ops",)), here)


def test_a_package_that_one_platform_lacks_is_named_with_it(tmp_path: Path, shelf: Path, serve_index: Serve):
    make_wheel(shelf, "xops", "1.0", tag=TAGS[AMD])
    here = site(tmp_path, index=serve_index(shelf).url)
    with pytest.raises(NoClosure) as caught:
        resolve_closure(for_both("torch==2.13.0", packages=("xops",)), here)
    (problem,) = caught.value.problems
    assert "xops" in f"{problem.what} {problem.because}"
    assert "this is so on linux/arm64, one of the platforms of the image" in problem.because


def test_versions_of_an_earlier_closure_are_kept_on_both(tmp_path: Path, shelf: Path, serve_index: Serve):
    first = resolve_closure(for_both("torch==2.13.0"), site(tmp_path, index=serve_index(shelf).url))
    for tag in TAGS.values():
        make_wheel(shelf, "numpy", "2.2.0", tag=tag)
    there = site(tmp_path, index=serve_index(shelf).url)
    assert resolve_closure(for_both("torch==2.13.0", preferred=first), there) == first
    assert ("numpy", "2.2.0", (ARM,)) in seen(resolve_closure(for_both("torch==2.13.0"), there))


def test_an_index_that_has_a_kept_version_for_one_platform_alone_is_no_obstacle(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    some = tmp_path / "some"
    make_wheel(some, "numpy", "2.1.0", tag=TAGS[AMD])
    indexes = {"index": serve_index(shelf).url, "extra_indexes": (serve_index(some).url,)}
    here = replace(site(tmp_path, **indexes), index_strategy="unsafe-best-match")
    first = resolve_closure(request("torch==2.13.0", platform=AMD), here)
    both = resolve_closure(for_both("torch==2.13.0", preferred=first), here)
    assert ("numpy", "2.1.0", (ARM,)) in seen(both)


def test_an_index_that_has_a_kept_version_for_another_platform_moves_nothing(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    make_wheel(shelf, "numpy", "2.0.0")
    some = tmp_path / "some"
    make_wheel(some, "numpy", "2.1.0", tag=TAGS[ARM])
    indexes = {"index": serve_index(shelf).url, "extra_indexes": (serve_index(some).url,)}
    here = replace(site(tmp_path, **indexes), index_strategy="unsafe-best-match")
    first = resolve_closure(request("torch==2.13.0", platform=AMD), here)
    again = resolve_closure(request("torch==2.13.0", platform=AMD, preferred=first), here)
    assert again == first
    older = request("torch==2.13.0", platform=AMD, packages=("numpy<2.1",), preferred=first)
    assert ("numpy", "2.0.0", ()) in seen(resolve_closure(older, here))


def test_each_file_is_filled_in_for_its_machines(tmp_path: Path, shelf: Path, serve_index: Serve):
    """A directory that has a version for one platform does not hide what the index has for the other."""
    here = site(tmp_path, index=serve_index(shelf).url)
    wheels = resolve_closure(for_both("torch==2.13.0"), here)
    links = tmp_path / "links"
    make_wheel(links, "numpy", "2.1.0", tag=TAGS[AMD])
    filled = fill_closure(
        wheels,
        python="3.11",
        indexes={},
        site=site(tmp_path, index=serve_index(shelf).url, find_links=("links",)),
        staging=tmp_path / "staging",
        own=tmp_path / "own",
        find_source=lambda wheel, url: tmp_path,
    )
    assert filled.pylock_text.count("marker = \"platform_machine == 'aarch64'\"") == 2
    assert filled.pylock_text.count("marker = \"platform_machine == 'x86_64'\"") == 3
    for wheel in wheels:
        assert wheel.filename in filled.pylock_text


def test_uv_for_another_platform_comes_from_the_index_once(
    tmp_path: Path, serve_index: Serve, monkeypatch: pytest.MonkeyPatch
):
    import zipfile

    files = tmp_path / "files"
    version = uv_version()
    tag = "py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64"
    wheel = make_wheel(files, "uv", version, tag=tag)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(f"uv-{version}.data/scripts/uv", b"\x7fELF of another machine")
    monkeypatch.setattr(foreign.host, "machine", lambda: "x86_64")
    here = site(tmp_path, index=serve_index(files).url)
    path = foreign.fetch_uv(ARM, site=here, cache=tmp_path / "uv-cache")
    assert path.read_bytes() == b"\x7fELF of another machine"
    assert path.stat().st_mode & 0o111
    offline = site(tmp_path, offline=True)
    before = sorted((tmp_path / "uv-cache").rglob("*"))
    path.with_name("lock.pid").unlink()  # nothing is written where it is there
    assert foreign.fetch_uv(ARM, site=offline, cache=tmp_path / "uv-cache") == path
    assert find_uv(tmp_path / "uv-cache", ARM) == path
    assert len(sorted((tmp_path / "uv-cache").rglob("*"))) == len(before) - 1
    with pytest.raises(SurroundingsError, match=r"uv .*-aarch64 for linux/arm64 is not in") as caught:
        find_uv(tmp_path / "other", ARM)
    assert f"cudaforge vendor {tmp_path}/other" in str(caught.value.problems[0].remedy)
    with pytest.raises(SurroundingsError, match="is not here, and nothing may be downloaded"):
        foreign.fetch_uv(ARM, site=offline, cache=tmp_path / "other")


def test_an_index_without_uv_for_the_platform_is_told(
    tmp_path: Path, serve_index: Serve, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(foreign.host, "machine", lambda: "x86_64")
    files = tmp_path / "files"
    make_wheel(files, "uv", uv_version(), tag="py3-none-manylinux_2_17_x86_64")
    with pytest.raises(SurroundingsError, match=r"does not have uv .* for linux/arm64"):
        foreign.fetch_uv(ARM, site=site(tmp_path, index=serve_index(files).url), cache=tmp_path / "c")
