"""New and removed tags, and what a new image says of itself."""

from __future__ import annotations

import pytest

from cudaforge.matrix import load_matrix
from cudaforge.refresher.images import (
    compare_tags,
    find_new_bases,
    find_new_framework_images,
    gather,
    propose_base,
    repository_of,
)
from cudaforge.registry import ImageConfig

MATRIX = load_matrix()
CUDA = [row for row in MATRIX.base_images if row.reference.startswith("nvidia/cuda:")]
PYTHON = [row for row in MATRIX.base_images if row.reference.startswith("python:")]
ALIVE = [repository_of(row.reference)[1] for row in CUDA if row.removed is None]


def config(platform: str = "linux/amd64", **env: str) -> ImageConfig:
    return ImageConfig(platform=platform, digest="sha256:0", env=env, labels={}, created=None, size=7)


def test_tags_that_agree_are_no_difference():
    assert compare_tags("base_images", CUDA, ALIVE, source="nvidia/cuda") == ((), ())


def test_a_tag_that_is_gone_gets_its_tombstone_and_one_that_is_back_is_told():
    gone = next(row for row in CUDA if row.removed is None and row.source.strength.value != "inferred")
    back = next(row for row in CUDA if row.removed is not None and row.source.strength.value != "inferred")
    tags = [tag for tag in ALIVE if tag != repository_of(gone.reference)[1]]
    tags.append(repository_of(back.reference)[1])
    changes, (stone,) = compare_tags("base_images", CUDA, tags, source="nvidia/cuda")
    assert {(one.kind, one.row) for one in changes} == {("gone", gone.reference), ("differs", back.reference)}
    assert (stone.reference, stone.table) == (gone.reference, "base_images")
    assert gone.source.id in stone.basis


def test_new_tags_are_those_of_known_families_alone():
    tags = [
        *ALIVE,
        "99.0.1-base-ubuntu24.04",
        "99.0.1-cudnn-devel-ubuntu22.04",
        "99.0-base-ubuntu24.04",
        "9.0.1-base-ubuntu24.04",
        "99.0.1-base-plan9",
        "latest",
        "99.0.1-base-ubuntu24.04-rc1",
    ]
    new = find_new_bases(CUDA, tags)
    assert {(one.reference, one.version, one.like.flavor, one.like.os) for one in new} == {
        ("nvidia/cuda:99.0.1-base-ubuntu24.04", "99.0.1", "base", "ubuntu24.04"),
        ("nvidia/cuda:99.0.1-cudnn-devel-ubuntu22.04", "99.0.1", "devel", "ubuntu22.04"),
    }
    known = [repository_of(row.reference)[1] for row in PYTHON]
    (python,) = find_new_bases(PYTHON, [*known, "3.99-slim-bookworm", "3.99.1-slim-bookworm", "3-slim"])
    assert (python.reference, python.version) == ("python:3.99-slim-bookworm", "3.99")


def test_a_configuration_says_gate_brands_branches_cudnn_and_compat():
    (new,) = find_new_bases(CUDA, [*ALIVE, "99.0.1-cudnn-runtime-ubuntu24.04"])
    gate = "cuda>=99.0 " + " ".join(
        f"brand={brand},driver>={branch},driver<{branch + 1}"
        for brand in ("tesla", "unknown")
        for branch in (535, 550)
    )
    env = {
        "NVIDIA_REQUIRE_CUDA": gate,
        "NV_CUDNN_VERSION": "9.10.2.21-1",
        "NV_CUDA_COMPAT_PACKAGE": "cuda-compat-99-0",
    }
    arm = {key: value for key, value in env.items() if key != "NV_CUDA_COMPAT_PACKAGE"}
    configs = [config(**env), config("linux/arm64", **arm), config("linux/ppc64le", **env)]
    proposal = propose_base(new, configs, source="nvidia/cuda")
    assert proposal.block == {
        "cuda": "99.0.1",
        "platforms": "linux/amd64 linux/arm64",
        "gate": "cuda>=99.0",
        "gate_branches": [535, 550],
        "gate_brands": "tesla unknown",
        "compat_platforms": "linux/amd64",
    }
    (entry,) = proposal.entries
    assert (entry["cudnn"], entry["flavor"], entry["size"]) == ("9.10.2.21", "runtime", 7)
    assert proposal.missing == ()


@pytest.mark.parametrize("value", ["", "nonsense", "9", "9.10.2.21; rm -rf /"])
def test_a_cudnn_that_is_not_told_is_missing(value):
    (new,) = find_new_bases(CUDA, [*ALIVE, "99.0.1-cudnn-runtime-ubuntu24.04"])
    proposal = propose_base(new, [config(NV_CUDNN_VERSION=value)], source="nvidia/cuda")
    assert "cudnn" not in proposal.entries[0]
    assert proposal.missing == ("gate", "cudnn")


def test_images_that_share_all_but_their_own_are_one_block():
    tags = [*ALIVE, "99.0.1-base-ubuntu24.04", "99.0.1-devel-ubuntu24.04", "99.0.2-base-ubuntu24.04"]
    env = {"NVIDIA_REQUIRE_CUDA": "cuda>=99.0"}
    proposals = [propose_base(new, [config(**env)], source="x") for new in find_new_bases(CUDA, tags)]
    first, second = gather(proposals)
    assert [one["flavor"] for one in first.entries] == ["base", "devel"]
    assert second.block["cuda"] == "99.0.2"


def test_new_framework_images_are_of_a_known_form_and_newer_than_all():
    rows = [row for row in MATRIX.framework_images if row.reference.startswith("pytorch/pytorch:")]
    tags = [repository_of(row.reference)[1] for row in rows]
    tags += ["99.0.0-cuda13.2-cudnn9-runtime", "1.0.0-cuda13.2-cudnn9-runtime", "99.0.0-cuda13.2-extra"]
    changes = find_new_framework_images(rows, tags, source="pytorch/pytorch")
    assert [one.row for one in changes] == ["pytorch/pytorch:99.0.0-cuda13.2-cudnn9-runtime"]
