"""The real matrices: consistent, complete enough for the examples, and quick to read."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cudaforge import resources
from cudaforge.matrix import load_matrix
from cudaforge.matrix.check import check_matrix
from cudaforge.matrix.compile import compile_matrix, matrix_files
from cudaforge.matrix.model import CudaProvider
from cudaforge.matrix.sources import Strength
from cudaforge.versions import Version, VersionWish

FRAMEWORKS = ("pytorch", "tensorflow", "jax")


@pytest.fixture(scope="module")
def matrix():
    return load_matrix()


@pytest.fixture(scope="module")
def directory():
    return resources.find_resource("matrices")


def build(matrix, framework, version, label, platform="linux/amd64"):
    (found,) = [
        row
        for row in matrix.builds(framework)
        if (str(row.version), row.build) == (version, label) and platform in row.platforms
    ]
    return found


def image(matrix, reference):
    (found,) = [row for row in matrix.base_images if row.reference == reference]
    return found


def is_history(matrix, row):
    """Whether a build is older than the CUDA releases of the matrix, so that nothing is made of it, or
    than 1.11, so that nobody has looked into its wheels: no GPU is a yes for it."""
    if row.framework == "pytorch" and row.version < Version("1.11"):
        return True
    return not any(row.cuda.allows(release.version) for release in matrix.cuda_releases)


def test_the_files_agree_with_each_other(directory):
    findings = check_matrix(directory, templates=resources.find_resource("templates"))
    assert findings == (), "\n".join(str(finding) for finding in findings)


def test_the_compiled_form_is_that_of_the_files(directory, matrix):
    assert load_matrix().revision == matrix.revision
    assert resources.compiled_matrix().read_bytes() == compile_matrix(directory)


VENDORS = (
    r"download\.pytorch\.org/|developer\.download\.nvidia\.com/"
    r"|github\.com/astral-sh/python-build-standalone/releases/"
    r"|snapshot\.debian\.org/archive\"|snapshot\.ubuntu\.com/ubuntu\""
)


def test_no_file_names_an_address_of_a_package_registry(directory):
    for path in matrix_files(directory):
        text = path.read_text(encoding="utf-8")
        assert not re.search(rf"https?://(?!{VENDORS})", text), path.name


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_requirement_is_exact_and_valid(matrix, framework):
    for row in matrix.builds(framework):
        for text in row.requires:
            (specifier,) = Requirement(text).specifier
            assert specifier.operator == "===", text
        for text in row.constraints:
            assert Requirement(text).specifier


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_companions_are_packages_by_their_normalised_name(matrix, framework):
    for row in matrix.companions(framework):
        assert canonicalize_name(row.package) == row.package


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_build_is_something_that_can_be_chosen(matrix, framework):
    for row in matrix.builds(framework):
        where = f"{row.version} {row.build}"
        assert row.pythons, where
        assert row.index == "default" or row.index in matrix.indexes, where
        assert all(re.fullmatch(r"3\.\d+t?", python) for python in row.pythons), where
        assert (row.provider is CudaProvider.NONE) == (row.cuda is None), where
        if framework != "jax" and row.cuda is not None and not is_history(matrix, row):
            assert row.cubins, where
        if row.toolkit_extras:
            assert row.cudnn_package, where


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_framework_has_a_confirmed_cpu_and_cuda_build_of_its_newest_releases(matrix, framework):
    confirmed = [row for row in matrix.builds(framework) if row.source.strength is not Strength.INFERRED]
    newest = max(row.version for row in confirmed if row.build == "cpu" and "linux/amd64" in row.platforms)
    gpu = max(row.version for row in confirmed if row.cuda is not None)
    assert newest.minor() >= Version(f"{gpu.major}.{gpu.release[1] - 1}")


def test_what_a_plain_install_of_torch_gives(matrix):
    row = build(matrix, "torch", "2.8.0", "cu128")
    assert (row.index, row.requires, row.reported) == ("default", ("torch===2.8.0",), "2.8.0+cu128")
    assert row.cuda is not None
    assert row.cuda.allows(Version("12.8.1"))
    assert row.cudnn == VersionWish("9.10.2.21")
    assert Version("12.0") in (row.cubins or ())
    goes_with = {
        one.package: one.version.text for one in matrix.companions("torch") if one.needs.allows(row.version)
    }
    assert (goes_with["torchvision"], goes_with["torchaudio"]) == ("0.23.0", "2.8.0")


def test_torch_of_a_channel_and_for_the_cpu(matrix):
    channel = build(matrix, "torch", "2.8.0", "cu126")
    assert (channel.index, channel.requires) == ("pytorch-cu126", ("torch===2.8.0+cu126",))
    assert matrix.indexes["pytorch-cu126"].url == "https://download.pytorch.org/whl/cu126"
    cpu = build(matrix, "torch", "2.13.0", "cpu")
    assert (cpu.index, cpu.requires, cpu.reported) == ("pytorch-cpu", ("torch===2.13.0+cpu",), "2.13.0+cpu")
    assert cpu.source.strength is Strength.MEASURED
    arm = build(matrix, "torch", "2.5.1", "cpu", "linux/arm64")
    assert (arm.index, arm.requires, arm.reported) == ("default", ("torch===2.5.1",), "2.5.1")


def test_tensorflow_that_fits_cuda_11_4(matrix):
    fits = [
        row
        for row in matrix.builds("tf")
        if row.cuda
        and row.cudnn
        and row.cuda.allows(Version("11.4.3"))
        and row.cudnn.allows(Version("8.2.4.15"))
        and "3.8" in row.pythons
    ]
    assert str(fits[-1].version) == "2.11.1"
    assert fits[-1].provider is CudaProvider.SYSTEM


def test_tensorflow_with_wheels(matrix):
    exact = build(matrix, "tensorflow", "2.18.1", "cuda12")
    assert (exact.requires, exact.toolkit_extras) == (("tensorflow[and-cuda]===2.18.1",), ())
    assert exact.cudnn == VersionWish("9.3.0.75")
    ranged = build(matrix, "tensorflow", "2.21.0", "cuda12")
    assert {"cublas", "cudart", "nvcc"} <= set(ranged.toolkit_extras)
    assert ranged.cuda is not None
    # The metapackage of 12.5.1 has an older cuBLAS than the extra asks for.
    assert not ranged.cuda.allows(Version("12.5.1"))
    assert build(matrix, "tensorflow", "2.21.0", "cpu").requires == ("tensorflow-cpu===2.21.0",)


def test_jax_follows_its_plugin(matrix):
    row = build(matrix, "jax", "0.5.2", "cuda12")
    assert row.requires == (
        "jax===0.5.2",
        "jaxlib===0.5.1",
        "jax-cuda12-plugin[with-cuda]===0.5.1",
    )
    assert build(matrix, "jax", "0.4.25", "cpu").constraints == ("numpy<2",)
    assert build(matrix, "jax", "0.4.26", "cpu").constraints == ()


def test_the_seed_image_is_gone_and_has_a_successor(matrix):
    gone = image(matrix, "nvidia/cuda:11.4.0-cudnn8-runtime-ubuntu20.04")
    assert gone.removed is not None
    assert gone.replaced_by == "nvidia/cuda:11.4.3-cudnn8-runtime-ubuntu20.04"
    there = image(matrix, gone.replaced_by)
    assert (there.removed, str(there.cuda), str(there.cudnn)) == (None, "11.4.3", "8.2.4.15")
    assert there.gate == "cuda>=11.4"


def test_bases_of_the_examples(matrix):
    assert image(matrix, "python:3.11-slim-bookworm").os == "debian12"
    for system in ("debian12", "debian13"):
        assert {"apt", "bash", "python3", "libgomp1"} <= set(matrix.systems[system].bootstrap_packages)
    assert matrix.systems["ubuntu20.04"].python_packages == ("python3", "python3-distutils")
    assert matrix.systems["ubuntu24.04"].user == "ubuntu"


def test_every_release_of_a_range_can_be_pinned_or_is_known_not_to(matrix):
    releases = {str(release.version): release for release in matrix.cuda_releases}
    assert releases["12.8.1"].metapackage == "cuda-toolkit==12.8.1"
    assert releases["12.8.1"].driver == Version("570.124.06")
    assert releases["12.8.1"].minor_driver == Version("525.60.13")
    assert releases["11.4.3"].metapackage is None
    assert releases["12.9.2"].driver == Version("575.57.08")
    assert releases["13.4.3"].driver is None
    for release in matrix.cuda_releases:
        assert release.capabilities, release.version
        if release.metapackage:
            name, _, version = release.metapackage.partition("==")
            assert (name, Version(version)) == ("cuda-toolkit", release.version)


def test_old_gpus_stop_where_their_drivers_and_kernels_do(matrix):
    by_version = {str(release.version): release for release in matrix.cudnn_releases}
    assert by_version["9.10.2.21"].capability_min["12"] == Version("5.0")
    assert by_version["9.11.0.98"].capability_min["12"] == Version("7.5")
    (v100,) = matrix.find_gpus("Tesla V100-SXM2-16GB")
    assert (v100.capability, v100.last_branch) == (Version("7.0"), 580)
    (rtx5090,) = matrix.find_gpus("RTX 5090")
    assert (rtx5090.capability, rtx5090.first_driver) == (Version("12.0"), Version("570.26"))


def test_gpu_names_do_not_hide_each_other(matrix):
    for gpu in matrix.gpus:
        assert gpu in matrix.find_gpus(gpu.name), gpu.name
        for alias in gpu.aliases:
            assert gpu in matrix.find_gpus(alias), alias


@pytest.mark.parametrize(
    ("version", "provider"), [("2.15.0", "wheels"), ("2.16.1", "wheels"), ("2.6.5", "system")]
)
def test_releases_that_do_not_work_are_known(matrix, version, provider):
    matching = [
        row
        for row in matrix.broken
        if row.when.get("framework") == "tensorflow"
        and "capability" not in row.when
        and VersionWish(row.when["version"]).allows(Version(version))
        and row.when.get("provider", provider) == provider
    ]
    assert len(matching) == 1


def test_sources_say_enough(directory, matrix):
    for framework in FRAMEWORKS:
        for row in matrix.builds(framework):
            assert len(row.source.text) > 10
            assert (Path(directory) / row.source.file).is_file()


CHIPS = {
    "GRID K1": "GK107",
    "GRID K2": "GK104",
    "Tesla M10": "GM107",
    "Tesla M4": "GM206",
    "Tesla M6": "GM204",
    "Tesla P6": "GP104",
    "GeForce GTX 1050 Ti": "GP107",
    "GeForce GT 1030": "GP108",
    "GeForce MX150": "GP108",
    "GeForce MX250": "GP108",
    "NVIDIA T4G": "TU104",
    "GeForce RTX 2060 Laptop GPU": "TU106",
}
"""What pci.ids 2026.08.22 says of the products that no page of NVIDIA names."""


def test_what_is_known_by_its_chip_is_what_the_list_of_devices_has(matrix):
    capabilities = {"GK1": "3.0", "GM1": "5.0", "GM2": "5.2", "GP1": "6.1", "TU1": "7.5"}
    rows = {gpu.name: gpu for gpu in matrix.gpus if gpu.source.id == "chips"}
    assert set(rows) == set(CHIPS)
    for name, chip in CHIPS.items():
        assert str(rows[name].capability) == capabilities[chip[:3]]
    assert "2026.08.22" in next(iter(rows.values())).source.text


@pytest.mark.parametrize("subject", ["gpus", "driver_branches"])
def test_what_others_read_is_not_called_a_vendors(matrix, subject):
    sources = {row.source.id: row.source for row in getattr(matrix, subject)}
    for source in sources.values():
        if source.strength is Strength.VENDOR:
            assert re.search(r"nvidia\.com|NVIDIA/", source.text), source.id
            assert not re.search(r"nixpkgs|pull request|aks", source.text, re.IGNORECASE), source.id
