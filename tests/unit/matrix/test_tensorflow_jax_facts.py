"""What the matrix says of TensorFlow, JAX and published images, against what was read out of the wheels."""

import pytest

from cudaforge.matrix import load_matrix
from cudaforge.matrix.companion import CompanionRole
from cudaforge.matrix.model import CudaProvider
from cudaforge.matrix.sources import Strength
from cudaforge.resolver.coverage import Coverage, coverage
from cudaforge.versions import Version

# build_info.py of the x86_64 wheels, read on 2026-11-23: CUDA, and the architectures in its own words.
BUILD_INFO = {
    "2.4.4": ("11.0", "sm_35 sm_50 sm_60 sm_70 sm_75 compute_80"),
    "2.11.1": ("11.2", "sm_35 sm_50 sm_60 sm_70 sm_75 compute_80"),
    "2.14.1": ("11.8", "sm_35 sm_50 sm_60 sm_70 sm_75 compute_80"),
    "2.15.1": ("12.2", "sm_50 sm_60 sm_70 sm_75 compute_80"),
    "2.16.2": ("12.3", "sm_50 sm_60 sm_70 sm_80 compute_90"),
    "2.17.1": ("12.3", "sm_60 sm_70 sm_80 sm_89 compute_90"),
    "2.20.0": ("12.5.1", "sm_60 sm_70 sm_80 sm_89 compute_90"),
    "2.21.0": ("12.5.1", "sm_60 sm_70 sm_80 sm_89 compute_90"),
}
# cudnn_build_version() of _versions.so in the plugins, read on 2026-11-23.
BUILT_WITH = {
    ("0.4.23", "cuda12"): "8.9.4",
    ("0.4.29", "cuda12"): "9.1.1",
    ("0.4.30", "cuda12"): "9.1.1",
    ("0.5.3", "cuda12"): "9.1.1",
    ("0.6.0", "cuda12"): "9.8.0",
    ("0.11.1", "cuda12"): "9.8.0",
    ("0.11.2", "cuda12"): "9.10.2",
    ("0.7.2", "cuda13"): "9.12.0",
    ("0.12.0.1", "cuda13"): "9.12.0",
}


@pytest.fixture(scope="module")
def matrix():
    return load_matrix()


def builds(matrix, framework, version, provider=None):
    return [
        row
        for row in matrix.builds(framework)
        if str(row.version) == version and provider in (None, row.provider)
    ]


def architectures(row):
    """As TensorFlow writes them: `compute_90` is code for 9.0 and PTX."""
    plain = [f"sm_{one.major}{one.release[1]}" for one in row.cubins if one not in row.ptx]
    return " ".join([*plain, *(f"compute_{one.major}{one.release[1]}" for one in row.ptx)])


@pytest.mark.parametrize("version", BUILD_INFO)
def test_tensorflow_has_the_code_that_its_wheel_says(matrix, version):
    cuda, code = BUILD_INFO[version]
    rows = [row for row in builds(matrix, "tensorflow", version) if row.cuda is not None]
    assert rows
    for row in rows:
        assert architectures(row) == code, row.build
        if row.provider is CudaProvider.SYSTEM:
            minor = Version(cuda).minor()
            newest = [one.version for one in matrix.cuda_releases if one.version.minor() == minor][-1]
            assert row.cuda.allows(newest), row.build
            older = [one.version for one in matrix.cuda_releases if one.version.minor() < minor]
            assert not any(row.cuda.allows(one) for one in older), row.build


@pytest.mark.parametrize(
    ("version", "capability", "way"),
    [
        ("2.14.1", "3.5", Coverage.CUBIN),
        ("2.15.1", "3.5", Coverage.NONE),
        ("2.16.2", "5.2", Coverage.CUBIN),
        ("2.17.0", "5.2", Coverage.NONE),
        ("2.17.0", "6.1", Coverage.CUBIN),
        ("2.15.1", "9.0", Coverage.PTX),
        ("2.16.2", "9.0", Coverage.CUBIN),
        ("2.3.4", "7.0", Coverage.NONE),
    ],
)
def test_tensorflow_runs_where_it_has_code_and_refuses_what_it_dropped(matrix, version, capability, way):
    rows = [row for row in builds(matrix, "tensorflow", version) if row.cuda is not None]
    found = {coverage(row, Version(capability), is_embedded=False, embedded=frozenset()) for row in rows}
    assert found == {way}


def test_whatever_compiles_at_run_time_says_with_which_compiler(matrix):
    jax = [row for row in matrix.builds("jax") if row.cuda is not None]
    assert {row.compiler for row in jax} == {"nvidia-cuda-nvcc", "nvidia-cuda-nvcc-cu12"}
    assert all(row.cubins is None and "nvcc" in row.toolkit_extras for row in jax)
    for row in matrix.builds("tensorflow"):
        if row.cuda is not None and row.cubins:
            wheel = {"cuda11": "nvidia-cuda-nvcc-cu11", "cuda12": "nvidia-cuda-nvcc-cu12"}
            expected = wheel[row.build] if row.provider is CudaProvider.WHEELS else "toolkit"
            assert row.compiler == expected, f"{row.version} {row.build}"


@pytest.mark.parametrize(("version", "build"), BUILT_WITH)
def test_jax_gets_no_older_cudnn_than_its_plugin_was_built_with(matrix, version, build):
    minor = Version(BUILT_WITH[version, build]).minor()
    rows = [row for row in builds(matrix, "jax", version) if row.build == build]
    assert rows
    for row in rows:
        allowed = [one.version for one in matrix.cudnn_releases if row.cudnn.allows(one.version)]
        assert allowed
        assert min(allowed).minor() >= minor


