import pytest

from cudaforge.errors import SurroundingsError
from cudaforge.packages.tags import best_wheel

TARGET = {"python": "3.11", "platform": "linux/amd64", "glibc": "2.36"}
PURE = "charset_normalizer-3.5.2-py3-none-any.whl"
ABI3 = "charset_normalizer-3.5.2-cp37-abi3-manylinux1_x86_64.manylinux_2_28_x86_64.manylinux_2_5_x86_64.whl"
OWN = "charset_normalizer-3.5.2-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"


def test_the_most_particular_wheel_is_taken():
    assert best_wheel([PURE, ABI3, OWN], **TARGET) == OWN
    assert best_wheel([OWN, PURE, ABI3], **TARGET) == OWN
    assert best_wheel([PURE, ABI3], **TARGET) == ABI3
    assert best_wheel([PURE, ABI3, OWN], **{**TARGET, "platform": "linux/arm64"}) == PURE


def test_legacy_tags_are_known():
    assert best_wheel(["a-1-py3-none-manylinux2010_x86_64.whl"], **TARGET)
    assert best_wheel(["a-1-py3-none-manylinux1_x86_64.whl"], **TARGET)


def test_a_newer_c_library_is_not_assumed():
    with pytest.raises(SurroundingsError, match=r"glibc 2\.36"):
        best_wheel(["a-1-cp311-cp311-manylinux_2_38_x86_64.whl"], **TARGET)


def test_the_newest_python_s_own_wheel_beats_an_older_abi():
    names = ["a-1-cp39-abi3-manylinux_2_17_x86_64.whl", "a-1-cp310-abi3-manylinux_2_17_x86_64.whl"]
    assert best_wheel(names, **TARGET) == names[1]


def test_pythons_before_3_8_have_a_flag_in_the_name_of_their_abi():
    name = "numpy-1.21.6-cp37-cp37m-manylinux_2_12_x86_64.manylinux2010_x86_64.whl"
    assert best_wheel([name], python="3.7", platform="linux/amd64", glibc="2.36") == name
