"""Text of others in messages: seen as it is where it can be seen, escaped once where it cannot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.display import INVISIBLE, escaped, show, show_path, visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("ünï 漢字 😀", "ünï 漢字 😀"),
        ("a\\b", "a\\b"),
        ("a\x1b[31mb", "a\\u001B[31mb"),
        ("a\u202eb\u200d", "a\\u202Eb\\u200D"),
        ("\r\t", "\\r\\t"),
        ("\U000e0001", "\\U000E0001"),
        ("\udcff", "\\uDCFF"),
    ],
)
def test_what_cannot_be_seen_is_escaped_and_nothing_else(text: str, seen: str) -> None:
    assert escaped(text) == visible(text) == seen
    assert show(text) == f"'{seen}'"


def test_lines_stay_lines_but_in_a_value() -> None:
    assert visible("a\nb") == "a\nb"
    assert escaped("a\nb") == "a\\nb"
    assert show("a\nb") == "'a\\nb'"


def test_a_value_is_short_and_has_no_password() -> None:
    assert show("x" * 100) == f"'{'x' * 77}...'"
    assert show("https://me:secret@host/x") == "'https://***@host/x'"


def test_a_path_that_is_not_utf_8_is_seen() -> None:
    assert show_path("ü/\udcff") == "ü/\\xff"


@given(text=st.text())
def test_twice_is_once(text: str) -> None:
    for act in (escaped, visible):
        assert act(act(text)) == act(text)
    assert escaped(show(text)) == visible(show(text)) == show(text)
    assert not set(INVISIBLE) & set(visible(text))
    assert all(one.isprintable() for one in visible(text) if one != "\n")
