"""Which GPUs a build of torch has code for, asked as a user asks: `cudaforge resolve`."""

from itertools import groupby, pairwise

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.matrix import load_matrix
from cudaforge.matrix.sources import Strength


def resolve(capsys, *words):
    code = run_command_line(["resolve", *words])
    seen = capsys.readouterr()
    return code, " ".join((seen.out + seen.err).split())


@pytest.mark.parametrize(
    "words",
    [
        "pytorch==2.7.0+cu128 gpu=sm_75",
        "pytorch==2.7.0+cu128 gpu=sm_120",
        "pytorch==2.8.0+cu128 gpu=sm_70",
        "pytorch==2.8.0+cu128 gpu=sm_120",
        "pytorch==2.8.0+cu126 gpu=sm_61",
        "pytorch==2.10.0+cu128 gpu=sm_70",
        "pytorch==2.11.0+cu130 gpu=sm_90 platform=linux/arm64",
        "pytorch==2.9.1+cu129 gpu=sm_70",
        "pytorch==2.13.0+cu129 gpu=sm_120",
        "pytorch==2.5.1 gpu=sm_90 platform=linux/arm64",
        "pytorch==2.9.1+cu126 gpu=sm_90 platform=linux/arm64",
    ],
)
def test_a_gpu_that_a_build_has_code_for(capsys, words):
    code, text = resolve(capsys, *words.split())
    assert code == 0, text


@pytest.mark.parametrize(
    "words",
    [
        "pytorch==2.6.0+cu118 gpu=sm_120",
        "pytorch==2.6.0+cu124 gpu=sm_120",
        "pytorch==2.6.0+cu126 gpu=sm_120",
        "pytorch==2.7.0+cu118 gpu=sm_120",
        "pytorch==2.7.0+cu126 gpu=sm_120",
        "pytorch==2.7.0+cu128 gpu=sm_70",
        "pytorch==2.7.1+cu118 gpu=sm_100",
        "pytorch==2.8.0+cu128 gpu=sm_61",
        "pytorch==2.11.0+cu128 gpu=sm_70",
        "pytorch==2.11.0+cu129 gpu=sm_70",
        "pytorch==2.15.0+cu132 gpu=sm_70",
        "pytorch==2.0.1+cu117 gpu=sm_90",
    ],
)
def test_a_gpu_that_a_build_has_no_code_for(capsys, words):
    build, gpu = words.split()
    code, text = resolve(capsys, build, gpu)
    assert code == 1
    assert f"none of it runs on {gpu.removeprefix('gpu=')}" in text


def test_a_whole_release_has_no_code_for_newer_gpus(capsys):
    code, text = resolve(capsys, "pytorch==2.6.0", "gpu=RTX 5090")
    assert code == 1
    assert "none of it runs on" in text


def covers(row, capability):
    return any(cubin.major == capability.major and cubin <= capability for cubin in row.cubins) or any(
        ptx <= capability for ptx in row.ptx
    )


def dropped():
    """Each architecture that one release of a build had and the next has not, with the builds and the
    platform: compute capabilities of the one that nothing in the other covers. What a plain install gives
    counts as one build, whatever its CUDA."""
    rows = [
        (name, platform, row)
        for row in load_matrix().builds("torch")
        if row.cubins and row.source.strength is not Strength.INFERRED
        for platform in row.platforms
        for name in (row.build, *(("default",) if row.index == "default" else ()))
    ]
    rows.sort(key=lambda item: item[:2])
    for (name, platform), group in groupby(rows, key=lambda item: item[:2]):
        for before, after in pairwise(row for _, _, row in group):
            for capability in before.cubins:
                if not covers(after, capability):
                    found = f"{after.version}-{name}-{capability}-{platform}"
                    yield pytest.param(before, after, capability, platform, id=found)


DROPPED = list(dropped())


def test_builds_did_drop_architectures():
    assert {"2.11.0-cu128-7.0-linux/amd64", "2.8.0-default-5.0-linux/amd64"} <= {
        found.id for found in DROPPED
    }


@pytest.mark.parametrize(("before", "after", "capability", "platform"), DROPPED)
def test_a_build_that_dropped_an_architecture_refuses_it(capsys, before, after, capability, platform):
    gpu = f"sm_{capability}".replace(".", "")
    words = (f"gpu={gpu}", f"platform={platform}")
    code, text = resolve(capsys, f"pytorch=={before.version}+{before.build}", *words)
    assert code == 0, text
    code, text = resolve(capsys, f"pytorch=={after.version}+{after.build}", *words)
    assert code == 1
    assert f"none of it runs on {gpu}" in text


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_windows_of_the_index_are_read_out_of_its_wheels(platform):
    found = [row for row in load_matrix().builds("torch") if row.index == "default" and row.cubins]
    here = [row for row in found if platform in row.platforms and row.version.release >= (1, 13)]
    assert here
    assert {row.source.strength for row in here} == {Strength.MEASURED}
