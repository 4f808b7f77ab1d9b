"""What is new of CUDA and cuDNN, and the rows for it."""

from __future__ import annotations

from cudaforge.matrix import load_matrix
from cudaforge.refresher import FoundRelease
from cudaforge.refresher.redistrib import VendorRelease
from cudaforge.refresher.toolkits import (
    compare_cuda,
    compare_cuda_feed,
    compare_cudnn,
    compare_cudnn_feed,
    cudnn_packages,
    metapackages,
)
from cudaforge.versions import Version

CUDA = load_matrix().cuda_releases
CUDNN = load_matrix().cudnn_releases


def found(*versions: str) -> dict[str, FoundRelease]:
    return {
        version: FoundRelease(
            version=version, released="2027-01-02", is_yanked=False, platforms=(), pythons={}
        )
        for version in versions
    }


def vendor(version: str, released: str | None = "2027-01-02") -> VendorRelease:
    return VendorRelease(
        version=version, released=released, platforms=("linux/amd64", "linux/arm64"), majors=("13",)
    )


def test_the_metapackage_is_known_by_the_rows():
    assert metapackages(CUDA) == ("cuda-toolkit",)
    assert cudnn_packages(CUDNN)["13"] == "nvidia-cudnn-cu13"


def test_a_release_of_a_known_minor_lacks_its_driver_alone():
    newest = max(row.version for row in CUDA)
    pin = f"{newest.minor()}.99.0"
    changes, (proposal,) = compare_cuda(CUDA, "cuda-toolkit", found(pin, "99.0.0rc1"), index="default")
    version = f"{newest.minor()}.99"
    assert [(one.kind, one.row) for one in changes] == [("release", f"cuda {version}")]
    assert proposal.entries == ({"version": version, "metapackage": f"cuda-toolkit=={pin}"},)
    assert proposal.missing == ("driver",)


def test_a_release_of_a_new_minor_lacks_what_a_minor_says():
    _, (proposal,) = compare_cuda(CUDA, "cuda-toolkit", found("99.1.0"), index="default")
    assert {"driver", "capabilities", "minor_driver"} <= set(proposal.missing)


def test_manifests_tell_new_releases_and_other_days():
    row = next(one for one in CUDA if one.released is not None and len(one.released) == 7)
    releases = [
        vendor(str(row.version), f"{row.released}-09"),
        vendor("99.0.0"),
    ]
    changes, (proposal,) = compare_cuda_feed(CUDA, releases, feed="cuda-redist")
    assert [one.row for one in changes] == ["cuda 99.0.0"]
    assert changes[0].new == "released 2027-01-02; linux/amd64 linux/arm64; CUDA 13"
    assert proposal.entries == ({"version": "99.0.0", "released": "2027-01-02"},)
    changes, _ = compare_cuda_feed(CUDA, [vendor(str(row.version), "1999-01-01")], feed="cuda-redist")
    assert [(one.kind, one.field, one.old) for one in changes] == [("differs", "released", row.released)]


def test_a_new_cudnn_has_the_packages_and_the_day_of_its_wheels():
    wheels = {"12": found("99.0.0.1"), "13": found("99.0.0.1")}
    known = next(row for row in reversed(CUDNN) if {"12", "13"} <= row.packages.keys())
    version = f"{known.version.minor()}.99.1"
    wheels = {"12": found(version), "13": found(version)}
    changes, (proposal,), left_out = compare_cudnn(CUDNN, wheels, index="default")
    assert [one.row for one in changes] == [f"cudnn {version}"]
    (entry,) = proposal.entries
    assert entry["packages"] == {"12": "nvidia-cudnn-cu12", "13": "nvidia-cudnn-cu13"}
    assert entry["released"] == "2027-01-02"
    assert entry["capability_min"] == {major: str(known.capability_min[major]) for major in ("12", "13")}
    assert left_out == ()


def test_a_new_minor_of_cudnn_whose_gpus_nobody_says_is_left_out_and_told():
    wheels = {"12": found("99.0.0.1"), "13": found("99.0.0.1")}
    changes, proposals, (left_out,) = compare_cudnn(CUDNN, wheels, index="default")
    assert [one.row for one in changes] == ["cudnn 99.0.0.1"]
    assert proposals == ()
    assert left_out.startswith("cudnn 99.0.0.1: left out: its GPUs are not known")
    assert "CUDA 12 and 13" in left_out


def test_a_range_is_taken_from_releases_for_the_same_cuda_alone():
    rows = [row for row in CUDNN if str(row.version) != "9.28.0.42"]
    assert [set(row.packages) for row in rows if row.version.has_prefix(Version("9.28"))] == [{"13"}]
    wheels = {"12": found("9.28.0.42"), "13": found("9.28.0.42")}
    _, proposals, (left_out,) = compare_cudnn(rows, wheels, index="default")
    assert proposals == ()
    assert "CUDA 12" in left_out
    assert "13" not in left_out


def test_a_patch_release_has_the_newest_gpus_of_its_minor_as_well():
    known = next(row for row in reversed(CUDNN) if row.capability_max and "11" in row.packages)
    version = f"{known.version.minor()}.99.1"
    _, (proposal,), _ = compare_cudnn(CUDNN, {"11": found(version)}, index="default")
    assert proposal.entries[0]["capability_max"] == {"11": str(known.capability_max["11"])}


def test_wheels_that_a_row_does_not_name_are_told():
    row = next(one for one in reversed(CUDNN) if "12" not in one.packages)
    (change,), proposals, _ = compare_cudnn(CUDNN, {"12": found(str(row.version))}, index="default")
    assert (change.kind, change.field, change.new) == (
        "differs",
        "packages",
        f"nvidia-cudnn-cu12 {row.version}",
    )
    assert proposals == ()


def test_a_manifest_of_a_newer_cudnn_is_told():
    changes = compare_cudnn_feed(CUDNN, [vendor(str(CUDNN[-1].version)), vendor("99.0.0.1")], feed="f")
    assert [one.row for one in changes] == ["cudnn 99.0.0.1"]
