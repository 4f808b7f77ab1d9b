"""What is read out of a wheel, and where each value is said to come from."""

import random
import zipfile
from pathlib import Path

import pytest

from cudaforge.errors import InputError
from cudaforge.measurer import Limits, LocalFile, Measured, measure_wheel
from tests.support.artefacts import (
    TORCH_REQUIRES,
    fat_binary,
    library,
    make_wheel,
    torch_files,
)


def measured(path: Path, **options: object) -> Measured:
    return measure_wheel(LocalFile(path), path.name, **options)


def test_torch_says_its_window_its_cuda_and_its_libraries(tmp_path: Path) -> None:
    found = measured(make_wheel(tmp_path, "torch", "2.8.0", torch_files(), requires=TORCH_REQUIRES))
    told = {
        field: (getattr(found, field).value, getattr(found, field).where)
        for field in ("reported", "glibc", "cuda", "cudnn", "nccl", "cubins", "ptx")
    }
    assert told == {
        "reported": ("2.8.0+cu128", "torch/version.py: __version__"),
        "glibc": ("2.28", "torch/lib/libtorch_python.so: needed versions (highest of 2 libraries)"),
        "cuda": ("12.8", "torch/version.py: cuda"),
        "cudnn": ("9.10.2.21", "METADATA: nvidia-cudnn-cu12==9.10.2.21"),
        "nccl": ("2.27.3", "METADATA: nvidia-nccl-cu12==2.27.3"),
        "cubins": ("7.0 7.5 8.0 8.6 9.0 10.0 12.0", "torch/lib/libtorch_python.so: arch flags"),
        "ptx": ("", "torch/lib/libtorch_python.so: arch flags"),
    }
    assert (found.package, found.version, found.build) == ("torch", "2.8.0", "cu128")
    assert (found.platforms, found.pythons, found.tag_glibc) == (("linux/amd64",), ("3.12",), "2.28")
    assert [one.value for one in found.needed] == ["libcudart.so.12", "libcudnn.so.9"]
    assert found.brings_cuda
    assert (found.skipped, found.unreadable) == ((), ())


def test_without_flags_the_fat_binaries_of_the_main_library_are_the_window(tmp_path: Path) -> None:
    files = {
        "ort/capi/cuda.so": library(
            needed=["libcudart.so.12"],
            code=[
                *(fat_binary(cubins=(80, 90, 120), ptx=(120,)) for _ in range(6)),
                *(fat_binary(cubins=(90,)) for _ in range(4)),
                fat_binary(),
            ],
        ),
        "ort/capi/helper.so": library(code=[fat_binary(cubins=(50,))]),
        "ort/capi/plain.so.1.2": library(glibc=["2.31", "2.4"], weak=["2.38"]),
    }
    found = measured(make_wheel(tmp_path, "ort-like", "1.0", files, packing=zipfile.ZIP_STORED))
    assert (found.cubins.value, found.ptx.value) == ("8.0 9.0 12.0", "12.0")
    assert found.cubins.where == "ort/capi/cuda.so: its fat binaries (10)"
    by_library = {one.library: one for one in found.code}
    assert by_library["ort/capi/cuda.so"].cubins == (("8.0", 6), ("9.0", 10), ("12.0", 6))
    assert by_library["ort/capi/helper.so"].cubins == (("5.0", 1),)
    assert (found.cuda.value, found.cuda.where) == ("12", "ort/capi/cuda.so: needs libcudart.so.12")
    assert (found.glibc.value, found.brings_cuda, found.build) == ("2.31", False, "cuda12")


def test_what_few_of_the_fat_binaries_have_is_not_in_the_window(tmp_path: Path) -> None:
    code = [fat_binary(cubins=(80,)) for _ in range(19)] + [fat_binary(cubins=(75, 80))]
    found = measured(make_wheel(tmp_path, "some", "1", {"some/a.so": library(code=code)}))
    assert found.cubins.value == "8.0"
    assert found.code[0].cubins == (("7.5", 1), ("8.0", 20))


