"""What is read out of uv's explanations; each is one that uv gave."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.packages.needs import absent_from, find_needs, named_in, sourceless_in

EXACT = tuple(
    """\
Because vllm>=0.10.0 depends on torch==2.7.1 and the image needs torch==2.8.0, we can conclude that your \
requirements and vllm>=0.10.0 are incompatible.
And because the image needs vllm==0.10.0, we can conclude that your requirements are unsatisfiable.
""".splitlines()
)
RANGE = tuple(
    """\
Because vllm==0.9.0 depends on torch==2.7.0 and vllm>=0.10.0 depends on torch==2.7.1, we can conclude that \
vllm>=0.9.0 depends on torch>=2.7.0,<=2.7.1.
And because the image needs torch==2.8.0 and vllm>=0.9, we can conclude that your requirements are \
unsatisfiable.
""".splitlines()
)
THROUGH = tuple(
    """\
Because vllm>=0.10.0 depends on torch==2.7.1 and all versions of mid depend on vllm==0.10.0, we can conclude \
that all versions of mid depend on torch==2.7.1.
""".splitlines()
)
UNION = ("Because all versions of two depend on one of:", "torch<2.8.0", "torch>2.9.0")


def needs(explanation, *asked):
    return [one.words for one in find_needs(explanation, asked) if not one.is_direct]


def test_what_holds_of_all_that_is_asked_for_is_read():
    assert needs(EXACT, "vllm==0.10.0") == ["vllm==0.10.0 needs torch==2.7.1"]
    assert needs(RANGE, "vllm>=0.9") == ["vllm>=0.9 needs torch>=2.7.0,<=2.7.1"]
    assert needs(THROUGH, "mid") == ["mid needs vllm==0.10.0", "mid needs torch==2.7.1"]


@pytest.mark.parametrize(
    ("explanation", "asked"),
    [
        (RANGE, "vllm"),  # older ones may go with more
        (RANGE, "vllm>=0.8"),
        (EXACT, "vllm==0.9.0"),
        (EXACT, 'vllm==0.10.0; python_version < "3.13"'),
        (EXACT, "other==0.10.0"),
        (UNION, "two"),
        (UNION, "not a requirement ]"),
    ],
)
def test_what_holds_of_a_part_or_is_not_understood_is_left(explanation, asked):
    assert needs(explanation, asked) == []


def test_what_is_asked_for_by_name_is_a_need_of_its_own():
    (need,) = find_needs((), ("torch==2.7.1",))
    assert (need.package, need.allowed, need.is_direct) == ("torch", "==2.7.1", True)


def test_packages_are_found_by_name_in_whatever_spelling():
    assert named_in(("Because Flash_Attn==2.8 has no wheels",), ("flash-attn==2.8", "attn")) == (
        "flash-attn==2.8",
    )
    assert absent_from(("Because nope was not found in the package registry and no version of six",)) == {
        "nope",
        "six",
    }


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (
            "Because all versions of openai-whisper have no usable wheels and the image needs it",
            {"openai-whisper"},
        ),
        ("Because docopt==0.6.2 has no usable wheels and only docopt==0.6.2 is available", {"docopt"}),
        ("Because old==1.0 has no wheels with a matching Python ABI tag (e.g., `cp313`)", set()),
    ],
)
def test_packages_that_have_their_source_alone_are_told_apart_from_those_with_other_wheels(line, names):
    assert sourceless_in((line,)) == names


WORDS = st.sampled_from(
    [
        "all versions of ",
        "a",
        "a==1 ",
        "depends on ",
        "depend on ",
        "b==2.0+x ",
        ">=1,",
        "<2 ",
        "and ",
        "[c]",
        ".",
        "\n",
    ]
)


@given(st.lists(WORDS, max_size=14).map("".join), st.text(alphabet=string.printable, max_size=12))
def test_no_text_is_too_strange(text, asked):
    for need in find_needs((text,), ("a", "a==1", asked)):
        assert need.text in ("a", "a==1", asked)
