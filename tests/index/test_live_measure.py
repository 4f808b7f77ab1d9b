"""Real wheels of the package index, measured and held against their rows."""

from pathlib import Path

import pytest

from cudaforge.pipeline.measuring import Asked, Checked, measure

pytestmark = pytest.mark.network


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def checked(word: str, **options: object) -> Checked:
    (found,) = measure(Asked(word=word, **options), Path("cudaforge.toml"))
    return found


def agreeing(found: Checked) -> dict[str, set[str]]:
    """Per build, the fields that agree. Fails where one differs."""
    assert found.rows
    assert [row.differences for row in found.rows] == [()] * len(found.rows)
    return {
        row.row.build: {one.field for one in row.fields if one.agreement.value == "agrees"}
        for row in found.rows
    }


@pytest.mark.parametrize(
    ("word", "build", "fields"),
    [
        ("torch==1.13.1", "cu117", {"reported", "cuda", "cudnn", "cubins", "ptx"}),
        ("torch==2.6.0", "cu124", {"reported", "cuda", "cudnn", "nccl", "cubins", "ptx"}),
        ("torch==2.8.0", "cu128", {"reported", "cuda", "cudnn", "nccl", "cubins", "ptx"}),
        ("torch==2.11.0", "cu130", {"reported", "cuda", "cudnn", "nccl", "cubins", "ptx"}),
        ("tensorflow==2.18.0", "cuda12", {"cuda", "cudnn", "nccl", "cubins", "ptx"}),
        ("tensorflow==2.20.0", "cuda12", {"cuda", "cudnn", "cubins", "ptx"}),
        ("jax-cuda12-plugin==0.8.0", "cuda12", {"glibc", "cuda", "cudnn"}),
        ("jax-cuda13-plugin==0.12.0", "cuda13", {"glibc", "cuda", "cudnn"}),
        ("onnxruntime-gpu==1.22.0", "cuda12", {"reported", "cuda", "cudnn"}),
        ("cupy-cuda12x==14.0.0", "cuda12", {"reported", "glibc", "cuda", "cubins", "ptx"}),
    ],
)
def test_the_row_is_what_the_wheel_says(word: str, build: str, fields: set[str]) -> None:
    assert fields | {"platforms", "pythons"} <= agreeing(checked(word))[build]


def test_the_kernels_of_the_plugin_of_jax_have_a_window_of_their_own() -> None:
    measured = checked("jax-cuda12-plugin==0.8.0").measured
    assert measured.cubins is not None
    assert measured.cubins.value == "5.0 6.0 7.0 8.0 9.0 10.0 12.0"
    assert {one.cubins for one in measured.code} == {measured.code[0].cubins}


@pytest.mark.slow
def test_the_arch_flags_of_torch_are_what_its_largest_library_has_code_for() -> None:
    found = checked("torch==2.8.0", python="3.12", is_thorough=True)
    agreeing(found)
    measured = found.measured
    assert measured.skipped == ()
    assert measured.cubins is not None
    (largest,) = [one for one in measured.code if one.library == "torch/lib/libtorch_cuda.so"]
    in_all = [name for name, count in largest.cubins if count == largest.containers]
    assert " ".join(in_all) == measured.cubins.value


@pytest.mark.slow
def test_the_window_of_onnxruntime_is_in_its_provider() -> None:
    found = checked("onnxruntime-gpu==1.22.0", is_thorough=True)
    assert {"glibc", "cubins", "ptx"} <= agreeing(found)["cuda12"]
