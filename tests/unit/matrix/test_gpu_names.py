"""The names that people, drivers and clouds give to GPUs, and the compute capabilities that they mean."""

import pytest

from cudaforge.matrix import load_matrix

# What nvidia-smi and torch report: boards, memory sizes, coolers, sellers.
REPORTED = {
    "3.5": "Tesla K40m|Tesla K20Xm|GeForce GTX TITAN",
    "3.7": "Tesla K80",
    "5.0": "Tesla M10|NVIDIA GeForce GTX 750 Ti",
    "5.2": "Tesla M60|Tesla M40|Tesla M40 24GB|GeForce GTX TITAN X|NVIDIA GeForce GTX 980 Ti",
    "6.0": "Tesla P100-PCIE-16GB|Tesla P100-PCIE-12GB|Tesla P100-SXM2-16GB|Quadro GP100",
    "6.1": "Tesla P40|Tesla P4|Tesla P6|Quadro P6000|NVIDIA TITAN X (Pascal)|NVIDIA TITAN Xp"
    "|NVIDIA GeForce GTX 1080 Ti|NVIDIA GeForce GTX 1050 Ti|GeForce GT 1030",
    "7.0": "Tesla V100-SXM2-16GB|Tesla V100-SXM2-32GB|Tesla V100-SXM2-32GB-LS|Tesla V100-PCIE-16GB"
    "|Tesla V100S-PCIE-32GB|Tesla V100-DGXS-32GB|Tesla V100-SXM3-32GB|Quadro GV100"
    "|NVIDIA TITAN V",
    "7.5": "Tesla T4|NVIDIA T4G|Quadro RTX 8000|Quadro RTX 6000|Quadro RTX 4000|NVIDIA TITAN RTX"
    "|NVIDIA GeForce RTX 2080 Ti|NVIDIA GeForce GTX 1660 Ti with Max-Q Design"
    "|NVIDIA T1000 8GB|NVIDIA T400 4GB|NVIDIA GeForce MX450",
    "8.0": "NVIDIA A100-SXM4-40GB|NVIDIA A100-SXM4-80GB|A100-SXM4-40GB|NVIDIA A100-PCIE-40GB"
    "|NVIDIA A100 80GB PCIe|NVIDIA A100-SXM-64GB|NVIDIA A800-SXM4-80GB|NVIDIA A800 80GB PCIe"
    "|NVIDIA A30",
    "8.6": "NVIDIA A10|NVIDIA A10G|NVIDIA A16|NVIDIA A2|NVIDIA A40|NVIDIA RTX A6000|NVIDIA RTX A5000"
    "|NVIDIA RTX A4000|NVIDIA GeForce RTX 3090|NVIDIA GeForce RTX 3080 Ti"
    "|NVIDIA GeForce RTX 3080 Ti Laptop GPU|NVIDIA GeForce RTX 3060 Laptop GPU"
    "|NVIDIA RTX A5500 Laptop GPU",
    "8.9": "NVIDIA L4|NVIDIA L2|NVIDIA L20|NVIDIA L40|NVIDIA L40S|NVIDIA RTX 6000 Ada Generation"
    "|NVIDIA GeForce RTX 4090|NVIDIA RTX 5000 Ada Generation"
    "|NVIDIA RTX 4000 SFF Ada Generation|NVIDIA GeForce RTX 4090 D"
    "|NVIDIA GeForce RTX 4090 Laptop GPU|NVIDIA RTX 3500 Ada Generation Laptop GPU",
    "9.0": "NVIDIA H100 80GB HBM3|NVIDIA H100 PCIe|NVIDIA H100 NVL|NVIDIA GH200 480GB"
    "|NVIDIA GH200 144G HBM3e|NVIDIA H200|NVIDIA H200 NVL|NVIDIA H20|NVIDIA H20-3e"
    "|NVIDIA H800|NVIDIA H800 PCIe",
    "10.0": "NVIDIA B200|NVIDIA GB200",
    "10.3": "NVIDIA B300 SXM6 AC|NVIDIA GB300",
    "12.0": "NVIDIA GeForce RTX 5090|NVIDIA GeForce RTX 5090 D|NVIDIA GeForce RTX 5060 Ti"
    "|NVIDIA RTX PRO 4000 Blackwell|NVIDIA GeForce RTX 5070 Laptop GPU"
    "|NVIDIA RTX PRO 6000 Blackwell Server Edition"
    "|NVIDIA RTX PRO 6000 Blackwell Workstation Edition"
    "|NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition"
    "|NVIDIA RTX PRO 5000 72GB Blackwell",
    "12.1": "NVIDIA GB10",
}
EMBEDDED = {
    "5.3": "Jetson Nano|Jetson TX1",
    "6.2": "Jetson TX2|NVIDIA Tegra X2",
    "7.2": "Xavier|AGX Xavier|Jetson Xavier NX",
    "8.7": "Orin|Orin (nvgpu)|AGX Orin|Jetson AGX Orin|Jetson Orin Nano|Orin NX",
    "11.0": "Thor|NVIDIA Thor|Jetson Thor|Jetson AGX Thor",
}
SLICES = {
    "7.0": "GRID V100D-32Q|GRID V100-16C",
    "7.5": "GRID T4-16Q",
    "8.0": "NVIDIA A100-SXM4-40GB MIG 3g.20gb|GRID A100-40C|GRID A100D-80C"
    "|NVIDIA A100-SXM4-80GB MIG 1g.10gb+me",
    "8.6": "NVIDIA A40-48Q|NVIDIA A10-24Q",
    "8.9": "NVIDIA L40S-48Q|NVIDIA RTX6000-Ada-48Q",
    "9.0": "NVIDIA H100 80GB HBM3 MIG 1g.10gb|NVIDIA H100XL-94C",
}
SPOKEN = {
    "7.0": "nvidia-tesla-v100|v100|V100-32GB",
    "7.5": "nvidia-tesla-t4|t4|titan-rtx|rtx2080ti",
    "8.0": "A100-80G|a100_80gb|nvidia-tesla-a100|nvidia-a100-80gb|A100 40GB|a100-sxm4",
    "8.6": "rtx_3090|RTX3090|a10g",
    "8.9": "nvidia-l4|l40s|RTX4090|rtx-4090|RTX 6000 Ada",
    "9.0": "nvidia-h100-80gb|nvidia-h100-mega-80gb|h100_sxm|H100-SXM5-80GB|nvidia-h200-141gb|sm_90"
    "|sm_90a|9.0",
    "10.0": "nvidia-b200|b200|sm_100",
    "12.0": "rtx5090|compute_120",
    "12.1": "DGX Spark|sm_121",
}
FAMILIES = {
    "Kepler": "3.0 3.5 3.7",
    "Maxwell": "5.0 5.2",
    "Pascal": "6.0 6.1",
    "Volta": "7.0",
    "Turing": "7.5",
    "Ampere": "8.0 8.6",
    "Ada Lovelace": "8.9",
    "Ada": "8.9",
    "Hopper": "9.0",
    "hopper": "9.0",
    "NVIDIA Hopper": "9.0",
    "Blackwell": "10.0 10.3 12.0 12.1",
}


