"""The grammar of image references."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.references import InvalidReference, Reference, parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python", ("docker.io", "library/python", "latest", None)),
        ("python:3.11", ("docker.io", "library/python", "3.11", None)),
        (
            "nvidia/cuda:12.8.1-base-ubuntu22.04",
            ("docker.io", "nvidia/cuda", "12.8.1-base-ubuntu22.04", None),
        ),
        ("docker.io/python", ("docker.io", "library/python", "latest", None)),
        ("registry-1.docker.io/a/b", ("docker.io", "a/b", "latest", None)),
        (f"python@{DIGEST}", ("docker.io", "library/python", None, DIGEST)),
        (f"python:3@{DIGEST}", ("docker.io", "library/python", "3", DIGEST)),
        ("localhost/a", ("localhost", "a", "latest", None)),
        ("localhost:5000/a/b__c:x", ("localhost:5000", "a/b__c", "x", None)),
        ("[::1]:5000/a", ("[::1]:5000", "a", "latest", None)),
        ("host:65535/a", ("host:65535", "a", "latest", None)),
        ("host:1/a", ("host:1", "a", "latest", None)),
        ("GHCR.io/a/b", ("ghcr.io", "a/b", "latest", None)),
        ("127.0.0.1:5000/a", ("127.0.0.1:5000", "a", "latest", None)),
        ("a/b/c/d:_x", ("docker.io", "a/b/c/d", "_x", None)),
        ("python:5000", ("docker.io", "library/python", "5000", None)),
    ],
)
def test_good(text: str, expected: tuple[str, str, str | None, str | None]) -> None:
    found = parse_reference(text)
    assert (found.registry, found.repository, found.tag, found.digest) == expected


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "lower-case letters"),
        ("Python", "must be lower case"),
        ("a/B", "must be lower case"),
        ("python:", "a tag is"),
        (":latest", "lower-case letters"),
        ("python:.x", "a tag is"),
        ("python:-x", "a tag is"),
        ("python:a b", "a tag is"),
        (f"python:{'x' * 129}", "a tag is"),
        ("python:latest@", "a digest is"),
        ("python@sha256:12", "a digest is"),
        ("python@sha256:" + "G" * 64, "a digest is"),
        ("python@" + DIGEST.upper(), "a digest is"),
        ("https://ghcr.io/a", "no scheme"),
        ("host:99999/a:b", "a number from 1 to 65535"),
        ("host:65536/a", "a number from 1 to 65535"),
        ("host:0/a", "a number from 1 to 65535"),
        ("host:/a", "a number from 1 to 65535"),
        ("[::1]:70000/a", "a number from 1 to 65535"),
        ("a//b", "lower-case letters"),
        ("-a", "lower-case letters"),
        ("a..b", "lower-case letters"),
        ("a/b/", "lower-case letters"),
        ("_x.io/a", "no registry host"),
        ("user:pw@host/a", "no registry host"),
        ("x" * 513, "longer than 512"),
        ("a" * 256, "at most 255"),
        ("python\n", "lower-case letters"),
        ("python:3\n", "a tag is"),
    ],
)
def test_bad(text: str, rule: str) -> None:
    with pytest.raises(InvalidReference, match=rule):
        parse_reference(text)


@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    try:
        found = parse_reference(text)
    except InvalidReference:
        return
    assert parse_reference(str(found)) == found
    assert text.isascii()


COMPONENT = st.from_regex(r"[a-z0-9]{1,4}([._-][a-z0-9]{1,3})?", fullmatch=True)


@given(
    registry=st.sampled_from(["docker.io", "localhost:5000", "ghcr.io", "[::1]:80"]),
    path=st.lists(COMPONENT, min_size=2, max_size=4),
    tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,9}", fullmatch=True),
    digest=st.sampled_from([None, DIGEST]),
)
def test_round_trip(registry: str, path: list[str], tag: str, digest: str | None) -> None:
    reference = Reference(registry=registry, repository="/".join(path), tag=tag, digest=digest)
    assert parse_reference(str(reference)) == reference