def test_libraries_that_are_left_out_leave_questions_open(tmp_path: Path) -> None:
    random.seed(7)
    files = {
        "a/small.so": library(code=[fat_binary(cubins=(50,))], glibc=["2.5"]),
        "a/large.so": library(code=[fat_binary(cubins=(90,))]) + random.randbytes(5000),
    }
    path = make_wheel(tmp_path, "a", "1", files)
    heard: list[str] = []
    found = measured(path, limits=Limits(member=4000), on_library=lambda name, _: heard.append(name))
    assert [name for name, _ in found.skipped] == ["a/large.so"]
    assert heard == ["a/small.so"]
    assert found.cubins is None
    assert found.cuda is None
    assert found.glibc.value == "2.5"
    assert found.glibc.is_partial
    assert measured(path, limits=Limits(total=100)).read == ()
    assert measured(path).read == ("a/small.so", "a/large.so")


@pytest.mark.parametrize(
    ("files", "cuda", "cudnn", "cubins", "ptx"),
    [
        (
            {
                "tensorflow/python/platform/build_info.py": "import collections\n"
                "build_info = collections.OrderedDict([('cuda_version', '12.5.1'), ('cudnn_version', '9'), "
                "('cuda_compute_capabilities', ['sm_60', 'sm_89', 'compute_90']), ('is_cuda_build', True)])\n"
            },
            "12.5.1",
            "9",
            "6.0 8.9 9.0",
            "9.0",
        ),
        (
            {"tensorflow/python/platform/build_info.py": "build_info = dict([('is_cuda_build', False)])\n"},
            "none",
            None,
            None,
            None,
        ),
        (
            {"onnxruntime/capi/build_and_package_info.py": "package_name = 'x'\ncuda_version = '12.2'\n"},
            "12.2",
            None,
            None,
            None,
        ),
        (
            {"x-1.data/purelib/paddle/version/__init__.py": "cuda_version = '11.8'\ncudnn_version='8.6.0'\n"},
            "11.8",
            "8.6.0",
            None,
            None,
        ),
        (
            {"paddle/version/__init__.py": "cuda_version = 'False'\ncudnn_version='False'"},
            "none",
            None,
            None,
            None,
        ),
        ({"torch/version.py": "__version__ = '1.0'\ncuda = None\n"}, "none", None, None, None),
        ({"a.so": library()}, "none", None, None, None),
        ({"a.py": ""}, None, None, None, None),
    ],
)
def test_what_frameworks_say_of_their_build(tmp_path: Path, files, cuda, cudnn, cubins, ptx) -> None:
    found = measured(make_wheel(tmp_path, "some", "1", files))
    values = [getattr(found, field) for field in ("cuda", "cudnn", "cubins", "ptx")]
    assert [one and one.value for one in values] == [cuda, cudnn, cubins, ptx]


@pytest.mark.parametrize(
    ("requires", "cuda", "cudnn"),
    [
        (
            ["cuda-toolkit[cudart]==13.0.2", "nvidia-cudnn-cu13==9.19.0.56"],
            ("13.0.2", False),
            ("9.19.0.56", False),
        ),
        (
            [
                'nvidia-cuda-runtime-cu12>=12.1.105; extra == "cuda"',
                'nvidia-cuda-nvcc-cu12>=12.6.85; extra=="cuda"',
            ],
            ("12.6", True),
            None,
        ),
        (["nvidia-cuda-runtime~=13.0", "nvidia-cudnn-cu13<10.0,>=9.8"], ("13.0", True), ("9.8", True)),
        (['nvidia-cuda-runtime-cu12==12.4.127; sys_platform == "win32"'], ("none", False), None),
        (
            ["nvidia-cudnn-cu12 @ https://example.com/x.whl", "not a requirement at all"],
            ("none", False),
            None,
        ),
    ],
)
def test_versions_by_what_it_requires(tmp_path: Path, requires, cuda, cudnn) -> None:
    code = [fat_binary(cubins=(80,))] if cuda[0] != "none" else []
    found = measured(make_wheel(tmp_path, "some", "1", {"a.so": library(code=code)}, requires=requires))
    assert (found.cuda.value, found.cuda.is_bound) == cuda
    assert (found.cudnn and (found.cudnn.value, found.cudnn.is_bound)) == cudnn


