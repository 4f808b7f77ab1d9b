"""What is read out of an image: its tar streams, as an engine gives them."""

from collections.abc import Iterator

import pytest

from cudaforge.errors import SurroundingsError
from cudaforge.matrix import load_matrix
from cudaforge.measurer.compare import find_builds
from cudaforge.measurer.image import measure_image
from tests.support.artefacts import TORCH_REQUIRES, contents, library, tar_of, torch_files

SITE = "opt/venv/lib/python3.12/site-packages"
TAG = "cp312-cp312-manylinux_2_28_x86_64"


class Image:
    """An image of these files; `asked` says which directories were wanted."""

    def __init__(self, files: dict[str, bytes], *, chunk: int = 1000) -> None:
        self._files, self._chunk = files, chunk
        self.asked: list[str] = []

    def export(self) -> Iterator[bytes]:
        return self._stream(self._files)

    def archive(self, path: str) -> Iterator[bytes]:
        self.asked.append(path)
        parent = path.strip("/").rpartition("/")[0] + "/"
        inside = path.strip("/")
        found = {
            name.removeprefix(parent): content
            for name, content in self._files.items()
            if name == inside or name.startswith(f"{inside}/")
        }
        return self._stream(found) if found else iter(())

    def _stream(self, files: dict[str, bytes]) -> Iterator[bytes]:
        whole = tar_of(files)
        for place in range(0, len(whole), self._chunk):
            yield whole[place : place + self._chunk]


def installed(name: str, version: str, files, *, root: str = SITE, tag: str = TAG, requires=()) -> dict:
    whole = contents(name, version, files, tag=tag, requires=requires)
    return {f"{root}/{path}": content for path, content in whole.items()}


def test_the_frameworks_of_an_image_are_found_wherever_they_are_installed() -> None:
    image = Image(
        {
            "etc/os-release": b"ID=debian\n",
            **installed("torch", "2.8.0", torch_files(), requires=TORCH_REQUIRES),
            **installed("jaxlib", "0.8.0", {"jaxlib/a.so": library()}, root="usr/lib/python3/dist-packages"),
            **installed("numpy", "2.0", {"numpy/a.so": library()}),
            **installed("jax", "0.8.0", {"jax/a.py": ""}, tag="py3-none-any"),
        }
    )
    jaxlib, torch = sorted(
        measure_image(image, "lab:1", {"torch", "jaxlib", "jax"}, platform="linux/amd64"),
        key=lambda one: one.package,
    )
    assert torch.artefact == f"lab:1: /{SITE}"
    assert (torch.version, torch.build, torch.cubins.value) == (
        "2.8.0",
        "cu128",
        "7.0 7.5 8.0 8.6 9.0 10.0 12.0",
    )
    assert (torch.cudnn.value, torch.glibc.value, torch.skipped) == ("9.10.2.21", "2.28", ())
    assert (torch.platforms, torch.pythons, torch.size) == (("linux/amd64",), ("3.12",), None)
    assert jaxlib.artefact == "lab:1: /usr/lib/python3/dist-packages"
    assert sorted(image.asked) == [f"/{SITE}/torch", "/usr/lib/python3/dist-packages/jaxlib"]


def test_only_rows_are_compared_whose_packages_are_all_installed() -> None:
    matrix = load_matrix()
    (cpu, *_) = [row for row in matrix.builds("jax") if str(row.version) == "0.8.0" and row.build == "cpu"]
    files = {
        **installed("jax", "0.8.0", {"jax/a.py": ""}, tag="py3-none-any"),
        **installed("jaxlib", "0.8.0", {"jaxlib/a.so": library(glibc=["2.17"])}),
    }
    plugin = installed("jax-cuda12-plugin", "0.8.0", {"jax_plugins/a.so": library(glibc=["2.17"])})
    packages = {"jax", "jaxlib", "jax-cuda12-plugin", "jax-cuda13-plugin"}

    def builds(content: dict) -> dict[str, set[str]]:
        found = measure_image(Image(content), "x", packages, platform="linux/amd64")
        return {one.package: {row.build for row in find_builds(matrix, one)} for one in found}

    assert cpu is not None
    assert builds(files) == {"jaxlib": {"cpu"}}
    assert builds({**files, **plugin}) == {"jaxlib": {"cuda12"}, "jax-cuda12-plugin": {"cuda12"}}


def test_what_a_package_does_not_say_is_taken_from_the_image() -> None:
    (found,) = measure_image(
        Image(installed("torch", "2.8.0", torch_files(), tag="")), "x", {"torch"}, platform="linux/arm64"
    )
    assert (found.platforms, found.pythons, found.tag_glibc) == (("linux/arm64",), ("3.12",), None)


def test_what_a_record_claims_leads_nowhere_else() -> None:
    files = installed("torch", "2.8.0", {"torch/a.so": library()})
    record = f"{SITE}/torch-2.8.0.dist-info/RECORD"
    files[record] = b"../../../../etc/x.so,,\n/abs/y.so,,\ngone/z.so,,\n" + files[record]
    image = Image(files)
    (found,) = measure_image(image, "x", {"torch"}, platform="linux/amd64")
    assert image.asked == [f"/{SITE}/gone", f"/{SITE}/torch"]
    assert found.read == ("torch/a.so",)


def test_an_image_without_frameworks_gives_nothing() -> None:
    assert measure_image(Image({"bin/sh": b""}), "x", {"torch"}, platform="linux/amd64") == ()


def test_an_engine_that_sends_no_archive() -> None:
    class Broken(Image):
        def export(self) -> Iterator[bytes]:
            yield b"no tar at all" * 100

    with pytest.raises(SurroundingsError, match="broken content of x"):
        measure_image(Broken({}), "x", {"torch"}, platform="linux/amd64")
    cut = tar_of(installed("torch", "2.8.0", {"torch/a.so": library()}))[:700]

    class Cut(Image):
        def export(self) -> Iterator[bytes]:
            yield cut

    with pytest.raises(SurroundingsError, match="broken content of x"):
        measure_image(Cut({}), "x", {"torch"}, platform="linux/amd64")
