import pytest

from cudaforge.matrix import Matrix, parse_capability
from cudaforge.matrix.model import Framework, Gpu
from cudaforge.matrix.sources import Source, Strength
from cudaforge.versions import Version

SOURCE = Source(id="seen", text="read", checked="2026-01-31", strength=Strength.MEASURED, file="gpus.toml")


def gpu(name, capability, *aliases):
    return Gpu(
        name=name,
        aliases=aliases,
        capability=Version(capability),
        kind="datacenter",
        first_driver=None,
        last_branch=None,
        source=SOURCE,
    )


GPUS = (
    gpu("GeForce RTX 4090", "8.9"),
    gpu("GeForce RTX 4090 Laptop GPU", "8.9"),
    gpu("NVIDIA A100", "8.0", "A800"),
    gpu("Tesla V100", "7.0"),
    gpu("NVIDIA H100", "9.0"),
    gpu("NVIDIA GH200", "9.0"),
    gpu("Quadro RTX 6000", "7.5"),
    gpu("NVIDIA RTX 6000 Ada", "8.9", "RTX 6000"),
    gpu("NVIDIA RTX A6000", "8.6", "A6000"),
)


def names(text):
    return [found.name for found in Matrix.from_rows(gpus=GPUS).find_gpus(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RTX 4090", ["GeForce RTX 4090"]),
        ("rtx4090", ["GeForce RTX 4090"]),
        ("NVIDIA GeForce RTX 4090", ["GeForce RTX 4090"]),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", ["GeForce RTX 4090 Laptop GPU"]),
        ("RTX 4090 Ti", []),
        ("A100-SXM4-80GB", ["NVIDIA A100"]),
        ("NVIDIA A100-SXM4-80GB MIG 1g.5gb", ["NVIDIA A100"]),
        ("a800", ["NVIDIA A100"]),
        ("V100", ["Tesla V100"]),
        ("NVIDIA H100 80GB HBM3", ["NVIDIA H100"]),
        ("RTX 6000", ["Quadro RTX 6000", "NVIDIA RTX 6000 Ada"]),
        ("RTX A6000", ["NVIDIA RTX A6000"]),
        ("NVIDIA RTX 6000 Ada Generation", ["NVIDIA RTX 6000 Ada"]),
        ("sm_90", ["NVIDIA H100", "NVIDIA GH200"]),
        ("compute_90", ["NVIDIA H100", "NVIDIA GH200"]),
        ("9.0", ["NVIDIA H100", "NVIDIA GH200"]),
        ("sm_99", []),
        ("", []),
        ("NVIDIA", []),
    ],
)
def test_gpus_are_found_by_what_people_and_nvidia_smi_call_them(text, expected):
    assert names(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sm_90", "9.0"),
        ("SM_120", "12.0"),
        (" 8.6 ", "8.6"),
        ("sm_90a", "9.0"),
        ("compute_100f", "10.0"),
        ("12.0", "12.0"),
    ],
)
def test_capabilities_are_read_in_every_spelling(text, expected):
    assert parse_capability(text) == Version(expected)


@pytest.mark.parametrize("text", ["sm_9", "90", "sm90", "9", "9.0.1", "sm_9000", "RTX 4090", "\uff19.0"])
def test_other_texts_are_no_capability(text):
    assert parse_capability(text) is None


def framework(name, *aliases):
    return Framework(name=name, title=name.title(), aliases=aliases, proof=name, template=name, source=SOURCE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("torch", "pytorch"),
        ("PyTorch", "pytorch"),
        ("py-torch", "pytorch"),
        ("TF", "tensorflow"),
        ("tensorflow", "tensorflow"),
    ],
)
def test_frameworks_are_found_by_alias_in_any_case(text, expected):
    matrix = Matrix.from_rows(frameworks=[framework("pytorch", "torch"), framework("tensorflow", "tf")])
    found = matrix.find_framework(text)
    assert found is not None
    assert found.name == expected


def test_an_unknown_framework_has_no_builds():
    matrix = Matrix.from_rows(frameworks=[framework("pytorch")])
    assert matrix.find_framework("mxnet") is None
    assert matrix.builds("mxnet") == ()
    assert matrix.builds("pytorch") == ()


def test_an_empty_matrix_answers():
    matrix = Matrix.from_rows()
    assert matrix.systems == {}
    assert matrix.base_images == matrix.plain_images == ()
    assert matrix.cuda_releases == matrix.cudnn_releases == matrix.driver_branches == matrix.broken == ()
    assert matrix.indexes == {}
