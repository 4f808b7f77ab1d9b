import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.renderer.mark import describe_mark, is_ours, seal

TEXT = seal("a/Dockerfile", f"# {describe_mark('x')}\nFROM a\n")


def test_sealed_text_is_ours():
    assert is_ours("a/Dockerfile", TEXT)


def test_edited_text_is_not():
    assert not is_ours("a/Dockerfile", TEXT + "RUN x\n")
    assert not is_ours("a/Dockerfile", TEXT.replace("FROM a", "FROM b"))
    assert not is_ours("a/Dockerfile", TEXT.replace("\n", "\r\n"))


def test_a_copy_elsewhere_is_not():
    assert not is_ours("b/Dockerfile", TEXT)


def test_text_without_mark_is_not_and_cannot_be_sealed():
    assert not is_ours("a/Dockerfile", "FROM a\n")
    with pytest.raises(ValueError, match="no mark"):
        seal("a/Dockerfile", "FROM a\n")
    with pytest.raises(ValueError, match="no mark"):
        seal("a/Dockerfile", TEXT)


@given(text=st.text())
def test_foreign_text_is_never_ours(text):
    assert not is_ours("a/Dockerfile", text)