def test_jax_leaves_out_what_its_documents_leave_out(matrix):
    rows = [row for row in matrix.broken if row.when.get("framework") == "jax"]
    limits = [row for row in rows if row.when.get("capability") == "<5.2"]
    assert [row.is_fatal for row in limits] == [True]
    warned = [row for row in rows if not row.is_fatal]
    assert {"cuda"} <= set.intersection(*(set(row.when) for row in warned))


def test_no_jaxlib_on_arm_is_free_threaded_before_0_6(matrix):
    for version in ("0.5.1", "0.5.2", "0.5.3"):
        by_platform = {row.platforms: row.pythons for row in builds(matrix, "jax", version)}
        assert "3.13t" in by_platform["linux/amd64",]
        assert "3.13t" not in by_platform["linux/arm64",]


def test_wheels_whose_tag_promises_an_older_glibc(matrix):
    for version in ("1.13.1", "1.13.2", "1.14.0"):
        assert {row.glibc for row in builds(matrix, "tensorflow", version)} == {Version("2.23")}


def test_tensorflow_on_arm_goes_back_to_2_10(matrix):
    arm = {row.version for row in matrix.builds("tensorflow") if "linux/arm64" in row.platforms}
    assert min(arm) == Version("2.10.0")
    assert Version("2.11.1") not in arm
    assert all(row.cuda is None for row in matrix.builds("tensorflow") if "linux/arm64" in row.platforms)


def test_jaxlib_goes_with_the_release_that_requires_it(matrix):
    jaxlib = {
        str(one.version): one
        for one in matrix.companions("jax")
        if one.package == "jaxlib" and one.role is CompanionRole.DEPENDENCY
    }
    for row in matrix.builds("jax"):
        (pin,) = [text.partition("===")[2] for text in row.requires if text.startswith("jaxlib")]
        if pin in jaxlib:
            assert jaxlib[pin].needs.allows(row.version), row.version
    assert "0.12.0.1" in jaxlib


@pytest.mark.parametrize(("package", "version"), [("tf-keras", "2.18.0"), ("tensorflow-text", "2.18.1")])
def test_lockstep_of_tensorflow_ends_at_the_minor(matrix, package, version):
    (row,) = [
        one
        for one in matrix.companions("tensorflow")
        if (one.package, str(one.version)) == (package, version)
    ]
    assert row.needs.allows(Version("2.18.0"))
    assert row.needs.allows(Version("2.18.1"))
    assert not row.needs.allows(Version("2.17.1"))
    assert not row.needs.allows(Version("2.19.0"))


def test_parts_of_published_images_are_known(matrix):
    known = {
        package: {row.version.text for row in matrix.builds(framework)}
        for package, framework in (("torch", "pytorch"), ("tensorflow", "tensorflow"), ("jax", "jax"))
    }
    minors = {one.version.minor() for one in matrix.cuda_releases}
    assert len(matrix.framework_images) > 200
    for image in matrix.framework_images:
        assert image.os in matrix.systems, image.reference
        assert image.cuda is None or image.cuda.minor() in minors, image.reference
        for package, version in image.contents.items():
            public, _, label = version.partition("+")
            # NVIDIA's own builds are commits between two releases.
            if not image.reference.startswith("nvcr.io/"):
                assert public in known[package], image.reference
                labels = {row.build for row in matrix.builds(package) if row.version.text == public}
                assert not label or label in labels, image.reference


def test_tags_of_published_images_agree_with_what_is_in_them(matrix):
    for image in matrix.framework_images:
        repository, _, tag = image.reference.partition(":")
        if repository == "pytorch/pytorch":
            torch, cuda, _, flavor = tag.split("-")
            assert image.contents["torch"].partition("+")[0] == torch
            assert cuda == f"cuda{image.cuda}"
            assert flavor == image.flavor
        if repository == "tensorflow/tensorflow":
            assert tag.split("-")[0] == image.contents["tensorflow"]
            assert ("gpu" in tag) == (image.cuda is not None)


def test_what_only_follows_from_a_date_is_not_called_a_fact(matrix):
    by_tag = {image.reference: image for image in matrix.framework_images}
    assert by_tag["tensorflow/tensorflow:2.14.0-gpu"].source.strength is Strength.VENDOR
    assert by_tag["tensorflow/tensorflow:2.15.0-gpu"].source.strength is Strength.INFERRED
    assert by_tag["pytorch/pytorch:2.10.0-cuda12.8-cudnn9-runtime"].source.strength is Strength.INFERRED


def test_what_an_image_says_of_itself_is_a_fact(matrix):
    by_tag = {image.reference: image for image in matrix.framework_images}
    for month, torch, cuda, cudnn in (
        ("21.10", "1.10.0a0+0aef44c", "11.4.2", "8.2.4.15"),
        ("23.10", "2.1.0a0+32f93b1", "12.2.2", "8.9.5.29"),
        ("26.07", "2.13.0a0+9186a08b2c", "13.3.1", "9.24.0.43"),
    ):
        image = by_tag[f"nvcr.io/nvidia/pytorch:{month}-py3"]
        assert (image.contents["torch"], str(image.cuda), str(image.cudnn)) == (torch, cuda, cudnn)
        assert image.source.strength is Strength.VENDOR
