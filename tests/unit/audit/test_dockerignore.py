"""Patterns of .dockerignore mean what they mean to BuildKit."""

from __future__ import annotations

import pytest

from cudaforge.audit.dockerignore import read_dockerignore


@pytest.mark.parametrize(
    ("text", "path", "is_out"),
    [
        ("", "a.txt", False),
        ("# a.txt", "a.txt", False),
        ("a.txt", "a.txt", True),
        ("a.txt", "b/a.txt", False),
        ("/a.txt", "a.txt", True),
        ("./a.txt", "a.txt", True),
        ("*.txt", "a.txt", True),
        ("*.txt", "b/a.txt", False),
        ("*/a.txt", "b/a.txt", True),
        ("**/a.txt", "a.txt", True),
        ("**/a.txt", "b/c/a.txt", True),
        ("**/*.txt", "b/c/a.txt", True),
        ("b/**", "b/c/a.txt", True),
        ("b", "b/c/a.txt", True),
        ("b/", "b/c/a.txt", True),
        ("**", "a.txt", True),
        ("?.txt", "a.txt", True),
        ("?.txt", "ab.txt", False),
        ("[a-c].txt", "b.txt", True),
        ("[^a-c].txt", "b.txt", False),
        ("*\n!a.txt", "a.txt", False),
        ("*\n!a.txt", "b.txt", True),
        ("!a.txt\n*", "a.txt", True),
        ("*\n!b", "b/a.txt", False),
        ("b\n!b/a.txt", "b/a.txt", False),
        ("b/*\n!b/*.txt\nb/secret*", "b/secret.txt", True),
        ("../a.txt", "a.txt", False),
        ("a.tx(t", "a.tx(t", True),
    ],
)
def test_a_pattern(text, path, is_out) -> None:
    assert read_dockerignore(text)(path) is is_out