@pytest.mark.parametrize(
    ("files", "cuda"),
    [({"a.py": ""}, None), ({"a.so": library()}, "none"), ({"torch/version.py": "cuda = None"}, "none")],
)
def test_the_extras_of_a_wheel_without_cuda_say_nothing_of_it(tmp_path: Path, files, cuda) -> None:
    requires = ["tensorflow-cpu-aws==2.15.0", 'nvidia-cuda-runtime-cu12>=12.1.105; extra == "and-cuda"']
    found = measured(make_wheel(tmp_path, "tensorflow", "2.15.0", files, requires=requires))
    assert (found.cuda and found.cuda.value, found.cudnn, found.requires) == (cuda, None, ())


def test_a_broken_library_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    good = library(code=[fat_binary(cubins=(80,))])
    broken = library(code=[fat_binary(cubins=(80,))[:-9]])
    files = {"a/good.so": good, "a/cut.so": good[:200], "a/fat.so": broken, "a/text.so": "#!/bin/sh\n"}
    found = measured(make_wheel(tmp_path, "a", "1", files))
    assert found.read == ("a/good.so",)
    assert {name for name, _ in found.unreadable} == {"a/cut.so", "a/fat.so", "a/text.so"}
    assert found.cubins is None
    assert found.glibc.is_partial


def test_the_description_of_the_wheel_is_no_metadata(tmp_path: Path) -> None:
    found = measured(make_wheel(tmp_path, "a", "1", {"a.so": library()}))
    assert found.requires == ()


def test_an_arm_wheel_with_a_suffix_in_its_flags(tmp_path: Path) -> None:
    files = torch_files(flags=b"sm_80 sm_90a sm_121 compute_121")
    tag = "cp313-cp313t-manylinux_2_28_aarch64"
    found = measured(make_wheel(tmp_path, "torch", "2.9.0", files, tag=tag))
    assert (found.cubins.value, found.ptx.value) == ("8.0 9.0 12.1", "12.1")
    assert (found.platforms, found.pythons) == (("linux/arm64",), ("3.13t",))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("torch.whl", "its name is not that of a wheel"),
        ("torch-2.8.0-cp312-cp312-win_amd64.whl", "another system than Linux"),
    ],
)
def test_a_name_that_is_no_linux_wheel(tmp_path: Path, name: str, what: str) -> None:
    path = make_wheel(tmp_path, "torch", "2.8.0", {})
    with pytest.raises(InputError, match=what):
        measure_wheel(LocalFile(path), name)


def test_files_that_are_no_wheel(tmp_path: Path) -> None:
    name = "a-1-py3-none-any.whl"
    (tmp_path / name).write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(InputError, match="it is no zip archive"):
        measured(tmp_path / name)
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(InputError, match="it holds no METADATA"):
        measured(tmp_path / name)
    with pytest.raises(InputError, match="is no file"):
        measured(tmp_path)


def claiming(path: Path, size: int) -> Path:
    """The wheel, its directory claiming this size for every member."""
    content, place = bytearray(path.read_bytes()), 0
    while (place := content.find(b"PK\x01\x02", place)) >= 0:
        content[place + 24 : place + 28] = size.to_bytes(4, "little")
        place += 4
    path.write_bytes(content)
    return path


def test_members_that_claim_to_be_huge_cost_nothing(tmp_path: Path) -> None:
    path = claiming(make_wheel(tmp_path, "a", "1", {"a/a.so": library()}), 0xFFFFFFFE)
    with pytest.raises(InputError, match="METADATA is larger than 8 MiB"):
        measured(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "a", "1", {"a/a.so": bytes(80 * 2**20)})
    with pytest.raises(InputError, match="would unpack to more than 100 times its size"):
        measured(path)
