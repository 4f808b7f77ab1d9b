"""What Dockerfiles and fleets still name: old releases, tags that are gone, drivers by branch."""

import pytest

from cudaforge.matrix import load_matrix
from cudaforge.versions import Version


@pytest.fixture(scope="module")
def matrix():
    return load_matrix()


@pytest.fixture(scope="module")
def images(matrix):
    return {image.reference.removeprefix("nvidia/cuda:"): image for image in matrix.base_images}


@pytest.mark.parametrize(
    ("tag", "removed"),
    [
        ("8.0-cudnn5-devel", "unknown"),
        ("9.0-cudnn7-devel-ubuntu16.04", "2023-06-30"),
        ("10.0-base", "unknown"),
        ("10.0-cudnn7-devel-ubuntu18.04", "2023-06-30"),
        ("10.1-cudnn7-devel-centos7", "2023-06-30"),
        ("10.2-cudnn7-devel-ubuntu18.04", "2023-06-30"),
        ("10.2-cudnn8-devel-ubuntu18.04", "2023-06-30"),
        ("11.0-base", "unknown"),
        ("11.0-base-ubuntu20.04", "unknown"),
        ("11.1-cudnn8-devel-ubuntu18.04", "unknown"),
        ("11.3.0-cudnn8-devel-ubuntu20.04", "2023-06-30"),
        ("11.4.2-devel-ubuntu18.04", "2023-06-30"),
        ("11.6.1-base-ubuntu18.04", "2023-10-18"),
        ("latest", "2021-01-19"),
    ],
)
def test_tags_that_dockerfiles_name_are_known_to_be_gone(images, tag, removed):
    assert images[tag].removed == removed


@pytest.mark.parametrize(
    ("tag", "cudnn"),
    [
        ("11.8.0-cudnn8-devel-ubuntu22.04", "8.9.6.50"),
        ("12.3.1-base-ubuntu22.04", None),
        ("12.8.2-base-ubuntu24.04", None),
        ("13.0.3-cudnn-devel-ubuntu24.04", "9.14.0.64"),
        ("13.3.1-cudnn-runtime-ubuntu24.04", "9.24.0.43"),
    ],
)
def test_tags_that_exist_are_offered_with_what_is_in_them(images, tag, cudnn):
    image = images[tag]
    assert image.removed is None
    assert image.gate
    assert image.cudnn == (None if cudnn is None else Version(cudnn))


def test_the_cudnn_inside_is_known_for_every_confirmed_tag_that_has_one(matrix):
    for image in matrix.cuda_images:
        if "cudnn" in image.reference and image.source.strength.value != "inferred":
            assert image.cudnn is not None or image.source.id == "hub", image.reference


def test_cuda_10_2_is_a_release_without_minor_version_compatibility(matrix):
    (release,) = [one for one in matrix.cuda_releases if one.version.minor() == Version("10.2")]
    assert (release.version, release.driver, release.minor_driver) == (
        Version("10.2.89"),
        Version("440.33"),
        None,
    )
    assert (release.compat_package, release.compat_branches) == ("cuda-compat-10-2", (418,))
    assert (min(release.capabilities), max(release.capabilities)) == (Version("3.0"), Version("7.5"))


@pytest.mark.parametrize(
    ("branch", "cuda"),
    [
        (384, "9.0"),
        (390, "9.1"),
        (396, "9.2"),
        (410, "10.0"),
        (418, "10.1"),
        (440, "10.2"),
        (450, "11.0"),
        (470, "11.4"),
        (525, "12.0"),
        (535, "12.2"),
        (550, "12.4"),
        (570, "12.8"),
        (580, "13.0"),
        (590, "13.1"),
        (620, "13.5"),
    ],
)
def test_a_driver_branch_came_with_a_cuda_release(matrix, branch, cuda):
    (row,) = [one for one in matrix.driver_branches if one.branch == branch]
    assert row.cuda == Version(cuda)


@pytest.mark.parametrize(
    ("gpu", "first", "last", "first_driver", "last_branch"),
    [
        ("K40", "10.2", "11.8", None, 470),
        ("Tesla K80", "10.2", "11.8", None, 470),
        ("GTX 680", "10.2", "10.2", None, 470),
        ("Tesla M60", "10.2", "12.9", None, 580),
        ("P100", "10.2", "12.9", "367.48", 580),
        ("GTX 1080 Ti", "10.2", "12.9", "367.48", 580),
        ("V100", "10.2", "12.9", "384.81", 580),
        ("T4", "10.2", None, "410.48", None),
        ("A100", "11.0", None, "450.51.05", None),
        ("RTX 3090", "11.1", None, "455.23", None),
        ("L4", "11.8", None, "520.61.05", None),
        ("H100", "11.8", None, "520.61.05", None),
        ("B200", "12.8", None, "570.26", None),
        ("RTX 5090", "12.8", None, "570.26", None),
        ("B300", "12.9", None, "575.51.03", None),
        ("GB10", "12.9", None, "575.51.03", None),
    ],
)
def test_which_cuda_and_which_drivers_are_for_a_gpu(matrix, gpu, first, last, first_driver, last_branch):
    (row,) = matrix.find_gpus(gpu)
    minors = [one.version.minor() for one in matrix.cuda_releases if row.capability in one.capabilities]
    newest = max(one.version.minor() for one in matrix.cuda_releases)
    assert (min(minors), max(minors)) == (Version(first), newest if last is None else Version(last))
    assert row.first_driver == (None if first_driver is None else Version(first_driver))
    assert row.last_branch == last_branch


@pytest.mark.parametrize(
    ("version", "cuda"),
    [
        ("7.6.5.32", {"10": "10.2"}),
        ("8.0.0.180", {"10": "10.2", "11": "11.0"}),
        ("8.0.5.39", {"10": "10.2", "11": "11.0"}),
        ("8.1.0.77", {"11": "11.2"}),
        ("8.6.0.163", {"10": "10.2"}),
    ],
)
def test_old_cudnn_is_for_these_minors_of_cuda(matrix, version, cuda):
    (release,) = [one for one in matrix.cudnn_releases if one.version == Version(version)]
    for major, minor in cuda.items():
        assert minor in release.cuda[major].split()


def test_systems_of_images_and_pythons_have_their_ends(matrix):
    for name in ("ubuntu16.04", "centos7", "rockylinux10", "ubi10", "ubuntu26.04", "debian13"):
        assert matrix.systems[name].glibc, name
    ends = {one.version: one.eol for one in matrix.pythons.values()}
    assert (ends["3.9"], ends["3.15"]) == ("2025-10-31", "2031-10")


def test_old_paddle_needs_the_glibc_of_its_bundled_libraries():
    rows = [one for one in load_matrix().builds("paddlepaddle") if one.build == "cuda10"]
    assert len(rows) == 9
    assert {str(one.glibc) for one in rows} == {"2.17"}