def spellings():
    for table in (REPORTED, EMBEDDED, SLICES, SPOKEN):
        for capability, names in table.items():
            for name in names.split("|"):
                yield name, capability
    yield from FAMILIES.items()


@pytest.fixture(scope="module")
def matrix():
    return load_matrix()


def capabilities(matrix, name):
    return sorted({gpu.capability for gpu in matrix.find_gpus(name)})


@pytest.mark.parametrize(("name", "expected"), list(spellings()))
def test_a_spelling_means_its_capabilities(matrix, name, expected):
    assert " ".join(str(capability) for capability in capabilities(matrix, name)) == expected


@pytest.mark.parametrize(
    "name", ["RTX 6000", "Tesla", "GeForce", "RTX", "Quadro", "RTX 4095", "A1000", "sm_99"]
)
def test_a_name_of_no_product_or_of_two_capabilities_is_no_answer(matrix, name):
    assert len(capabilities(matrix, name)) != 1


@pytest.mark.parametrize(
    ("name", "count"),
    [("RTX PRO 6000 Blackwell", 3), ("RTX PRO 500 Blackwell", 2), ("RTX 3500 Ada", 2), ("RTX A500", 2)],
)
def test_the_common_beginning_of_several_products_means_them_all(matrix, name, count):
    found = matrix.find_gpus(name)
    assert len(found) == count
    assert len({gpu.capability for gpu in found}) == 1
    assert all(gpu.name.startswith(f"NVIDIA {name}") for gpu in found)


def test_a_family_leaves_its_embedded_products_out(matrix):
    for family in FAMILIES:
        assert all(gpu.kind != "embedded" for gpu in matrix.find_gpus(family)), family


def test_every_product_has_a_family_and_few_are_not_confirmed(matrix):
    assert [gpu.name for gpu in matrix.gpus if gpu.family is None] == []
    inferred = [gpu.name for gpu in matrix.gpus if gpu.source.strength.value == "inferred"]
    assert inferred == ["Jetson TX1", "NVIDIA B100", "NVIDIA R200"]
