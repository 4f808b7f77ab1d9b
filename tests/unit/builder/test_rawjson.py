import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.builder.rawjson import Message, Output, RawJsonReader, Transfer, Vertex, parse_rawjson
from tests.unit.builder.recorded import DATA


def read_all(lines):
    reader = RawJsonReader()
    return [read for line in lines if (read := reader.feed(line)) is not None]


def test_document_on_one_line():
    line = json.dumps(
        {
            "vertexes": [
                {
                    "digest": "sha256:a",
                    "name": "[1/2] RUN x",
                    "started": "2026-01-01T00:00:00Z",
                    "cached": True,
                }
            ],
            "statuses": [
                {"id": "transferring", "vertex": "sha256:a", "current": 3, "total": 9},
                {"id": "exporting", "vertex": "sha256:a", "current": 3, "total": 0},
            ],
            "logs": [{"vertex": "sha256:a", "stream": 2, "data": base64.b64encode(b"no\n").decode()}],
            "warnings": [{"vertex": "sha256:a", "short": base64.b64encode(b"old").decode()}],
        }
    )
    assert parse_rawjson(line) == Message(
        vertexes=(
            Vertex(
                digest="sha256:a",
                name="[1/2] RUN x",
                is_started=True,
                is_completed=False,
                is_cached=True,
                error="",
            ),
        ),
        transfers=(
            Transfer(vertex="sha256:a", item="transferring", current=3, total=9),
            Transfer(vertex="sha256:a", item="exporting", current=3, total=None),
        ),
        outputs=(Output(vertex="sha256:a", stream=2, data=b"no\n"),),
        warnings=("old",),
    )


@pytest.mark.parametrize("name", ["ok", "step-fails"])
def test_both_layouts_of_the_stream_read_alike(name):
    """buildx 0.13 indents its documents, 0.29 does not."""

    def steps(version):
        read = read_all((DATA / f"{name}.buildx-{version}.txt").read_text().splitlines())
        return {
            vertex.name
            for message in read
            if isinstance(message, Message)
            for vertex in message.vertexes
            if not vertex.name.startswith("resolving provenance")
        }

    assert steps("0.13") == steps("0.29")
    assert any("RUN" in step for step in steps("0.13"))


def test_text_after_a_failure_is_text():
    read = read_all((DATA / "step-fails.buildx-0.13.txt").read_text().splitlines())
    texts = [text for text in read if isinstance(text, str)]
    assert texts[-1].startswith("ERROR: failed to solve: process")


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", "nonsense", "[" * 100_000, '{"vertexes": 1}', '{"logs": [3, null]}']
)
def test_what_is_no_document_does_no_harm(text):
    assert parse_rawjson(text) in {None, Message()}


def test_fields_of_wrong_types_are_left_empty():
    message = parse_rawjson(
        '{"vertexes": [{"digest": 4, "error": ["x"]}], "logs": [{"data": "%%%", "stream": "1"}],'
        ' "statuses": [{"current": "many"}]}'
    )
    assert message is not None
    assert message.vertexes[0].digest == ""
    assert message.vertexes[0].error == ""
    assert message.outputs[0] == Output(vertex="", stream=0, data=b"")
    assert message.transfers[0].current == 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(
    st.dictionaries(
        st.sampled_from(["vertexes", "statuses", "logs", "warnings", "other"]),
        st.lists(
            st.dictionaries(
                st.sampled_from(
                    ["digest", "name", "started", "error", "id", "current", "total", "data", "short"]
                ),
                _JSON,
            )
        )
        | _JSON,
    )
)
def test_any_document_reads_the_same_on_one_line_and_on_many(document):
    one = read_all([json.dumps(document)])
    many = read_all(json.dumps(document, indent=2).splitlines())
    assert one == many


@given(st.lists(st.text(st.characters(exclude_characters="\r\n"))))
def test_no_line_raises(lines):
    read_all(lines)
