"""Versions and wishes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.versions import Version, VersionWish


@pytest.mark.parametrize(
    "text",
    [
        ">=2.8,<2.7",
        ">2.8,<2.8",
        ">=2.8,<2.8",
        "==2.8.*,==2.9.*",
        "~=2.8.0,>=2.9",
        "==2.8,!=2.8",
        ">=2.8,!=2.8.*,<2.9",
        "<0",
    ],
)
def test_a_wish_that_no_version_meets(text: str) -> None:
    assert VersionWish(text).is_contradiction


@pytest.mark.parametrize(
    "text",
    [
        ">2.7,<2.7.0.0.1",
        ">=2.7,!=2.7.*",
        ">=2.7,!=2.7.*,<2.9",
        "<2.7",
        "<=0",
        "!=2.8",
        ">=2.8rc1,<2.8",
        ">2.7.post1,<2.7.post3",
        "==2.8.0,==2.8.0+cu128",
        "12",
    ],
)
def test_a_wish_that_some_version_meets(text: str) -> None:
    assert not VersionWish(text).is_contradiction


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("==", "!=", ">=", "<=", ">", "<")),
            st.sampled_from(("0", "1", "1.0", "1.1", "1.1.2", "2", "2.0.1")),
            st.sampled_from(("", ".*")),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_version_is_within_a_contradiction(parts: list[tuple[str, str, str]]) -> None:
    wish = VersionWish(
        ",".join(f"{sign}{number}{star if sign in ('==', '!=') else ''}" for sign, number, star in parts)
    )
    tried = [f"{a}.{b}.{c}.{d}" for a in range(4) for b in range(3) for c in range(4) for d in range(2)]
    assert wish.is_contradiction != any(wish.allows(Version(one)) for one in tried)
