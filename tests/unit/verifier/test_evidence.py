"""What came out of a container is read with distrust."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.verifier.evidence import SCHEMA, TAG, Fact, NoResult, NotSeen, parse_output
from tests.unit.verifier.reports import RECORDED, as_line, lost, raised, recorded

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_a_recorded_report_is_read():
    report = recorded()
    assert report.system.value("system")["python"].text == "3.11.7"
    assert report.frameworks["pytorch"].value("describe")["cuda"].text == "12.8"
    assert report.libraries.value("versions")["cudnn"]["version"].text == "9.10.2"
    assert report.peak_memory


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("", "no result"),
        ("chatter\n" * 1000, "no result"),
        (as_line(RECORDED, "other"), "no result"),
        (as_line(RECORDED) * 2, "2 results"),
        ("x" + as_line(RECORDED), "no result"),
        (f"{TAG} n " + "{", "damaged"),
        (f"{TAG} n " + "[" * 100_000, "damaged"),
        (f"{TAG} n " + "9" * 10_000, "damaged|not of this probe"),
        (f"{TAG} n []", "not of this probe"),
        (as_line({"schema": SCHEMA + 1}), "not of this probe"),
        (f"{TAG} n " + " " * 3_000_000, "too long"),
    ],
)
def test_other_output_is_no_result(output: str, why: str):
    with pytest.raises(NoResult, match=why):
        parse_output(output, "n")


def test_chatter_around_the_result_does_not_matter():
    facts = {**RECORDED, "schema": SCHEMA}
    output = "warning\n" * 100 + as_line(RECORDED, "forged") + as_line(facts) + "goodbye"
    assert parse_output(output, "n").seconds == RECORDED["seconds"]


@given(JSON)
def test_any_json_is_a_report_or_no_result(facts: object):
    try:
        report = parse_output(f"{TAG} n {json.dumps(facts)}", "n")
    except NoResult:
        return
    assert report.frameworks == {}


@given(JSON, st.text(max_size=5))
def test_facts_answer_whatever_they_hold(facts: object, key: str):
    fact = Fact(facts)
    for asked in (fact, fact[key], fact[key][key], *fact):
        assert asked.text is None or isinstance(asked.text, str)
        assert asked.number is None or abs(asked.number) < 2**64
        assert all(isinstance(item, str) for item in asked.texts.values())


def test_a_stage_that_did_not_end_well_says_why():
    report = recorded(raised("pytorch", "load", "ImportError", "libcudnn.so.9: cannot open"))
    with pytest.raises(NotSeen, match=r"ImportError: libcudnn.so.9"):
        report.frameworks["pytorch"].value("load")
    with pytest.raises(NotSeen, match="did not come to it"):
        report.frameworks["pytorch"].value("train_cpu")
    for end, why in (
        ({"signal": 11}, "signal 11"),
        ({"signal": 9, "stopped": "deadline"}, "time"),
        ({"signal": 9, "stopped": "flood"}, "flood"),
    ):
        with pytest.raises(NotSeen, match=why):
            recorded(lost("pytorch", "train_cpu", **end)).frameworks["pytorch"].value("train_cpu")
